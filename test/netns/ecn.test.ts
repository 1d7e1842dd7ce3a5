/**
 * ECN and DSCP across real tunnels over IPv4 and IPv6, through a router that rewrites the outer headers.
 *
 * What goes in is a ping of every ECN field with DSCP EF; what comes out of the far device is captured there, and
 * what left the near host on the router. Then TCP with ECN, whose marks the router makes.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Datagram,
  readDatagrams,
  readPackets,
  startCapture,
  tosOf,
} from "../../scripts/netns/capture.ts";
import { kernelCounters } from "../../scripts/netns/counters.ts";
import { LEFT_DEVICE } from "../../scripts/netns/routed.ts";
import { drops } from "../../scripts/netns/status.ts";
import { tcpThroughput } from "../../scripts/netns/traffic.ts";
import { setFeatures } from "../../scripts/netns/two-lans.ts";
import { FIELDS, outgoingField } from "../helpers/ecn-twin.ts";
import { figure } from "../helpers/figure.ts";
import { TCP_FLAG } from "../helpers/packet-builder.ts";
import { internetChecksum } from "../helpers/packets.ts";
import {
  byMark,
  EcnLab,
  finish,
  holdsPing,
  INNERS,
  innerAddress,
  isOf,
  otherSide,
  SIDES,
  type TcpView,
  TUNNELS,
  type Tunnel,
  viewTcp,
} from "./ecn-lab.ts";

const NAMES = { 0: "not-ect", 1: "ect1", 2: "ect0", 3: "ce" } as const;
const CE = 3;
const ECT1 = 1;
/** DSCP EF (RFC 3246) in its place. */
const EF = 0xb8;
const MTU = 1420;
/** Bytes of data of a ping; those of the DSCP tests are longer. */
const SHORT = 100;
const LONG = 500;
const LONG_MARK = 0x99;
/** The longest DATA with a control frame or nothing in it. */
const LONGEST_FRAME = 32 + 41;
const TCP_BYTES = 4_000_000;

let ecn: EcnLab;

beforeAll(async () => {
  ecn = new EcnLab();
  await ecn.start();
});
afterAll(() => ecn.close());

describe("every inner ECN field under every outer one", () => {
  /** What came out of each tunnel's far device, and what the left site sent. */
  const came = new Map<Tunnel, readonly Buffer[]>();
  let sent: readonly Datagram[];

  beforeAll(async () => {
    const { router } = ecn.routed;
    const wire = await startCapture(router.host, LEFT_DEVICE, { filter: "udp" });
    const ends = await Promise.all(TUNNELS.map((tunnel) => ecn.captureRequests(tunnel, "right")));
    for (const [, outer] of FIELDS) {
      await router.rewrite(NAMES[outer]);
      await pingAllFields(outer);
    }
    await router.leave();
    await finish(wire, ...ends);
    for (const [index, tunnel] of TUNNELS.entries()) {
      came.set(tunnel, readPackets(ends[index]?.file ?? ""));
    }
    sent = readDatagrams(wire.file);
  });

  it.each(cases())(
    "$name in $outer: the 16 cells of RFC 6040's figure 4",
    ({ tunnel, inner, name }) => {
      const packets = byMark(came.get(tunnel) ?? [], inner);

      const cells = FIELDS.flatMap(([innerName, field]) =>
        FIELDS.map(([outerName, outer]) => {
          const packet = packets.get(markOf(field, outer));
          const out = outgoingField(field, outer);
          return {
            cell: `${innerName} under ${outerName}`,
            came: packet && tosOf(packet),
            due: out === undefined ? undefined : EF | out,
          };
        }),
      );

      const wrong = cells.filter((cell) => cell.came !== cell.due);
      const right = `${cells.length - wrong.length} of 16 cells`;
      figure("ECN", `${name} in ${tunnel.outer}`, right, "16");
      expect(wrong).toEqual([]);
      // All but the one that is dropped.
      expect(packets.size).toBe(15);
      if (inner === "inner4") expect([...packets.values()].filter(isDamaged)).toEqual([]);
    },
  );

  it.each(TUNNELS)("in $outer: what is dropped has a counter of its own", async (tunnel) => {
    const status = await ecn.daemon(tunnel, "right").status();

    expect(drops(status, "inner_not_ect")).toBe(INNERS.length);
  });

  it.each(cases())(
    "$name in $outer: the outer field is a copy of the inner one",
    ({ tunnel, inner }) => {
      for (const [name, field] of FIELDS) {
        const own = sent.filter((one) => holdsPing(one, tunnel, "left", inner, SHORT + field));
        const fields = own.map(({ tos }) => tos & 3);
        expect(fields, name).toEqual(Array(FIELDS.length).fill(field));
      }
    },
  );
});

