/** Which endpoint of several is used (rule 19), step by step, and what a change of it means to a peer. */
import { describe, expect, it } from "vitest";
import {
  FAILOVER_CANDIDATES,
  FAILOVER_STAGES,
  MAX_PROBES,
  PREFERRED_AGAIN_MS,
  PREFERRED_ANSWERS,
  PREFERRED_MS,
} from "../../../src/core/constants.ts";
import type { TunnelOptions } from "../../../src/core/options.ts";
import { isDead, moveEndpoint, plainEndpoint, rankOf } from "../../../src/core/path/endpoints.ts";
import { failoverDue, heardElsewhere, preferDue } from "../../../src/core/path/failover.ts";
import type { Peer, Session } from "../../../src/core/peers/peer.ts";
import { sendProbe } from "../../../src/core/session/control.ts";
import type { Timer } from "../../../src/core/session/deadlines.ts";
import type { State } from "../../../src/core/state.ts";
import { after } from "../../../src/core/time.ts";
import { MESSAGE_TYPE } from "../../../src/core/wire.ts";
import { endpoint as plain } from "../../helpers/address.ts";
import {
  addConfirmed,
  addPeer,
  newCore,
  rowFrom,
  START,
  takeEvents,
  takeSent,
  udp,
} from "../core-fixtures.ts";

/** Configured, the most preferred first; more than are asked at once. */
const [FIRST, SECOND, THIRD] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] as const;
const ALL = [FIRST, SECOND, THIRD, "192.0.2.4", "192.0.2.5", "192.0.2.6"];
const FOREIGN = "203.0.113.9";
const FAILOVER_MS = 4_000;

interface Site {
  readonly state: State;
  readonly peer: Peer;
  readonly session: Session;
}

interface Spec {
  /** The endpoint in use. */
  readonly at?: string;
  readonly failoverMs?: number;
  readonly options?: Partial<TunnelOptions>;
}

/** A peer with a session and these endpoints, and nothing due. */
function newSite({ at = FIRST, failoverMs = FAILOVER_MS, options = {} }: Spec = {}): Site {
  const state = newCore(options);
  const endpoints = ALL.map((ip) => plain(ip, 1194));
  const { peer } = addPeer(state, { endpoints, failoverMs });
  const session = addConfirmed(state, peer);
  peer.endpoint = udp(at);
  peer.timers.clearAll();
  takeSent(state);
  takeEvents(state);
  return { state, peer, session };
}

/** Addresses that got a probe, and those that got an INIT. */
function asked({ state }: Site): { readonly probed: string[]; readonly inits: string[] } {
  const sent = takeSent(state);
  const of = (type: number) => sent.filter((one) => one.type === type).map(({ to }) => to);
  return { probed: of(MESSAGE_TYPE.DATA), inits: of(MESSAGE_TYPE.INIT) };
}

/** The timer is set for `ms` from START, and for no earlier instant. */
function expectDueIn({ peer }: Site, timer: Timer, ms: number): void {
  expect(peer.timers.takeDue(timer, after(START, ms - 1))).toBe(false);
  expect(peer.timers.takeDue(timer, after(START, ms))).toBe(true);
}

/** Data from `ip`, which was asked before or was not; what else was sent to the peer waits for its answer. */
function hear({ state, peer, session }: Site, ip: string, isAsked = true): void {
  peer.timers.set("unanswered", after(START, 1));
  if (isAsked) sendProbe(state, session, udp(ip), START);
  const { rows, base } = rowFrom(udp(ip));
  heardElsewhere(state, peer, rows, base, START);
}

