/**
 * The engine's loop over fakes: order, bounds, readiness, timers, messages and the ways it ends.
 */
import { describe, expect, it } from "vitest";
import {
  MESSAGE,
  MESSAGE_FIELDS,
  PACKET,
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
  PACKET_PART,
} from "../../src/core/rows.ts";
import { type Instant, NEVER } from "../../src/core/time.ts";
import { BATCHES_PER_TURN, READY } from "../../src/engine/engine.ts";
import { EVENTS_PER_REPORT } from "../../src/engine/events.ts";
import { FRUITLESS_CALLS } from "../../src/engine/watch-guard.ts";
import { ROWS, rig } from "./fakes.ts";

describe("the order of a turn", () => {
  it("is a batch read from UDP, timers, transmits, UDP, TUN, re-arm", () => {
    const { engine, tunnel, udp, tun, journal } = rig();
    tunnel.transmits.push(1);
    tunnel.delivered = 2;
    tunnel.outgoing = 3;
    tunnel.replies = 1;
    udp.reads.push(2);
    tun.reads.push(3);

    engine.turn(READY.UDP | READY.TUN);

    expect(journal).toEqual([
      "udp.receive=2",
      "wall=7",
      "timeout",
      "transmit=1",
      "udp.send(1)",
      "datagrams(2)",
      "tun.write(2)",
      "tun.read=3",
      "packets(3)",
      "udp.send(3)",
      "tun.write(1)",
      "poll",
    ]);
  });

  it("has a time after its first datagrams were read, so that none seems to have come before", () => {
    const { engine, tunnel, udp, clock } = rig();
    udp.reads.push(1);
    udp.onReceive = () => {
      clock.time = 1_040 as Instant;
    };

    engine.turn(READY.UDP);

    expect(tunnel.datagramsAt).toEqual([1_040]);
  });

  it("sends handshakes that a datagram caused before the TUN is read", () => {
    const { engine, tunnel, udp, journal } = rig();
    udp.reads.push(1);
    tunnel.transmits.push(0, 2, 1);

    engine.turn(READY.UDP | READY.TUN);

    const walk = journal.filter((entry) => /^(datagrams|udp\.send|tun\.read)/.test(entry));
    expect(walk).toEqual(["datagrams(1)", "udp.send(2)", "udp.send(1)", "tun.read=0"]);
  });

  it("sends the handshake that a waiting packet starts in the same turn", () => {
    const { engine, tunnel, tun, journal } = rig();
    tun.reads.push(1);
    tunnel.transmits.push(0, 1);

    engine.turn(READY.TUN);

    expect(journal.indexOf("udp.send(1)")).toBeGreaterThan(journal.indexOf("packets(1)"));
  });

  it("reads the TUN too where UDP brought it packets, because their answers may wait already", () => {
    const { engine, tunnel, udp, tun, journal } = rig();
    udp.reads.push(1);
    tunnel.delivered = 1;
    tun.reads.push(1);
    tunnel.outgoing = 1;

    engine.turn(READY.UDP);

    const walk = journal.filter((entry) => /^(udp|tun)\./.test(entry));
    expect(walk).toEqual(["udp.receive=1", "tun.write(1)", "tun.read=1", "udp.send(1)"]);
  });

  it("does not take it for a fruitless call where no answer waits", () => {
    const { engine, tunnel, udp, tunWatch } = rig();
    tunnel.delivered = 1;
    for (let call = 0; call < 100; call++) {
      udp.reads.push(1);
      engine.turn(READY.UDP);
    }
    expect(tunWatch.isPaused).toBe(false);
  });

  it("leaves a descriptor alone that is not ready", () => {
    const { engine, journal } = rig();

    engine.turn(READY.NONE);

    expect(journal).toEqual(["wall=7", "timeout", "poll"]);
  });

  it("writes nothing where nothing was delivered", () => {
    const { engine, udp, journal } = rig();
    udp.reads.push(1);

    engine.turn(READY.UDP);

    expect(journal.filter((entry) => entry.startsWith("tun.") || entry.includes("send"))).toEqual(
      [],
    );
  });
});

