/** Which key each side uses, and when an old one can be removed (docs/operations.md). */
import { describe, expect, it } from "vitest";
import type { KeySnapshot } from "../../src/core/options.ts";
import { bringUp, GROUP_NETWORKS, newGroup, nodesOf } from "../sim/group.ts";
import type { Host } from "../sim/host.ts";
import { connect, exchange, peerOf, pingLeft, pingRight } from "../sim/observe.ts";
import { newClientPair, newPair, type Pair, peerOptions, RIGHT, type Site } from "../sim/pair.ts";

const OLD = new Uint8Array(32).map((_, at) => at + 1);
const NEW = new Uint8Array(32).map((_, at) => at + 101);
/** A session that nothing renews is gone. */
const SESSION_GONE_MS = 181_000;

/** A pair whose keys are changed between starts. */
function newRotated(left: readonly Uint8Array[], right: readonly Uint8Array[]) {
  const keys = { left: [...left], right: [...right] };
  const pair = newPair({ leftPeer: { keys: keys.left }, rightPeer: { keys: keys.right } });
  return { pair, keys };
}

function uses(host: Host): readonly KeySnapshot["use"][] {
  return peerOf(host).keys.map(({ use }) => use);
}

/** A session that `side` starts. */
function startFrom(pair: Pair, side: "left" | "right"): void {
  const peer = side === "left" ? "right" : "left";
  pair[side].act((tunnel, now) => tunnel.rekey(peer, now));
  pair.world.advance(500);
}

/** Nothing arrives, until every session is over. */
function fallSilent(pair: Pair): void {
  pair.world.link(pair.left, pair.right, { loss: 1 });
  pair.world.link(pair.right, pair.left, { loss: 1 });
  pair.world.advance(SESSION_GONE_MS);
}

describe("an old key", () => {
  it("can be removed once the other side has started with the new one and no session is under it", () => {
    const { pair } = newRotated([NEW, OLD], [NEW, OLD]);
    connect(pair);
    startFrom(pair, "left");
    startFrom(pair, "right");

    for (const host of [pair.left, pair.right]) {
      expect(uses(host)).toEqual(["first", "removable"]);
      const [first, old] = peerOf(host).keys;
      expect(first?.startedMs).toBeLessThan(2_000);
      expect(first?.peerStartedMs).toBeLessThan(2_000);
      expect(old).toMatchObject({
        startedMs: undefined,
        peerStartedMs: undefined,
        heardMs: undefined,
      });
    }
  });

  it("is needed while the other side starts with it, also when no session is left", () => {
    const { pair } = newRotated([NEW, OLD], [OLD, NEW]);
    connect(pair);
    startFrom(pair, "left");
    startFrom(pair, "right");
    expect(uses(pair.left)).toEqual(["first", "in-use"]);
    expect(uses(pair.right)).toEqual(["first", "in-use"]);

    fallSilent(pair);
    expect(uses(pair.left)).toEqual(["first", "peer-starts"]);
    expect(uses(pair.right)).toEqual(["first", "peer-starts"]);
    expect(peerOf(pair.left).keys[1]?.peerStartedMs).toBeGreaterThan(SESSION_GONE_MS - 1);
  });

  it("can be removed when that side starts with the new one after all", () => {
    const { pair, keys } = newRotated([NEW, OLD], [OLD, NEW]);
    connect(pair);
    startFrom(pair, "right");
    expect(uses(pair.left)).toEqual(["first", "in-use"]);

    keys.right.reverse();
    pair.right.restart();
    pair.world.until("the old session is over", () => uses(pair.left)[1] !== "in-use", 200_000);
    expect(uses(pair.left)).toEqual(["first", "removable"]);
    expect(peerOf(pair.left).keys[1]?.heardMs).toBeGreaterThan(0);
  });

  it("is not known to be needed while the other side has started nothing, whatever it accepts", () => {
    const pair = newClientPair({
      leftPeer: { keys: [NEW, OLD] },
      rightPeer: { keys: [OLD, NEW] },
    });
    connect(pair);
    pair.world.advance(1_000);

    expect(uses(pair.left)).toEqual(["first", "unknown"]);
    // What it would start with is the old one indeed.
    startFrom(pair, "right");
    expect(uses(pair.left)).toEqual(["first", "in-use"]);
  });

  it("stays while the other side was never heard under the first one", () => {
    const { pair } = newRotated([NEW, OLD], [OLD]);
    pair.world.until("right has a session", () => peerOf(pair.left).state === "up", 5_000);
    expect(uses(pair.left)).toEqual(["first", "in-use"]);

    pair.world.link(pair.right, pair.left, { loss: 1 });
    pair.world.advance(SESSION_GONE_MS);
    expect(uses(pair.left)).toEqual(["first", "first-unproven"]);
  });

  it("and the first say how long ago each was heard", () => {
    const { pair } = newRotated([NEW, OLD], [NEW, OLD]);
    connect(pair);
    pair.world.advance(5_000);
    pingLeft(pair);
    pair.world.advance(1_000);
    pingRight(pair);

    const [first] = peerOf(pair.left).keys;
    expect(first?.heardMs).toBeGreaterThan(900);
    expect(first?.heardMs).toBeLessThan(1_000);
  });
});

