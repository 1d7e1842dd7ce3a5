/** What being sent to and heard from means for each timer of a peer (rule 11). */
import { describe, expect, it } from "vitest";
import {
  CONFIRMATION_MS,
  FAILOVER_STAGES,
  MEASURE_MS,
  PASSIVE_KEEPALIVE_MS,
  STALE_AFTER_MS,
  UNANSWERED_DATA_MS,
} from "../../../src/core/constants.ts";
import type { PeerOptions, TunnelOptions } from "../../../src/core/options.ts";
import type { Peer } from "../../../src/core/peers/peer.ts";
import type { Timer } from "../../../src/core/session/deadlines.ts";
import { armKeepalive, noteHeard, noteSent } from "../../../src/core/session/liveness.ts";
import { after } from "../../../src/core/time.ts";
import { endpoint } from "../../helpers/address.ts";
import { addPeer, newCore, START } from "../core-fixtures.ts";

const TWO = { endpoints: [endpoint("192.0.2.1", 1194), endpoint("192.0.2.2", 1194)] };
const ONE = { endpoints: TWO.endpoints.slice(1) };
const AUTO = { pathMtu: { linkMtu: 1500, raiseMs: 1_000 } };
const MEASURED = { measuresQuality: true };

function newPeer(spec: Partial<PeerOptions> = {}, options: Partial<TunnelOptions> = {}): Peer {
  return addPeer(newCore(options), spec).peer;
}

/** Every timer that is set, by milliseconds from START; all are cleared. */
function takeTimers({ timers }: Peer): Partial<Record<Timer, number>> {
  const found: Partial<Record<Timer, number>> = {};
  for (let next = timers.earliest(); next !== undefined; next = timers.earliest()) {
    found[next.timer] = next.at - START;
    timers.clear(next.timer);
  }
  return found;
}

const UNANSWERED = { unanswered: UNANSWERED_DATA_MS };

describe("what is sent", () => {
  it.each<[string, Partial<PeerOptions>, Partial<TunnelOptions>, Partial<Record<Timer, number>>]>([
    ["nothing else", ONE, {}, {}],
    ["the configured keepalive", { keepaliveSeconds: 25 }, {}, { keepalive: 25_000 }],
    ["the next endpoint", { ...TWO, failoverMs: 3_000 }, {}, { failover: 1_500 }],
    ["the next report", ONE, MEASURED, { measure: MEASURE_MS }],
    ["the next look at the path", ONE, AUTO, { path: CONFIRMATION_MS }],
  ])("and is to be answered sets, besides the wait for that, %s", (_name, spec, options, more) => {
    const peer = newPeer(spec, options);
    noteSent(peer, true, START);
    expect(takeTimers(peer)).toEqual({ ...UNANSWERED, ...more });
  });

  it("and needs no answer puts off the keepalive alone", () => {
    const peer = newPeer({ ...TWO, keepaliveSeconds: 25 }, { ...AUTO, ...MEASURED });
    peer.timers.set("passiveKeepalive", START);
    noteSent(peer, false, START);
    expect([takeTimers(peer), peer.sends]).toEqual([{ keepalive: 25_000 }, 1]);
  });

  it("moves no timer that runs, and begins no stage anew", () => {
    const peer = newPeer({ ...TWO, failoverMs: 3_000 }, { ...AUTO, ...MEASURED });
    noteSent(peer, true, START);
    peer.failover.stage = 1;
    for (const isAnswered of [false, true]) {
      if (isAnswered) peer.timers.clear("unanswered");
      noteSent(peer, true, after(START, 5));
    }
    const { unanswered, ...others } = takeTimers(peer);
    expect(unanswered).toBe(UNANSWERED_DATA_MS + 5);
    expect(others).toEqual({ failover: 1_500, measure: MEASURE_MS, path: CONFIRMATION_MS });
    expect(peer.failover.stage).toBe(1);
  });

  it("first after the others were given up begins at the first stage", () => {
    const peer = newPeer(TWO);
    peer.failover.stage = FAILOVER_STAGES.length;
    noteSent(peer, true, START);
    expect(peer.failover.stage).toBe(0);
  });

  it("is counted in 32 bits", () => {
    const peer = newPeer();
    peer.sends = 0x7fff_ffff;
    noteSent(peer, false, START);
    expect(peer.sends).toBe(-0x8000_0000);
  });
});

describe("what is heard", () => {
  it.each<[boolean, boolean, Partial<Record<Timer, number>>]>([
    [true, true, { passiveKeepalive: PASSIVE_KEEPALIVE_MS, measure: MEASURE_MS }],
    [true, false, {}],
    [false, true, { ...UNANSWERED, passiveKeepalive: PASSIVE_KEEPALIVE_MS, measure: MEASURE_MS }],
    [false, false, UNANSWERED],
  ])("on the session in use: %s, as a packet: %s", (isCurrent, isPacket, timers) => {
    const peer = newPeer(ONE, MEASURED);
    peer.timers.set("unanswered", after(START, UNANSWERED_DATA_MS));
    noteHeard(peer, isCurrent, isPacket, START);
    expect(takeTimers(peer)).toEqual({ stale: STALE_AFTER_MS, ...timers });
    expect(peer.lastHeardAt).toBe(START);
  });

  it("again puts off only that the peer counts as gone", () => {
    const peer = newPeer(ONE, MEASURED);
    noteHeard(peer, true, true, START);
    noteHeard(peer, true, true, after(START, 9));
    expect(takeTimers(peer)).toEqual({
      stale: STALE_AFTER_MS + 9,
      passiveKeepalive: PASSIVE_KEEPALIVE_MS,
      measure: MEASURE_MS,
    });
  });
});

it("a keepalive that is not configured moves nothing", () => {
  const peer = newPeer();
  peer.timers.set("keepalive", START);
  armKeepalive(peer, START);
  expect(takeTimers(peer)).toEqual({ keepalive: 0 });
});
