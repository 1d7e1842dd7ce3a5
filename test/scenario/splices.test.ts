/**
 * Messages put together from others (FAULTS.md M4): of two types, of two live sessions, of two peers; and
 * whole messages of one peer that come as another's.
 *
 * A hub holds a session with each of two peers, and a fresh message of each type from each of them is held
 * back. Whatever is made of those must leave no trace; in the end each genuine one is accepted.
 */
import { describe, expect, it, vi } from "vitest";
import { figure } from "../helpers/figure.ts";
import { udpPacket, viewPacket } from "../helpers/packets.ts";
import { resized, TYPE, typeName } from "../helpers/wire-view.ts";
import { coreDigest, peerDigestOf } from "../sim/core-state.ts";
import type { Datagram } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import { dropTotal, endpointOf, isUp, peerOf } from "../sim/observe.ts";
import { addSite, newWorld, RIGHT } from "../sim/pair.ts";
import type { World } from "../sim/world.ts";

vi.mock("../../src/core/state.ts", async (original) =>
  (await import("../sim/core-state.ts")).withStatesKept(await original()),
);

const NAMES = ["x", "y"] as const;
type Name = (typeof NAMES)[number];
const ADDRESSES = { x: "192.0.2.1", y: "192.0.2.2" } as const;
const INNER = { x: "10.1.0.1", y: "10.3.0.1", hub: "10.9.0.2" } as const;

/** Sizes of the fields of a message, in order; those of DATA between header and tag are what is left. */
const FIELDS: Readonly<Record<number, readonly number[]>> = {
  [TYPE.INIT]: [4, 4, 32, 48, 16, 16],
  [TYPE.RESP]: [4, 4, 4, 32, 48, 16],
  [TYPE.CHALLENGE]: [4, 4, 24, 32],
  [TYPE.DATA]: [4, 4, 8, 0, 16],
};

describe("M4 splices of two types", () => {
  it("M4 every cut of every two messages of different types is refused", () => {
    const stage = staged();
    const held = [...stage.held.x.values(), ...stage.held.y.values()].map(({ bytes }) => bytes);
    const spliced: Uint8Array[] = [];
    for (const first of held) {
      for (const second of held.filter((other) => other[0] !== first[0])) {
        for (let cut = 1; cut < first.length; cut += 1) {
          const whole = Uint8Array.of(...first.subarray(0, cut), ...second.subarray(cut));
          spliced.push(whole, resized(whole, first.length));
        }
      }
    }

    expectNoTrace("cross-type splices", stage, spliced);
    expectGenuineAccepted(stage);
  });

  it("M4 every cut of every two messages of one type is refused", () => {
    const stage = staged();
    const spliced = [...stage.held.x.keys()].flatMap((type) => {
      const [x, y] = NAMES.map((name) => stage.held[name].get(type)?.bytes ?? new Uint8Array());
      if (x === undefined || y === undefined) return [];
      return Array.from({ length: x.length - 1 }, (_, at) => [
        Uint8Array.of(...x.subarray(0, at + 1), ...y.subarray(at + 1)),
        Uint8Array.of(...y.subarray(0, at + 1), ...x.subarray(at + 1)),
      ]).flat();
    });

    expectNoTrace("splices of one type", stage, spliced);
  });
});

describe("M4 fields swapped", () => {
  it("M4 between two live sessions of two peers: every choice of fields is refused", () => {
    const stage = staged();
    const swapped = [...stage.held.x.keys()].flatMap((type) => {
      const [x, y] = NAMES.map((name) => stage.held[name].get(type)?.bytes ?? new Uint8Array());
      return x === undefined || y === undefined ? [] : [...swaps(x, y), ...swaps(y, x)];
    });

    expectNoTrace("fields of two peers' sessions swapped", stage, swapped);
    expectGenuineAccepted(stage);
  });

  it("M4 between two live sessions of one peer: every choice of fields is refused", () => {
    const stage = connectedHub();
    const { world, hosts } = stage;
    const older = heldData(stage, "x");
    world.eve.withhold = () => false;
    hosts.x.act((tunnel, now) => tunnel.rekey("hub", now));
    world.advance(200);
    const newer = heldData(stage, "x");
    const both = peerOf(stage.hub, "x").sessions.filter(({ slot }) => slot !== "next");
    expect(both).toHaveLength(2);

    const swapped = [...swaps(older.bytes, newer.bytes), ...swaps(newer.bytes, older.bytes)];
    expectNoTrace("fields of one peer's sessions swapped", stage, swapped);
    for (const datagram of [older, newer]) world.eve.replay(datagram);
    world.settle();
    expect(stage.hub.delivered).toHaveLength(2);
  });
});