describe("the bounds of a turn", () => {
  it("reads only so many full batches of each direction, then returns to the loop", () => {
    const { engine, udp, tun, journal } = rig();
    udp.reads.push(...new Array<number>(10).fill(ROWS));
    tun.reads.push(...new Array<number>(10).fill(ROWS));

    engine.turn(READY.UDP | READY.TUN);

    expect(journal.filter((entry) => entry.startsWith("udp.receive"))).toHaveLength(
      BATCHES_PER_TURN,
    );
    expect(journal.filter((entry) => entry.startsWith("tun.read"))).toHaveLength(BATCHES_PER_TURN);
  });

  it("reads no second time after a batch that was not full", () => {
    const { engine, udp, journal } = rig();
    udp.reads.push(ROWS - 1, ROWS);

    engine.turn(READY.UDP);

    expect(journal.filter((entry) => entry.startsWith("udp.receive"))).toEqual(["udp.receive=3"]);
  });
});

describe("whether there may be more", () => {
  it("is what the batch says: one that is short of rows but full of bytes is read again", () => {
    const { engine, udp, tun, journal } = rig();
    udp.reads.push(1, 1, 1);
    udp.fullness.push(true, false);
    tun.reads.push(2, 2, 2);
    tun.fullness.push(true, true);

    engine.turn(READY.UDP | READY.TUN);

    expect(journal.filter((entry) => /^(udp\.receive|tun\.read)/.test(entry))).toEqual([
      "udp.receive=1",
      "udp.receive=1",
      "tun.read=2",
      "tun.read=2",
    ]);
  });

  it("is not asked of a batch with every row used that says it was not full", () => {
    const { engine, udp, tun, journal } = rig();
    udp.reads.push(ROWS, ROWS);
    udp.fullness.push(false);
    tun.reads.push(ROWS, ROWS);
    tun.fullness.push(false);

    engine.turn(READY.UDP | READY.TUN);

    expect(journal.filter((entry) => /^(udp\.receive|tun\.read)/.test(entry))).toEqual([
      `udp.receive=${ROWS}`,
      `tun.read=${ROWS}`,
    ]);
  });
});

describe("packets that become more than one batch of datagrams", () => {
  it("are sealed and sent in several calls before anything else is sent or read", () => {
    const { engine, tunnel, tun, journal } = rig();
    tun.reads.push(4, 1);
    tun.fullness.push(true, false);
    tunnel.outgoing = 3;
    tunnel.replies = 1;
    tunnel.leftovers.push(4, 4, 0);
    tunnel.transmits.push(0, 2);

    engine.turn(READY.TUN);

    expect(journal).toEqual([
      "wall=7",
      "timeout",
      "tun.read=4",
      ...["packets(4)", "udp.send(3)", "tun.write(1)"],
      ...["packets(4)", "udp.send(3)", "tun.write(1)"],
      ...["packets(4)", "udp.send(3)", "tun.write(1)"],
      "transmit=2",
      "udp.send(2)",
      "tun.read=1",
      ...["packets(1)", "udp.send(3)", "tun.write(1)"],
      "poll",
    ]);
  });

  it("are counted as read once", () => {
    const { engine, tunnel, tun, reports } = rig();
    tun.reads.push(4);
    tunnel.leftovers.push(4, 4, 0);
    tunnel.outgoing = 2;

    engine.turn(READY.TUN);
    engine.handleCommand({ kind: "snapshot", id: 1 });

    expect(reports).toMatchObject([{ counters: { packetsRead: 4, datagramsSent: 6 } }]);
  });
});