describe("DSCP", () => {
  const places = cases().flatMap((one) => SIDES.map((from) => ({ ...one, from })));
  const came = new Map<string, readonly Buffer[]>();
  let sent: readonly Datagram[];

  beforeAll(async () => {
    const wire = await startCapture(ecn.routed.router.host, LEFT_DEVICE, { filter: "udp" });
    // New sessions, for the handshakes.
    for (const tunnel of TUNNELS) await ecn.daemon(tunnel, "right").stop();
    await Promise.all(TUNNELS.map(async (tunnel) => await ecn.daemon(tunnel, "right").start()));
    await ecn.connect();
    const ends = TUNNELS.flatMap((tunnel) => SIDES.map((from) => ({ tunnel, from })));
    const captures = await Promise.all(
      ends.map(({ tunnel, from }) => ecn.captureRequests(tunnel, otherSide(from))),
    );
    for (const { tunnel, inner, from } of places) {
      await ecn.ping(tunnel, from, inner, { tos: EF | ECT1, mark: LONG_MARK, bytes: LONG });
    }
    await finish(wire, ...captures);
    sent = readDatagrams(wire.file);
    for (const [index, { tunnel, from }] of ends.entries()) {
      came.set(tunnel.device + from, readPackets(captures[index]?.file ?? ""));
    }
  });

  it.each(places)(
    "of $name from the $from in $outer is copied only where copy_dscp is true (the $copies), and crosses",
    ({ tunnel, inner, from, copies }) => {
      const [first] = sent.filter((one) => holdsPing(one, tunnel, from, inner, LONG));
      const packet = byMark(came.get(tunnel.device + from) ?? [], inner).get(LONG_MARK);

      expect(first?.tos).toBe((copies === from ? EF : 0) | ECT1);
      expect(packet && tosOf(packet)).toBe(EF | ECT1);
    },
  );

  it.each(TUNNELS)(
    "and ECN of handshakes, keepalives and control frames are 0 in $outer",
    (tunnel) => {
      const own = SIDES.flatMap((side) => sent.filter((one) => isOf(one, tunnel, side)));
      const handshakes = own.filter(({ payload }) => payload.readUInt8(0) < 4);
      const frames = own.filter(
        ({ payload }) => payload.readUInt8(0) === 4 && payload.length <= LONGEST_FRAME,
      );

      expect(handshakes.length).toBeGreaterThan(1);
      expect(frames.length).toBeGreaterThan(1);
      expect([...handshakes, ...frames].filter(({ tos }) => tos !== 0)).toEqual([]);
    },
  );
});