describe("M4 messages of one peer sent as another's", () => {
  it("M4 from its address they stay those of their maker: the other's state is untouched", () => {
    const stage = staged();
    const { world, hub } = stage;
    const before = peerDigestOf(hub, "y");
    const mark = world.eve.mark();

    for (const datagram of stage.held.x.values()) {
      world.eve.replay(datagram, { ip: ADDRESSES.y, port: 1194 });
    }
    world.settle();

    const sources = hub.delivered.map(({ bytes }) => viewPacket(bytes).source);
    const measured = `${sources.filter((source) => source !== INNER.x).length} accepted as y's`;
    figure("M4", "messages of x from y's address", measured, "0 accepted");
    expect(peerDigestOf(hub, "y")).toBe(before);
    expect(sources).toEqual([INNER.x]);
    expect(endpointOf(hub, "x")).toBe(`${ADDRESSES.x}:1194`);
    // The INIT's answer, the first keepalive of the session that the RESP made, and a path challenge for the data.
    expect(
      world.eve
        .since(mark)
        .map(({ bytes }) => typeName(bytes))
        .sort(),
    ).toEqual(["DATA", "DATA", "RESP"]);
  });

  it("M4 a holder of x's key with y's node id is x", () => {
    const stage = connectedHub();
    const { world, hub, sites } = stage;
    const before = peerDigestOf(hub, "y");
    const { host } = addSite(world, {
      ...sites.x.spec,
      name: "impostor",
      addresses: ["192.0.2.3"],
      nodeId: sites.y.spec.nodeId ?? new Uint8Array(16),
    });
    host.send(udpPacket(INNER.y, INNER.hub, new Uint8Array(4)));
    host.act((tunnel, now) => tunnel.rekey("hub", now));

    world.advance(1_000);

    expect(isUp(host, "hub")).toBe(true);
    expect(peerDigestOf(hub, "y")).toBe(before);
    expect(hub.delivered).toEqual([]);
    expect(hub.snapshot().drops.inner_source).toBe(1);
  });
});

interface Stage {
  readonly world: World;
  readonly hub: Host;
  readonly hosts: Readonly<Record<Name, Host>>;
  readonly sites: Readonly<Record<Name, ReturnType<typeof addSite>>>;
}

interface HeldStage extends Stage {
  /** By type, a fresh message of each peer to the hub. */
  readonly held: Readonly<Record<Name, ReadonlyMap<number, Datagram>>>;
}

/** A hub with a session with each of two peers. */
function connectedHub(): Stage {
  const world = newWorld();
  const keys = { x: world.random.bytes(32), y: world.random.bytes(32) };
  const { host: hub } = addSite(world, {
    name: "hub",
    addresses: [RIGHT.ip],
    peers: NAMES.map((name) => ({
      name,
      keys: [keys[name]],
      endpoints: [{ ip: ADDRESSES[name], port: 1194 }],
      allowedIps: [`${INNER[name]}/32`],
    })),
  });
  const site = (name: Name) =>
    addSite(world, {
      name,
      addresses: [ADDRESSES[name]],
      nodeId: world.random.bytes(16),
      peers: [{ name: "hub", keys: [keys[name]], endpoints: [RIGHT], allowedIps: ["0.0.0.0/0"] }],
    });
  const sites = { x: site("x"), y: site("y") };
  const hosts = { x: sites.x.host, y: sites.y.host };
  for (const name of NAMES) hosts[name].act((tunnel, now) => tunnel.rekey("hub", now));
  world.advance(1_000);
  expect(NAMES.map((name) => isUp(hub, name))).toEqual([true, true]);
  return { world, hub, hosts, sites };
}