describe("runs", () => {
  it("count as the datagrams that they hold, sent and received", () => {
    const { engine, tunnel, tun, udp, reports } = rig();
    describeRun(tunnel.buffers.datagrams.rows, 0, 6_001, 1_000);
    describeRun(tunnel.buffers.datagrams.rows, 1, 132, 0);
    describeRun(tunnel.buffers.outgoing.rows, 0, 64_000, 1_000);
    describeRun(tunnel.buffers.outgoing.rows, 1, 100, 0);
    udp.reads.push(2);
    tun.reads.push(1);
    tunnel.outgoing = 2;

    engine.turn(READY.UDP | READY.TUN);
    engine.handleCommand({ kind: "snapshot", id: 1 });

    expect(reports).toMatchObject([{ counters: { datagramsReceived: 8, datagramsSent: 65 } }]);
  });

  it("of which some datagrams were refused count as the others, and the drops as datagrams", () => {
    const { engine, tunnel, tun, udp, reports } = rig();
    describeRun(tunnel.buffers.outgoing.rows, 0, 64_000, 1_000);
    tun.reads.push(1);
    tunnel.outgoing = 1;
    udp.refusals.push(50);

    engine.turn(READY.TUN);
    engine.handleCommand({ kind: "snapshot", id: 1 });

    expect(tunnel.drops).toEqual(["udp_send 50"]);
    expect(reports).toMatchObject([{ counters: { datagramsSent: 14 } }]);
  });

  it("that a path does not take are reported once, with address and error, at the end of the turn", () => {
    const { engine, udp, reports } = rig();
    const remote = new Uint8Array(16).fill(7);
    udp.refusedRun = { remote, errno: "EIO" };

    engine.turn(READY.NONE);
    engine.turn(READY.NONE);

    expect(reports).toEqual([{ kind: "gso-refused", remote, errno: "EIO" }]);
  });

  it("that were taken apart, and routes that get none, are counted", () => {
    const { engine, udp, reports } = rig();
    udp.gsoFallbacks = 3;

    engine.handleCommand({ kind: "snapshot", id: 1 });

    expect(reports).toMatchObject([{ counters: { gsoFallbacks: 3, plainRoutes: 3 } }]);
  });
});

describe("readiness", () => {
  it("serves the descriptor that called", () => {
    const { tunWatch, udpWatch, journal } = rig();

    udpWatch.onReady(false);
    tunWatch.onReady(false);

    const reads = journal.filter((entry) => /^(udp|tun)\./.test(entry));
    expect(reads).toEqual(["udp.receive=0", "tun.read=0"]);
  });

  it("that is broken is paused and tried again after a growing time", () => {
    const { udpWatch, clock } = rig();

    udpWatch.onReady(true);
    const first = { isPaused: udpWatch.isPaused, at: clock.armedFor };
    clock.fire();
    const second = { isPaused: udpWatch.isPaused };
    udpWatch.onReady(true);

    expect(first).toEqual({ isPaused: true, at: 1_100 });
    expect(second).toEqual({ isPaused: false });
    expect(clock.armedFor).toBe(1_300);
  });

  it("that brings nothing is accepted a few times, then paused", () => {
    const { tunWatch, udpWatch } = rig();

    for (let call = 0; call < FRUITLESS_CALLS; call += 1) tunWatch.onReady(false);
    const before = tunWatch.isPaused;
    tunWatch.onReady(false);

    expect([before, tunWatch.isPaused, udpWatch.isPaused]).toEqual([false, true, false]);
  });
});

describe("timers", () => {
  it("are one, armed for the next deadline", () => {
    const { engine, tunnel, clock } = rig();
    tunnel.deadline = 1_250.4 as Instant;

    engine.turn(READY.NONE);

    expect(clock.armedFor).toBe(1_250.4);
  });

  it("rest where there is no deadline", () => {
    const { engine, clock } = rig();

    engine.turn(READY.NONE);

    expect(clock.armedFor).toBe(NEVER);
  });

  it("bring a turn that arms the next", () => {
    const { engine, tunnel, clock, journal } = rig();
    tunnel.deadline = 1_100 as Instant;
    engine.turn(READY.NONE);
    journal.length = 0;
    tunnel.deadline = 1_300 as Instant;

    clock.fire();

    expect(journal).toEqual(["wall=7", "timeout", "poll"]);
    expect(clock.armedFor).toBe(1_300);
  });

  it("that come late are counted, with how late they were", () => {
    const { engine, tunnel, clock, reports } = rig();
    for (const [deadline, lateMs] of [
      [1_100, 3],
      [1_200, 0],
      [1_300, 250],
    ] as const) {
      tunnel.deadline = deadline as Instant;
      engine.turn(READY.NONE);
      clock.fire(lateMs);
    }

    engine.handleCommand({ kind: "snapshot", id: 1 });

    expect(reports.at(-1)).toMatchObject({ counters: { timerTurns: 3, timerLatenessMs: 253 } });
  });

  it("wake for the earlier of deadline and paused watch", () => {
    const { tunnel, clock, tunWatch } = rig();
    tunnel.deadline = 5_000 as Instant;

    tunWatch.onReady(true);

    expect(clock.armedFor).toBe(1_100);
  });
});