describe.each(TUNNELS)("TCP with ECN in $outer, through a router that marks", (tunnel) => {
  let result: TcpResult;

  beforeAll(async () => {
    const { left, right } = ecn.routed;
    for (const host of [left, right]) host.sysctl("net.ipv4.tcp_ecn", "1");
    // The router marks datagrams one by one; the right site's kernel joins those of one TOS.
    await setFeatures(right, "eth0", { gro: true });
    result = await carry(tunnel);
  });

  it("as many packets come out marked as datagrams were", () => {
    const { marked, sent } = result;
    const segments = sent
      .filter(({ ecn }) => ecn === CE)
      .reduce((sum, one) => sum + segmentsOf(one), 0);

    figure(
      "ECN",
      `TCP in ${tunnel.outer}`,
      `${marked} datagrams marked, ${segments} packets`,
      "equal",
    );
    expect(marked).toBeGreaterThan(100);
    expect(segments).toBe(marked);
  });

  it("they are joined, marked ones with marked ones, their header checksums right", () => {
    const joined = result.sent.filter((one) => segmentsOf(one) > 1);

    expect(joined.length).toBeGreaterThan(50);
    expect(joined.filter(({ ecn }) => ecn === CE).length).toBeGreaterThan(0);
    expect(result.damaged).toBe(0);
  });

  it("the receiver says so to the sender, which knows of them and slows down", () => {
    const { sent, answers, deliveredCe } = result;

    expect(answers.filter(hasFlag(TCP_FLAG.ECE)).length).toBeGreaterThan(0);
    expect(sent.filter(hasFlag(TCP_FLAG.CWR)).length).toBeGreaterThan(0);
    expect(deliveredCe).toBeGreaterThan(0);
  });
});

interface TcpResult {
  /** Datagrams that the router marked. */
  readonly marked: number;
  /** Packets of the left site as they came out, and those of the right one. */
  readonly sent: readonly TcpView[];
  readonly answers: readonly TcpView[];
  readonly damaged: number;
  /** Segments of which the left site's kernel knows that they arrived marked. */
  readonly deliveredCe: number;
}

/** TCP from left to right with inner addresses of the outer family. */
async function carry(tunnel: Tunnel): Promise<TcpResult> {
  const { left, right, router } = ecn.routed;
  const inner = tunnel.family === "four" ? "inner4" : "inner6";
  await router.congest(8, 64);
  const before = await kernelCounters(left, ["TcpExtTCPDeliveredCE"]);
  const capture = await startCapture(right, tunnel.device, {
    filter: "tcp or (ip6 and ip6[6] == 6)",
  });
  await tcpThroughput(left, right, innerAddress(tunnel, "right", inner), { bytes: TCP_BYTES });
  const marked = await router.marked();
  await router.leave();
  await finish(capture);
  const after = await kernelCounters(left, ["TcpExtTCPDeliveredCE"]);
  const packets = readPackets(capture.file);
  const views = packets.map(viewTcp);
  const isLeft = ({ source }: TcpView) => source.at(-1) === 1;
  return {
    marked,
    sent: views.filter(isLeft),
    answers: views.filter((view) => !isLeft(view)),
    damaged: packets.filter(isDamaged).length,
    deliveredCe: after.TcpExtTCPDeliveredCE - before.TcpExtTCPDeliveredCE,
  };
}

/** Pings of every field through both tunnels, of both families, at once. */
async function pingAllFields(outer: 0 | 1 | 2 | 3): Promise<void> {
  const pings = cases().flatMap(({ tunnel, inner }) =>
    FIELDS.map(([, field]) => {
      const mark = markOf(field, outer);
      return ecn.ping(tunnel, "left", inner, { tos: EF | field, mark, bytes: SHORT + field });
    }),
  );
  await Promise.all(pings);
}

/** Each inner family in each tunnel. */
function cases() {
  return TUNNELS.flatMap((tunnel) =>
    INNERS.map(([name, inner]) => ({
      name,
      outer: tunnel.outer,
      copies: tunnel.copies,
      inner,
      tunnel,
    })),
  );
}

/** The last byte of the ping for a cell. */
function markOf(inner: number, outer: number): number {
  return 0x40 | (outer << 2) | inner;
}

/** Whether its IPv4 header checksum is wrong. */
function isDamaged(packet: Buffer): boolean {
  return packet.readUInt8(0) >> 4 === 4 && internetChecksum(packet.subarray(0, 20)) !== 0;
}

/** Packets that a packet was joined of. */
function segmentsOf({ payloadBytes, headerBytes }: TcpView): number {
  return Math.ceil(payloadBytes / (MTU - headerBytes));
}

/** In an established connection: in a handshake the flags mean something else (RFC 3168 §6.1.1). */
function hasFlag(flag: number): (view: TcpView) => boolean {
  return ({ flags }) => (flags & flag) !== 0 && (flags & TCP_FLAG.SYN) === 0;
}
