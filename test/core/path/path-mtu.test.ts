/** The path MTU of one peer (rule 18), step by step: what is asked when, and what answers and their absence change. */
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/core/address.ts";
import {
  CONFIRMATION_MS,
  MAX_PROBES,
  REJECT_AFTER_MS,
  SEARCH_RETRY_MS,
} from "../../../src/core/constants.ts";
import {
  pathDue,
  pathProbeAnswered,
  raisePath,
  searchPath,
} from "../../../src/core/path/path-mtu.ts";
import type { Peer } from "../../../src/core/peers/peer.ts";
import type { Timer } from "../../../src/core/session/deadlines.ts";
import type { State } from "../../../src/core/state.ts";
import { after } from "../../../src/core/time.ts";
import { FRAME } from "../../../src/core/wire.ts";
import {
  addConfirmed,
  addPeer,
  newCore,
  START,
  takeEvents,
  takeSent,
  udp,
} from "../core-fixtures.ts";

const HOME = "198.51.100.1";
const OUTER = 28;
const RAISE_MS = 600_000;

interface Site {
  readonly state: State;
  readonly peer: Peer;
  readonly path: NonNullable<Peer["path"]>;
  readonly to: Endpoint;
}

interface Spec {
  readonly linkMtu?: number;
  readonly mtu?: number;
  readonly remoteMtu?: number;
  readonly ip?: string;
  readonly raiseMs?: number;
}

/** A peer with a session and an address, and nothing due. */
function newSite({ linkMtu = 1500, mtu = 9156, remoteMtu, ip = HOME, raiseMs }: Spec = {}): Site {
  const state = newCore({ mtu, pathMtu: { linkMtu, raiseMs: raiseMs ?? RAISE_MS } });
  const { peer } = addPeer(state);
  addConfirmed(state, peer);
  const to = udp(ip);
  peer.endpoint = to;
  peer.remote = remoteMtu === undefined ? undefined : { mtu: remoteMtu, keepaliveSeconds: 0 };
  peer.timers.clearAll();
  takeEvents(state);
  takeSent(state);
  if (peer.path === undefined) throw new Error("the MTU is fixed");
  return { state, peer, path: peer.path, to };
}

/** A peer whose path is known to carry `confirmed`. */
function newKnown(confirmed: number, spec?: Spec): Site {
  const site = newSite(spec);
  search(site, confirmed);
  takeEvents(site.state);
  site.peer.timers.clearAll();
  expect(site.path.confirmed).toBe(confirmed);
  return site;
}

/** What the timer does at `now`; the sizes that are asked, bytes of the outer packet. */
function due({ state, peer }: Site, now = START): number[] {
  peer.timers.clear("path");
  pathDue(state, peer, now);
  return asked(state);
}

function asked(state: State): number[] {
  const probes = takeSent(state).filter(({ plaintext: [type] }) => type === FRAME.PROBE);
  return probes.map(({ to, bytes }) => bytes.length + (to.includes(":") ? 48 : OUTER));
}

function answer({ peer, to }: Site, bytes: number, now = START): void {
  pathProbeAnswered(peer, bytes - OUTER, to, now);
}

/** A whole search over a path that carries `size`; its rounds. */
function search(site: Site, size: number): number {
  searchPath(site.peer, START);
  for (let rounds = 0; ; rounds += 1) {
    for (const bytes of due(site)) if (bytes <= size) answer(site, bytes);
    if (site.path.search === undefined) return rounds;
    expect(rounds).toBeLessThan(20);
  }
}

/** The timer is set for `ms` from START, and for no earlier instant. */
function expectDueIn({ peer }: Site, timer: Timer, ms: number): void {
  expect(peer.timers.takeDue(timer, after(START, ms - 1))).toBe(false);
  expect(peer.timers.takeDue(timer, after(START, ms))).toBe(true);
}