describe("what the kernel refuses", () => {
  it("of datagrams is dropped and counted, and not tried again", () => {
    const { engine, tunnel, tun, udp, journal, reports } = rig();
    tun.reads.push(3);
    tunnel.outgoing = 3;
    udp.refusals.push(2);

    engine.turn(READY.TUN);
    engine.handleCommand({ kind: "snapshot", id: 9 });

    expect(tunnel.drops).toEqual(["udp_send 2"]);
    expect(journal.filter((entry) => entry.startsWith("udp.send"))).toEqual(["udp.send(3)"]);
    expect(reports).toMatchObject([
      { id: 9, counters: { datagramsSent: 1, udpErrors: { ECONNREFUSED: 3 } } },
    ]);
  });

  it("of packets is dropped and counted", () => {
    const { engine, tunnel, tun, udp, reports } = rig();
    udp.reads.push(2);
    tunnel.delivered = 2;
    tun.refusals.push(1);

    engine.turn(READY.UDP);
    engine.handleCommand({ kind: "snapshot", id: 1 });

    expect(tunnel.drops).toEqual(["tun_write 1"]);
    expect(reports).toMatchObject([{ counters: { datagramsReceived: 2, packetsWritten: 1 } }]);
  });
});

it("a link that is down is reported once, without a pause, and again when a write works", () => {
  const { engine, tunnel, tun, udp, tunWatch, udpWatch, reports } = rig();
  tunnel.delivered = 1;
  tun.states.push("down", "down", "up");
  udp.reads.push(1, 1, 1);

  for (let packet = 0; packet < 3; packet += 1) engine.turn(READY.UDP);

  expect(reports).toEqual([
    { kind: "link", isUp: false },
    { kind: "link", isUp: true },
  ]);
  expect([tunWatch.isPaused, udpWatch.isPaused]).toEqual([false, false]);
});

describe("a device that is gone", () => {
  it("ends the engine with one line, keys wiped and descriptors closed", () => {
    const { tunnel, tun, udp, tunWatch, udpWatch, clock, reports } = rig();
    tun.state = "gone";

    tunWatch.onReady(true);

    expect(reports).toEqual([
      { kind: "fatal", message: "TUN device iptun0 is gone", exitCode: 1, detail: undefined },
    ]);
    expect([tunnel.isWiped, tun.isClosed, udp.isClosed]).toEqual([true, true, true]);
    expect([tunWatch.isClosed, udpWatch.isClosed]).toEqual([true, true]);
    expect(clock.armedFor).toBeUndefined();
  });

  it("is said once, whatever comes after", () => {
    const { engine, tun, tunWatch, reports, journal } = rig();
    tun.state = "gone";
    tunWatch.onReady(true);
    journal.length = 0;

    tunWatch.onReady(true);
    engine.turn(READY.UDP | READY.TUN);
    engine.handleCommand({ kind: "snapshot", id: 1 });
    engine.handleCommand({ kind: "stop" });
    engine.abandon();

    expect(reports).toHaveLength(1);
    expect(journal).toEqual([]);
  });
});

describe("commands", () => {
  it("apply differences in order and take a turn", () => {
    const { engine, tunnel, journal } = rig();
    const own = [new Uint8Array(16)];

    engine.handleCommand({
      kind: "apply",
      changes: [
        { kind: "remove-peer", name: "a" },
        { kind: "set-endpoints", name: "b", endpoints: [] },
        { kind: "own-links", addresses: own, linkMtu: 9000 },
      ],
    });

    expect(tunnel.applied).toEqual([
      { removePeer: "a" },
      { setEndpoints: "b", endpoints: [] },
      { setOwnAddresses: own },
      { setLinkMtu: 9000 },
      "announce",
    ]);
    expect(journal).toContain("timeout");
    expect(journal).toContain("udp.bindDevice");
  });

  it("are answered with the sample of every peer, without a turn", () => {
    const { engine, journal, reports } = rig();

    engine.handleCommand({ kind: "sample", id: 7 });

    expect(reports).toMatchObject([{ kind: "sample", id: 7, sample: { names: ["b"] } }]);
    expect(journal).not.toContain("timeout");
  });

  it("start a handshake on demand and send it at once", () => {
    const { engine, tunnel, journal } = rig();
    tunnel.transmits.push(1);

    engine.handleCommand({ kind: "rekey", peer: "b" });

    expect(tunnel.applied).toEqual([{ rekey: "b" }]);
    expect(journal).toContain("udp.send(1)");
  });

  it("stop: close frames leave before keys are wiped and descriptors closed", () => {
    const { engine, tunnel, tun, udp, journal, reports } = rig();
    tunnel.transmits.push(2);

    engine.handleCommand({ kind: "stop" });

    expect(journal).toEqual(["wall=7", "close", "transmit=2", "udp.send(2)", "wipe"]);
    expect([tun.isClosed, udp.isClosed]).toEqual([true, true]);
    expect(reports).toEqual([{ kind: "stopped" }]);
  });
});