describe("a rotation while packets flow", () => {
  /** What a reload does: the same peer with other keys. */
  function giveKeys({ spec, host }: Site, keys: readonly Uint8Array[]): void {
    const [peer] = spec.peers;
    if (peer === undefined) throw new Error(`${spec.name} has no peer`);
    const { kind: _, endpoints: __, ...update } = peerOptions({ ...peer, keys });
    host.act((tunnel, now) => tunnel.updatePeer(update, now));
  }

  it.each(["both sides", "the left side"])(
    "in three steps loses no packet, where %s can start",
    (starters) => {
      const endpoints = starters === "both sides" ? {} : { endpoints: [] };
      const pair = newPair({
        leftPeer: { keys: [OLD] },
        rightPeer: { keys: [OLD], ...endpoints },
      });
      const { world, left, right, leftSite, rightSite } = pair;
      connect(pair);
      const { stop, sent } = exchange(pair, 10);
      const step = (keys: readonly Uint8Array[]) => {
        for (const site of [leftSite, rightSite]) {
          giveKeys(site, keys);
          world.advance(2_000);
        }
      };
      step([OLD, NEW]);
      giveKeys(leftSite, [NEW, OLD]);
      world.advance(500);
      expect(uses(right)).toEqual(["first", "in-use"]);
      step([NEW, OLD]);
      world.until(
        "both say so",
        () => [left, right].every((one) => uses(one)[1] === "removable"),
        200_000,
      );
      step([NEW]);
      world.advance(200_000);
      stop();
      world.advance(1_000);

      expect(sent()).toBeGreaterThan(20_000);
      for (const host of [left, right]) {
        expect(host.delivered).toHaveLength(sent());
        expect(uses(host)).toEqual(["first"]);
        expect(peerOf(host).fingerprints).toHaveLength(1);
      }
    },
  );
});

describe("the keys of a group", () => {
  /** A hub with both keys, and sites that have the keys given. */
  function newSites(...keysOfSites: readonly Uint8Array[][]) {
    const group = newGroup({ sites: 0, group: { keys: [NEW, OLD] } });
    const sites = keysOfSites.map((keys, at) =>
      group.addOne(at + 1, {
        peers: [{ name: "hub", kind: "hub", keys, endpoints: [RIGHT], allowedIps: GROUP_NETWORKS }],
      }),
    );
    bringUp({ ...group, sites });
    return { ...group, sites };
  }

  function usesOf(hub: Host): readonly (readonly [string, number | undefined])[] {
    return peerOf(hub, "branch").keys.map(({ use, sites }) => [use, sites] as const);
  }

  it("are told by the sites that used each last, there or not", () => {
    const keys = [OLD];
    const { hub, world, sites } = newSites(keys, [OLD], [NEW]);
    expect(usesOf(hub)).toEqual([
      ["in-use", 1],
      ["in-use", 2],
    ]);

    keys.unshift(NEW);
    sites[0]?.host.restart();
    sites[1]?.host.stop();
    world.advance(SESSION_GONE_MS);
    expect(usesOf(hub)).toEqual([
      ["in-use", 2],
      ["peer-starts", 1],
    ]);
    expect(nodesOf(hub).map((node) => node.keys.length)).toEqual([1, 1]);
  });

  it("can lose the old one when every site that had it came back with the new one", () => {
    const keys = [OLD];
    const { hub, world, sites } = newSites(keys);
    expect(usesOf(hub)).toEqual([
      ["removable", 0],
      ["in-use", 1],
    ]);

    keys.unshift(NEW);
    sites[0]?.host.restart();
    world.advance(SESSION_GONE_MS);
    expect(usesOf(hub)).toEqual([
      ["in-use", 1],
      ["removable", 0],
    ]);
    // A hub never starts, so its site needs to know no more than that it accepts the new one.
    const [site] = sites;
    expect(site && uses(site.host)).toEqual(["first", "removable"]);
  });
});
