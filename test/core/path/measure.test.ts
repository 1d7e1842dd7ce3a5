/** Reports and measuring probes of one peer (rule 20): when they leave, and what one that arrives may say. */
import { describe, expect, it } from "vitest";
import { MEASURE_MS, MEASURED_PROBE_BYTES } from "../../../src/core/constants.ts";
import { measureDue, probeMeasured, reportReceived } from "../../../src/core/path/measure.ts";
import type { Peer, Session } from "../../../src/core/peers/peer.ts";
import { sendReport } from "../../../src/core/session/control.ts";
import type { State } from "../../../src/core/state.ts";
import { after } from "../../../src/core/time.ts";
import { FRAME, REPORT_FRAME, viewOf } from "../../../src/core/wire.ts";
import { addConfirmed, addPeer, newCore, START, takeSent, udp } from "../core-fixtures.ts";

const HOME = udp("198.51.100.1");
const AWAY = udp("203.0.113.9");

interface Site {
  readonly state: State;
  readonly peer: Peer;
  readonly session: Session;
}

/** A peer with a session, nothing sent or heard of it, and nothing due. */
function newSite(measuresQuality = true): Site {
  const state = newCore({ measuresQuality });
  const { peer } = addPeer(state);
  const session = addConfirmed(state, peer);
  peer.endpoint = HOME;
  peer.timers.clearAll();
  return { state, peer, session };
}

/** Types of the frames that leave when the period is over. */
function due({ state, peer }: Site): number[] {
  measureDue(state, peer, START);
  return takeSent(state).map(({ plaintext }) => plaintext[0] ?? 0);
}

/** What the other side says: the highest counter it saw, datagrams but probes that came, and probes that it sealed. */
function report(highest: number, received: number, probes = 0): Uint8Array {
  const frame = new Uint8Array(REPORT_FRAME.SIZE);
  const view = viewOf(frame);
  frame[0] = FRAME.REPORT;
  view.setBigUint64(REPORT_FRAME.highest, BigInt(highest), true);
  view.setBigUint64(REPORT_FRAME.received, BigInt(received), true);
  view.setUint32(REPORT_FRAME.probes, probes, true);
  return frame;
}

describe("at the end of a period", () => {
  it("in which packets flowed a probe leaves, and a report of each session that heard of any", () => {
    const site = newSite();
    const { peer, session } = site;
    peer.counters.inboundPackets = 3;
    peer.counters.outboundPackets = 2;
    session.receivedPackets = 4;
    expect(due(site)).toEqual([FRAME.REPORT, FRAME.PROBE]);
    expect(peer.timers.takeDue("measure", after(START, MEASURE_MS - 1))).toBe(false);
    expect(peer.timers.takeDue("measure", after(START, MEASURE_MS))).toBe(true);

    // As many packets as a difference would not tell from none.
    peer.counters.inboundPackets += 1;
    peer.counters.outboundPackets += 1;
    expect(due(site)).toEqual([FRAME.PROBE]);
    session.receivedPackets += 1;
    peer.previous = addConfirmed(site.state, peer, { stamp: 2 });
    peer.previous.receivedPackets = 1;
    peer.current = session;
    takeSent(site.state);
    peer.counters.inboundPackets += 1;
    expect(due(site)).toEqual([FRAME.REPORT, FRAME.REPORT, FRAME.PROBE]);
  });

  it("in which none flowed nothing leaves, and no other period begins", () => {
    const site = newSite();
    site.session.receivedPackets = 4;
    site.peer.counters.outboundPackets = 1;
    due(site);
    site.peer.timers.clearAll();
    site.session.receivedPackets = 5;
    expect([due(site), site.peer.timers.earliest()]).toEqual([[], undefined]);
  });

  it("nothing leaves where nothing is measured, or there is nowhere or nothing to send on", () => {
    const [unmeasured, nowhere, idle] = [newSite(false), newSite(), newSite()];
    nowhere.peer.endpoint = undefined;
    idle.peer.current = undefined;
    for (const site of [unmeasured, nowhere, idle]) {
      site.peer.counters.outboundPackets = 1;
      site.session.receivedPackets = 1;
      expect(due(site)).toEqual([]);
      expect(site.peer.timers.isSet("measure")).toBe(site !== unmeasured);
      expect(site.session.reportedPackets).toBe(0);
    }
  });
});