describe("pings", () => {
  it("go to the tunnel, and answers back with the id of their command", () => {
    const { engine, tunnel, reports, journal } = rig();
    tunnel.transmits.push(1);
    engine.handleCommand({ kind: "probe", id: 5, peer: "b" });

    expect(tunnel.applied).toEqual([{ ping: "b", tag: 5 }]);
    expect(journal).toContain("udp.send(1)");
    expect(reports).toEqual([]);

    const outcome = { bytes: 64, endpoint: ENDPOINT, roundTripMs: 1.5 };
    tunnel.answers.push({ tag: 5, ...outcome }, { tag: 6, ...outcome });
    engine.turn(READY.UDP);

    expect(reports).toEqual([
      { kind: "probed", id: 5, outcome },
      { kind: "probed", id: 6, outcome },
    ]);
  });

  it("that are refused are told at once", () => {
    const { engine, tunnel, reports } = rig();
    tunnel.refusal = "no-session";
    engine.handleCommand({ kind: "probe", id: 5, peer: "b" });

    expect(reports).toEqual([{ kind: "probed", id: 5, outcome: "no-session" }]);
  });
});

describe("speed tests", () => {
  it("are started, ended and told, each with the id of its command", () => {
    const { engine, tunnel, reports } = rig();
    const order = { peer: "b", seconds: 5, bytes: undefined };
    engine.handleCommand({ kind: "speed", id: 1, order: "look" });
    engine.handleCommand({ kind: "speed", id: 2, order });
    engine.handleCommand({ kind: "speed", id: 3, order: "stop" });
    tunnel.refusal = "no-session";
    engine.handleCommand({ kind: "speed", id: 4, order });

    expect(tunnel.applied).toEqual([{ speed: order }, "stop speed test", { speed: order }]);
    expect(reports).toEqual([
      ...[1, 2, 3].map((id) => ({ kind: "speed", id, speed: undefined })),
      { kind: "speed", id: 4, speed: "no-session" },
    ]);
  });
});

describe("events", () => {
  it("are sent once the last ones were acknowledged, and wait in the core until then", () => {
    const { engine, tunnel, reports } = rig();
    tunnel.events.push({ kind: "lost", count: 1 });
    engine.turn(READY.NONE);
    tunnel.events.push({ kind: "lost", count: 2 });
    engine.turn(READY.NONE);
    const before = reports.length;

    engine.handleCommand({ kind: "acknowledge" });

    expect(before).toBe(1);
    expect(reports).toEqual([
      { kind: "events", events: [{ kind: "lost", count: 1 }] },
      { kind: "events", events: [{ kind: "lost", count: 2 }] },
    ]);
  });

  it("go in messages of bounded size", () => {
    const { engine, tunnel, reports } = rig();
    for (let count = 0; count < EVENTS_PER_REPORT + 5; count += 1) {
      tunnel.events.push({ kind: "lost", count });
    }

    engine.turn(READY.NONE);

    const [report] = reports;
    expect(report?.kind === "events" ? report.events.length : 0).toBe(EVENTS_PER_REPORT);
    expect(tunnel.events).toHaveLength(5);
  });
});