describe("a silent endpoint", () => {
  it("is asked twice, and with the third time given up: then the others are asked, and by an INIT", () => {
    const site = newSite({ at: SECOND });
    const { state, peer } = site;
    for (const ms of [0.25 * FAILOVER_MS, 0.25 * FAILOVER_MS]) {
      failoverDue(state, peer, START);
      expect(asked(site)).toEqual({ probed: [SECOND], inits: [] });
      expectDueIn(site, "failover", ms);
      expect([isDead(peer), peer.attempt, takeEvents(state)]).toEqual([false, undefined, []]);
    }

    failoverDue(state, peer, START);
    expect([isDead(peer), peer.failover.stage]).toEqual([true, FAILOVER_STAGES.length]);
    const { probed, inits } = asked(site);
    expect(probed).toEqual([SECOND, FIRST, THIRD, "192.0.2.4", "192.0.2.5"]);
    expect(inits.length).toBeGreaterThan(0);
    expect(takeEvents(state)).toEqual([
      { kind: "dead", peer: "other", endpoint: plain(SECOND, 1194) },
    ]);
    expectDueIn(site, "failover", 0.5 * FAILOVER_MS);
  });

  it("that was given up is asked on with the others, and reported once", () => {
    const site = newSite();
    const { state, peer } = site;
    for (let stage = 0; stage < 3; stage += 1) failoverDue(state, peer, START);
    asked(site);
    takeEvents(state);
    const { attempt } = peer;
    peer.attempt = undefined;

    failoverDue(state, peer, START);

    expect(attempt).toBeDefined();
    expect(asked(site)).toEqual({ probed: ALL.slice(0, 1 + FAILOVER_CANDIDATES), inits: [] });
    expect([takeEvents(state), peer.attempt]).toEqual([[], undefined]);
    expectDueIn(site, "failover", 0.5 * FAILOVER_MS);
  });

  it("is none without a session or an endpoint", () => {
    for (const gone of [{ current: undefined }, { endpoint: undefined }]) {
      const site = newSite();
      const { state, peer } = site;
      Object.assign(peer, gone);
      failoverDue(state, peer, START);
      expect([asked(site).probed, peer.failover.stage, peer.timers.earliest()]).toEqual([
        [],
        0,
        undefined,
      ]);
    }
  });
});

describe("the answer of another endpoint", () => {
  it.each<
    [string, string, Spec & { readonly isAlive?: boolean; readonly isAsked?: boolean }, string]
  >([
    ["is taken where the one in use is dead", SECOND, {}, SECOND],
    [
      "is not waited for thrice where the preferred one of a dead one answers",
      FIRST,
      { at: THIRD },
      FIRST,
    ],
    ["counts for nothing where the one in use lives", SECOND, { isAlive: true }, FIRST],
    ["counts for nothing where nobody asked it", SECOND, { isAsked: false }, FIRST],
    ["counts for nothing where it is not configured", FOREIGN, {}, FIRST],
    ["counts for nothing beyond those that are asked at once", "192.0.2.6", {}, FIRST],
    [
      "counts for nothing with failover off",
      SECOND,
      { failoverMs: Number.POSITIVE_INFINITY },
      FIRST,
    ],
  ])("%s", (_name, from, { isAlive = false, isAsked = true, ...spec }, end) => {
    const site = newSite(spec);
    const { peer } = site;
    peer.failover.stage = isAlive ? FAILOVER_STAGES.length - 1 : FAILOVER_STAGES.length;
    peer.failover.answers = 2;
    hear(site, from, isAsked);
    expect(peer.endpoint).toEqual(udp(end));
    const isMoved = end !== (spec.at ?? FIRST);
    expect([peer.failover.answers, isDead(peer)]).toEqual([isMoved ? 0 : 2, !isMoved && !isAlive]);
  });

  it("while none is in use is no reason to move", () => {
    const site = newSite();
    site.peer.endpoint = undefined;
    site.peer.failover.stage = FAILOVER_STAGES.length;
    hear(site, SECOND);
    expect(site.peer.endpoint).toBeUndefined();
  });

  it("that is preferred is taken at the third in a row, and asked again soon until then", () => {
    const site = newSite({ at: THIRD });
    const { peer } = site;
    for (let answers = 1; answers < PREFERRED_ANSWERS; answers += 1) {
      hear(site, SECOND);
      expect([peer.failover.answers, peer.endpoint]).toEqual([answers, udp(THIRD)]);
      expectDueIn(site, "prefer", PREFERRED_AGAIN_MS);
    }
    hear(site, FIRST);
    expect([peer.failover.answers, peer.endpoint]).toEqual([1, udp(THIRD)]);
    for (const answers of [1, 2]) {
      hear(site, SECOND);
      expect([peer.failover.answers, peer.endpoint]).toEqual([answers, udp(THIRD)]);
    }
    peer.timers.clear("prefer");
    hear(site, SECOND);
    expect([peer.failover.answers, peer.endpoint]).toEqual([0, udp(SECOND)]);
    expectDueIn(site, "prefer", PREFERRED_MS);
  });
});