describe("a search", () => {
  it("begins at once, whatever was known, and takes the place of a later one", () => {
    const site = newKnown(1400);
    const { peer, path } = site;
    raisePath(site.state, peer, START);
    path.retryMs = 7;
    peer.timers.set("raise", after(START, 5));
    searchPath(peer, after(START, 1));

    expect(peer.timers.isSet("raise")).toBe(false);
    expectDueIn(site, "path", 1);
    expect([path.search, path.misses, path.retryMs]).toEqual([
      undefined,
      MAX_PROBES,
      SEARCH_RETRY_MS,
    ]);
    expect(due(site)).toEqual([1280, 1400, 1492, 1500]);
    expect(path.misses).toBe(0);
  });

  it.each<[string, Spec, number[]]>([
    ["our link", { linkMtu: 1480 }, [1280, 1400, 1480]],
    ["our device, over IPv4", { mtu: 1400 }, [1280, 1400, 1460]],
    ["our device, over IPv6", { mtu: 1400, ip: "fd00::9" }, [1280, 1400, 1480]],
    ["the other side", { remoteMtu: 1390 }, [1280, 1400, 1450]],
    ["the other side, but never less than 1280 inside", { remoteMtu: 576 }, [1280, 1340]],
    ["nothing but the largest path", { linkMtu: 9216 }, [1280, 1400, 1492, 1500, 9000, 9216]],
    ["a link of less than 1280, which is asked all the same", { linkMtu: 1000 }, [1280]],
  ])("asks for no more than is of use: %s", (_name, spec, sizes) => {
    const site = newSite(spec);
    searchPath(site.peer, START);
    expect(due(site)).toEqual(sizes);
  });

  it("is none where the MTU is fixed, no endpoint is known, or no session can seal", () => {
    const fixed = newCore();
    const { peer } = addPeer(fixed);
    addConfirmed(fixed, peer);
    peer.endpoint = udp(HOME);
    peer.timers.clearAll();
    searchPath(peer, START);
    raisePath(fixed, peer, START);
    pathProbeAnswered(peer, 1472, udp(HOME), START);
    pathDue(fixed, peer, START);
    expect([peer.timers.earliest(), takeEvents(fixed).length]).toEqual([undefined, 1]);

    for (const spoil of [
      ({ peer: one }: Site) => Object.assign(one, { endpoint: undefined }),
      ({ peer: one }: Site) => Object.assign(one, { current: undefined }),
      ({ peer: { current } }: Site) => Object.assign(current ?? {}, { isEnded: true }),
    ]) {
      const site = newSite();
      searchPath(site.peer, START);
      spoil(site);
      expect([due(site), site.path.search]).toEqual([[], undefined]);
    }
    const old = newSite();
    searchPath(old.peer, START);
    expect(due(old, after(START, REJECT_AFTER_MS))).toEqual([]);
    expect(old.path.search).toBeUndefined();
  });

  it.each([
    [undefined, 0, 500],
    [20, 1, 120],
    [200, 50, 400],
    [200, 25, 300],
    [2_950, 10, 3_000],
  ])("waits for answers by the round trip: %s and %i are %i ms", (smoothed, variation, ms) => {
    const site = newSite();
    Object.assign(site.peer.roundTrip, { smoothed, variation });
    searchPath(site.peer, START);
    due(site);
    expectDueIn(site, "path", ms);

    const known = newKnown(1500);
    Object.assign(known.peer.roundTrip, { smoothed, variation });
    known.path.hasLarge = true;
    due(known);
    expectDueIn(known, "path", ms);
  });

  it("goes on at once when all of a round is answered, and not by what another address says", () => {
    const site = newSite();
    const { peer } = site;
    searchPath(peer, START);
    due(site);
    pathProbeAnswered(peer, 1500 - OUTER, udp("203.0.113.9"), START);
    for (const bytes of [1280, 1400, 1492]) answer(site, bytes, after(START, 9));
    expectDueIn(site, "path", 500);
    answer(site, 1500, after(START, 9));
    expectDueIn(site, "path", 9);
    peer.endpoint = undefined;
    answer(site, 9000);
    expect(site.path.search?.passed).toBe(1500);
  });

  it("that finds all that is of use never asks again by itself; one that finds less does", () => {
    const whole = newSite();
    expect(search(whole, 1500)).toBe(1);
    expect(whole.peer.timers.isSet("raise")).toBe(false);
    const less = newSite();
    search(less, 1499);
    expect(less.path.confirmed).toBe(1499);
    expectDueIn(less, "raise", RAISE_MS);
  });

  it("that finds nothing is tried again after 5 s, then twice as long each time, up to the period", () => {
    const site = newSite({ raiseMs: 18_000 });
    const { state, peer, path } = site;
    searchPath(peer, START);
    for (const ms of [5_000, 10_000, 18_000, 18_000]) {
      path.hasLarge = true;
      for (let round = 0; round <= MAX_PROBES; round += 1) due(site);
      expect([path.search, path.hasLarge]).toEqual([undefined, false]);
      expectDueIn(site, "raise", ms);
      raisePath(state, peer, START);
      expectDueIn(site, "path", 0);
    }
    expect([peer.mtu, takeEvents(state)]).toEqual([1280, []]);
    expect(due(site)).toEqual([1280, 1400, 1492, 1500]);
    answer(site, 1500);
    due(site);
    expect(path.retryMs).toBe(SEARCH_RETRY_MS);
  });
});