describe("packet lines", () => {
  it("are recorded in both directions when tracing", () => {
    const { engine, tunnel, udp, tun, reports } = rig({ isTracing: true });
    tunnel.buffers.datagrams.rows[MESSAGE.LENGTH] = 132;
    tunnel.buffers.outgoing.rows[MESSAGE_FIELDS + MESSAGE.LENGTH] = 64;
    tunnel.delivered = 1;
    tunnel.outgoing = 2;
    udp.reads.push(1);
    tun.reads.push(1);

    engine.turn(READY.UDP | READY.TUN);
    engine.handleCommand({ kind: "trace", id: 4 });

    const [report] = reports;
    const lines = report?.kind === "trace" ? report.lines : [];
    expect(lines.map((line) => [line.direction, line.layer, line.length])).toEqual([
      ["inbound", "datagram", 132],
      ["inbound", "packet", 0],
      ["outbound", "packet", 0],
      ["outbound", "datagram", 0],
      ["outbound", "datagram", 64],
    ]);
  });

  it("are one for a joined packet, and its parts' bytes are not taken for addresses", () => {
    const { engine, tunnel, udp, reports } = rig({ isTracing: true });
    const { rows, arena } = tunnel.buffers.delivered;
    const [head, part] = [ipv4Header("10.9.0.1"), ipv4Header("66.66.66.66")];
    arena.set(head);
    arena.set(part, 60);
    rows.set([0, 40, PACKET_NEEDS_CHECKSUM]);
    rows[PACKET.NEXT] = 1;
    rows.set([60, 20, PACKET_PART], PACKET_FIELDS);
    tunnel.delivered = 2;
    udp.reads.push(1);

    engine.turn(READY.UDP);
    engine.handleCommand({ kind: "trace", id: 4 });

    const [report] = reports;
    const lines = report?.kind === "trace" ? report.lines : [];
    const packets = lines.filter(({ layer }) => layer === "packet");
    expect(packets.map(({ source }) => source?.slice(12).join("."))).toEqual(["10.9.0.1"]);
  });

  it("do not exist otherwise", () => {
    const { engine, udp, reports } = rig();
    udp.reads.push(1);

    engine.turn(READY.UDP);
    engine.handleCommand({ kind: "trace", id: 4 });

    expect(reports).toEqual([{ kind: "trace", id: 4, lines: [], suppressed: 0 }]);
  });
});

const ENDPOINT = { address: new Uint8Array(16), port: 1194, scope: 0 };

/** Says in a message row how long a run is. */
function describeRun(rows: Int32Array, row: number, length: number, segment: number): void {
  rows[row * MESSAGE_FIELDS + MESSAGE.LENGTH] = length;
  rows[row * MESSAGE_FIELDS + MESSAGE.SEGMENT] = segment;
}

/** 20 bytes that read as an IPv4 header with this source. */
function ipv4Header(source: string): Uint8Array {
  const header = new Uint8Array(20);
  header[0] = 0x45;
  header.set(source.split(".").map(Number), 12);
  return header;
}

describe("an engine whose tunnel is handed over", () => {
  it("reads, sends and wakes up no more while it is paused, and answers so", () => {
    const { engine, udp, tun, journal, clock, reports } = rig();
    udp.reads.push(1);
    tun.reads.push(1);
    journal.length = 0;

    engine.handleCommand({ kind: "pause", id: 5 });
    engine.turn(READY.UDP | READY.TUN);
    engine.handleCommand({ kind: "rekey", peer: "b" });

    expect(reports.at(-1)).toEqual({ kind: "paused", id: 5 });
    expect(clock.armedFor).toBeUndefined();
    expect(journal.filter((entry) => /receive|read|send/.test(entry))).toEqual([]);
  });

  it("goes on where it was when it is resumed", () => {
    const { engine, udp, journal } = rig();
    engine.handleCommand({ kind: "pause", id: 5 });
    journal.length = 0;

    engine.handleCommand({ kind: "resume" });
    udp.reads.push(1);
    engine.turn(READY.UDP);

    expect(journal.slice(0, 2)).toEqual(["udp.setAgain", "tun.setAgain"]);
    expect(journal).toContain("udp.receive=1");
  });

  it("sets its descriptors again while it runs, where somebody had them longer than that", () => {
    const { engine, journal, clock } = rig();
    const { armedFor } = clock;
    journal.length = 0;

    engine.handleCommand({ kind: "resume" });

    expect([journal, clock.armedFor]).toEqual([["udp.setAgain", "tun.setAgain"], armedFor]);
  });

  it("is let go with word to the nodes alone, its keys wiped and its descriptors closed", () => {
    const { engine, tunnel, udp, tun, journal, reports } = rig();
    engine.handleCommand({ kind: "pause", id: 5 });
    tunnel.transmits.push(2);
    journal.length = 0;

    engine.handleCommand({ kind: "let-go" });

    expect(journal.filter((entry) => /^(close|udp\.send|wipe)/.test(entry))).toEqual([
      "close nodes",
      "udp.send(2)",
      "wipe",
    ]);
    expect([udp.isClosed, tun.isClosed, reports.at(-1)]).toEqual([true, true, { kind: "stopped" }]);
  });
});