describe("the preferred endpoints", () => {
  it.each([
    [SECOND, [FIRST]],
    [THIRD, [FIRST, SECOND]],
    ["192.0.2.6", ALL.slice(0, FAILOVER_CANDIDATES)],
    [FOREIGN, ALL.slice(0, FAILOVER_CANDIDATES)],
  ])("to %s are asked every 10 s", (at, probed) => {
    const site = newSite({ at });
    preferDue(site.state, site.peer, START);
    expect(asked(site)).toEqual({ probed, inits: [] });
    expectDueIn(site, "prefer", PREFERRED_MS);
  });

  it("are left alone where there is none, none can be used, or failover is off", () => {
    const off = newSite({ at: SECOND, failoverMs: Number.POSITIVE_INFINITY });
    const none = newSite();
    none.peer.endpoint = undefined;
    for (const site of [newSite(), off, none]) {
      preferDue(site.state, site.peer, START);
      expect([asked(site).probed, site.peer.timers.earliest()]).toEqual([[], undefined]);
    }
  });

  it("wait, and are not asked, while the one in use is dead or there is no session", () => {
    const dead = newSite({ at: SECOND });
    dead.peer.failover.stage = FAILOVER_STAGES.length;
    const idle = newSite({ at: SECOND });
    idle.peer.current = undefined;
    for (const site of [dead, idle]) {
      preferDue(site.state, site.peer, START);
      expect(asked(site).probed).toEqual([]);
      expectDueIn(site, "prefer", PREFERRED_MS);
    }
  });
});

describe("an endpoint that moves", () => {
  it("is told and counted, its path searched and measured anew, and the preferred one asked for later", () => {
    const site = newSite({
      options: { pathMtu: { linkMtu: 1500, raiseMs: 1 }, measuresQuality: true },
    });
    const { state, peer } = site;
    const now = after(START, 5);
    peer.quality?.addRoundTrip(20);
    moveEndpoint(state, peer, udp(SECOND, 7), now);

    expect(takeEvents(state)).toEqual([
      { kind: "endpoint", peer: "other", from: plain(FIRST, 1194), to: plain(SECOND, 7) },
    ]);
    expect([peer.endpoint, peer.endpointSince, peer.counters.endpointMoves]).toEqual([
      udp(SECOND, 7),
      now,
      1,
    ]);
    expect([peer.path?.misses, peer.quality?.snapshot().roundTrip]).toEqual([
      MAX_PROBES,
      undefined,
    ]);
    expectDueIn(site, "path", 5);
    expectDueIn(site, "prefer", 5 + PREFERRED_MS);
  });

  it("to where it is changes nothing, and the first one is no move", () => {
    const site = newSite();
    const { state, peer } = site;
    moveEndpoint(state, peer, udp(FIRST), after(START, 5));
    expect([peer.endpointSince, takeEvents(state)]).toEqual([START, []]);
    peer.endpoint = undefined;
    moveEndpoint(state, peer, udp(FIRST), after(START, 5));
    expect(takeEvents(state)).toMatchObject([{ from: undefined, to: plain(FIRST, 1194) }]);
    expect([peer.counters.endpointMoves, peer.timers.isSet("prefer")]).toEqual([0, false]);
  });

  it("has its rank among the configured ones, or comes last", () => {
    const { peer } = newSite();
    expect([FIRST, THIRD, FOREIGN].map((ip) => rankOf(peer, udp(ip)))).toEqual([0, 2, ALL.length]);
  });

  it("is told as a copy", () => {
    const own = udp(FIRST);
    plainEndpoint(own).address.fill(0);
    expect(own).toEqual(udp(FIRST));
  });
});