describe("a report", () => {
  it("says what came of the session but probes, and how many of those it sealed", () => {
    const { state, session } = newSite();
    session.window.commit(0x1_0203);
    Object.assign(session, { receivedPackets: 9, probesReceived: 2, probesSent: 0x104 });
    sendReport(state, session, HOME, START);
    expect(takeSent(state).map(({ plaintext }) => plaintext)).toEqual([
      [FRAME.REPORT, 3, 2, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0],
    ]);
  });

  it("tells what was lost each way since the last, probes apart", () => {
    const { peer, session } = newSite();
    const { quality } = peer;
    Object.assign(session, { nextCounter: 100, probesSent: 10 });
    session.window.commit(59);
    Object.assign(session, { receivedPackets: 38, probesReceived: 8 });
    expect(reportReceived(session, report(89, 60, 20))).toBeUndefined();
    // 90 were sent of which 10 were probes, and 60 came; 60 were sent to us of which 20 were probes, and 30 came.
    expect(quality?.snapshot()).toMatchObject({ outboundLoss: 0.25, inboundLoss: 0.25 });

    session.window.commit(79);
    session.receivedPackets = 58;
    expect(reportReceived(session, report(99, 70, 20))).toBeUndefined();
    expect(session.told).toEqual({ sent: 90, received: 70 });
    expect(session.seen).toEqual({ sent: 60, received: 50 });
    expect(quality?.snapshot()).toMatchObject({
      outboundLoss: 1 - 70 / 90,
      inboundLoss: 1 - 50 / 60,
    });
  });

  it.each<[string, Uint8Array]>([
    ["that came out of order: fewer sent", report(49, 40)],
    ["that came out of order: fewer received", report(50, 39)],
  ])("%s, tells nothing", (_name, late) => {
    const { session } = newSite();
    session.nextCounter = 100;
    reportReceived(session, report(49 + 1, 40));
    const { told } = session;
    session.window.commit(9);
    expect(reportReceived(session, late)).toBeUndefined();
    expect([session.told, session.seen]).toEqual([told, { sent: 0, received: 0 }]);
  });

  it("with nothing new one way still tells of the other", () => {
    const { session } = newSite();
    session.nextCounter = 100;
    reportReceived(session, report(50, 40));
    session.window.commit(9);
    session.receivedPackets = 5;
    reportReceived(session, report(50, 40, 3));
    expect(session.seen).toEqual({ sent: 7, received: 5 });
    // More probes on their way than datagrams came: it waits until they have.
    reportReceived(session, report(50, 41, 4));
    expect([session.seen, session.told]).toEqual([
      { sent: 7, received: 5 },
      { sent: 51, received: 41 },
    ]);
  });

  it.each<[string, Uint8Array, string | undefined]>([
    ["as many as were sealed", report(99, 100), undefined],
    ["a counter that was not sealed", report(100, 5), "bad_control"],
    ["more received than were sealed", report(5, 101), "bad_control"],
  ])("is refused where it says what cannot be: %s", (_name, frame, reason) => {
    const { session } = newSite();
    Object.assign(session, { nextCounter: 100, probesSent: 40 });
    expect(reportReceived(session, frame)).toBe(reason);
    if (reason !== undefined) expect(session.told).toEqual({ sent: 0, received: 0 });
  });

  it("is read and kept nowhere where nothing is measured", () => {
    const { session } = newSite(false);
    session.nextCounter = 100;
    expect(reportReceived(session, report(10, 5))).toBeUndefined();
    expect(session.told).toEqual({ sent: 0, received: 0 });
  });
});

describe("an answered probe", () => {
  it.each([
    [MEASURED_PROBE_BYTES, HOME, 25],
    [MEASURED_PROBE_BYTES + 1, HOME, undefined],
    [MEASURED_PROBE_BYTES, AWAY, undefined],
  ])(
    "of %i bytes tells the round trip where it is short and came by the path in use",
    (bytes, to, smoothed) => {
      const { peer } = newSite();
      const probe = { id: 0, bytes, to, sentAt: START };
      probeMeasured(peer, probe, after(START, 25));
      expect(peer.quality?.snapshot().roundTrip?.smoothed).toBe(smoothed);
      peer.endpoint = undefined;
      probeMeasured(peer, probe, after(START, 99));
      expect(peer.quality?.snapshot().roundTrip?.smoothed).toBe(smoothed);
    },
  );
});