describe("a size that passed", () => {
  it("is taken into use, and told, as soon as a round ends", () => {
    const site = newSite();
    const { state, peer, path } = site;
    searchPath(peer, START);
    due(site);
    answer(site, 1400);
    expect(peer.mtu).toBe(1280);
    due(site);
    expect([path.confirmed, peer.carries, peer.mtu]).toEqual([1400, 1340, 1340]);
    expect(takeEvents(state)).toEqual([
      { kind: "mtu", peer: "other", from: 1280, mtu: 1340, pathMtu: 1400 },
    ]);
  });

  it("is told the first time whatever it is, and later where packets of another size fit", () => {
    const site = newSite();
    const { state, peer, path } = site;
    search(site, 1280);
    expect(takeEvents(state)).toMatchObject([{ from: 1280, mtu: 1280, pathMtu: 1280 }]);
    expect([path.confirmed, peer.carries]).toEqual([1280, 1220]);
    search(site, 1300);
    expect([path.confirmed, peer.carries, peer.mtu]).toEqual([1300, 1240, 1280]);
    expect(takeEvents(state)).toEqual([]);
    search(site, 1341);
    expect(takeEvents(state)).toMatchObject([{ from: 1280, mtu: 1281, pathMtu: 1341 }]);
  });

  it("and is smaller than the one in use counts only after two rounds", () => {
    const site = newKnown(1500);
    const { peer, path } = site;
    searchPath(peer, START);
    due(site);
    answer(site, 1400);
    due(site);
    expect([path.confirmed, peer.mtu]).toEqual([1500, 1440]);
    due(site);
    expect([path.confirmed, peer.mtu]).toEqual([1400, 1340]);
  });
});

describe("the size in use", () => {
  it("is asked for where large datagrams were sent, and only then", () => {
    const site = newKnown(1400);
    expect([due(site), site.path.isConfirming, site.peer.timers.isSet("path")]).toEqual([
      [],
      false,
      false,
    ]);
    site.path.hasLarge = true;
    expect([due(site), site.path.isConfirming]).toEqual([[1400], true]);
  });

  it("is searched for anew after three probes without an answer", () => {
    const site = newKnown(1400);
    const { path } = site;
    path.hasLarge = true;
    for (const misses of [0, 1, 2]) {
      expect(due(site)).toEqual([1400]);
      expect([path.misses, path.search]).toEqual([misses, undefined]);
      path.hasLarge = false;
    }
    expect(due(site)).toEqual([1280, 1400, 1492, 1500]);
    expect([path.misses, path.isConfirming]).toEqual([0, false]);
  });

  it.each([
    ["its own answer", 1400, [0, false, false, false]],
    ["a larger one", 1401, [0, false, false, false]],
    ["no smaller one", 1399, [1, true, true, true]],
  ])("is confirmed by %s", (_name, bytes, left) => {
    const site = newKnown(1400);
    const { path, peer } = site;
    path.hasLarge = true;
    due(site);
    due(site);
    answer(site, bytes, after(START, CONFIRMATION_MS));
    const { misses, hasLarge, isConfirming } = path;
    expect([misses, hasLarge, isConfirming, peer.timers.isSet("path")]).toEqual(left);
  });

  it("is not confirmed while none is known: a late answer does not put the search off", () => {
    const site = newSite();
    searchPath(site.peer, START);
    answer(site, 1500);
    expect([site.peer.timers.isSet("path"), site.path.misses]).toEqual([true, MAX_PROBES]);
  });
});

describe("a look for more", () => {
  it("goes up from what is known, and counts a probe under way as no miss", () => {
    const site = newKnown(1400);
    const { state, peer, path } = site;
    path.isConfirming = true;
    raisePath(state, peer, after(START, 3));
    expectDueIn(site, "path", 3);
    const sizes = due(site);
    expect([path.misses, Math.min(...sizes) > 1400, sizes.at(-1)]).toEqual([0, true, 1500]);
  });

  it("is none while a search is under way, or without an endpoint", () => {
    const site = newKnown(1400);
    const { state, peer, path } = site;
    peer.endpoint = undefined;
    raisePath(state, peer, START);
    expect([path.search, peer.timers.isSet("path")]).toEqual([undefined, false]);
    peer.endpoint = site.to;
    raisePath(state, peer, START);
    due(site);
    const { search: under } = path;
    raisePath(state, peer, START);
    expect(path.search).toBe(under);
    expectDueIn(site, "path", 500);
  });

  it("on a path that fell far goes down to the byte", () => {
    const site = newKnown(1500, { linkMtu: 1500 });
    expect(search(site, 1350)).toBeGreaterThan(2);
    expect([site.path.confirmed, site.peer.mtu]).toEqual([1350, 1290]);
  });
});