/** The same with a message of each type held back; the CHALLENGEs are of a handshake that is over. */
function staged(): HeldStage {
  const stage = connectedHub();
  const { world, hub, hosts } = stage;
  const challenges = {
    x: heldChallenge(stage, "x"),
    y: heldChallenge(stage, "y"),
  };
  const held = { x: new Map<number, Datagram>(), y: new Map<number, Datagram>() };
  for (const name of NAMES) held[name].set(TYPE.DATA, heldData(stage, name));
  world.eve.withhold = ({ by }) => by !== "hub";
  for (const name of NAMES) {
    hosts[name].act((tunnel, now) => tunnel.rekey("hub", now));
    world.settle();
    held[name].set(TYPE.INIT, world.eve.last(name, TYPE.INIT));
    hub.act((tunnel, now) => tunnel.rekey(name, now));
  }
  world.advance(15);
  for (const name of NAMES) {
    held[name].set(TYPE.RESP, world.eve.last(name, TYPE.RESP));
    held[name].set(TYPE.CHALLENGE, challenges[name]);
  }
  world.eve.withhold = () => true;
  hub.delivered.length = 0;
  return { ...stage, held };
}

/** A peer that forgot the hub's stamps asks it to prove its address; then a session comes up again. */
function heldChallenge({ world, hub, hosts }: Stage, name: Name): Datagram {
  hosts[name].restart();
  hub.act((tunnel, now) => tunnel.rekey(name, now));
  world.advance(1_000);
  expect(isUp(hub, name)).toBe(true);
  return world.eve.last(name, TYPE.CHALLENGE);
}

function heldData({ world, hosts }: Stage, name: Name): Datagram {
  world.eve.withhold = () => true;
  hosts[name].send(udpPacket(INNER[name], INNER.hub, new Uint8Array(40)));
  world.settle();
  return world.eve.last(name, TYPE.DATA);
}

/** `base` with every choice of its fields, but none and all, taken from `other`. */
function swaps(base: Uint8Array, other: Uint8Array): Uint8Array[] {
  const sizes = FIELDS[base[0] ?? 0] ?? [];
  const rest = base.length - sizes.reduce((sum, size) => sum + size, 0);
  const swapped: Uint8Array[] = [];
  for (let choice = 1; choice < 2 ** sizes.length - 1; choice += 1) {
    const copy = base.slice();
    let at = 0;
    for (const [index, size] of sizes.entries()) {
      const end = at + (size === 0 ? rest : size);
      if ((choice & (1 << index)) !== 0) copy.set(other.subarray(at, end), at);
      at = end;
    }
    swapped.push(copy);
  }
  return swapped;
}

/** Offers all of them, but for those that are genuine after all, from the address of either peer. */
function expectNoTrace(what: string, { world, hub }: Stage, offered: readonly Uint8Array[]): void {
  const genuine = world.eve.seen.map(({ bytes }) => bytes);
  const spoilt = offered.filter(
    (bytes) => !genuine.some((one) => Buffer.compare(one, bytes) === 0),
  );
  const [digest, drops, delivered] = [coreDigest(hub), dropTotal(hub), hub.delivered.length];
  const mark = world.eve.mark();
  for (const name of NAMES) {
    for (const bytes of spoilt) world.eve.inject(RIGHT, bytes, { ip: ADDRESSES[name], port: 1194 });
  }

  world.settle();

  const accepted = 2 * spoilt.length - (dropTotal(hub) - drops);
  const replies = world.eve.since(mark).length;
  const measured = `${accepted} of ${2 * spoilt.length} accepted, ${replies} replies`;
  figure("M4", what, measured, "0 accepted");
  expect(coreDigest(hub)).toBe(digest);
  expect([accepted, replies, hub.delivered.length - delivered]).toEqual([0, 0, 0]);
}

/** Each held message but the old CHALLENGE does what it is for. */
function expectGenuineAccepted({ world, hub, held }: HeldStage): void {
  for (const name of NAMES) {
    const { handshakeComputations } = hub.snapshot();
    const { sessions } = peerOf(hub, name).counters;
    hub.delivered.length = 0;
    for (const type of [TYPE.DATA, TYPE.INIT, TYPE.RESP]) {
      const datagram = held[name].get(type);
      if (datagram !== undefined) world.eve.replay(datagram);
    }
    world.settle();
    expect(hub.delivered).toHaveLength(1);
    expect(hub.snapshot().handshakeComputations).toBeGreaterThan(handshakeComputations);
    expect(peerOf(hub, name).counters.sessions).toBe(sessions + 1);
  }
}
