/**
 * Streams of packets for the tests of core/inbound/join.ts: several flows mixed, with all that a path does to them.
 *
 * A stream is a list of steps, each of which says what is unusual about the next packet of one flow, and
 * of faults of the path afterwards; both are fast-check values, so a failing stream shrinks. Also the
 * harness: packets into an arena and through a Joiner. The trap: most steps must be usual ones, or
 * nothing is ever joined and every property holds.
 */
import fc from "fast-check";
import { type PacketBatch, packetBatch } from "../../src/core/batch.ts";
import { Joiner, type JoinWish } from "../../src/core/inbound/join.ts";
import { emptyUpperLayer, findTransport } from "../../src/core/inner-packet.ts";
import { alikeOf } from "../helpers/alike-twin.ts";
import { type Arrived, type Delivered, readDelivered } from "../helpers/gso-twin.ts";
import {
  buildPacket,
  concat,
  optionsExtension,
  type PacketSpec,
  PLAIN_SPEC,
  sealIpv4Header,
  TCP_FLAG,
} from "../helpers/packet-builder.ts";
import { pingPacket, udpPacket } from "../helpers/packets.ts";
import { Random } from "../helpers/random.ts";

const { ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG } = TCP_FLAG;
const TIMESTAMPS = Uint8Array.of(1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4);

/** Ten flows, more than a Joiner keeps open; some differ in one thing alone. */
export const FLOWS: readonly Partial<PacketSpec>[] = [
  {},
  { sourcePort: 40_001 },
  { destination: "10.0.0.3" },
  { protocol: "udp" },
  { protocol: "udp", destinationPort: 53, isDontFragment: false },
  { source: "fd00::1", destination: "fd00::2", flowLabel: 0x12345 },
  { source: "fd00::1", destination: "fd00::2", flowLabel: 0x12345, protocol: "udp" },
  { source: "10.0.0.2", destination: "10.0.0.1", isDontFragment: false },
  { source: "fd00::3", destination: "fd00::2", tcpOptions: TIMESTAMPS },
  { tcpOptions: TIMESTAMPS, destinationPort: 80, id: 0xfffe, sequence: 0xffff_fc00 },
];

/** What a step changes of its packet, by name. */
export const CHANGES = {
  push: { flags: ACK | PSH },
  fin: { flags: ACK | FIN },
  finPush: { flags: ACK | FIN | PSH },
  syn: { flags: ACK | SYN },
  reset: { flags: ACK | RST },
  urgent: { flags: ACK | URG, urgent: 5 },
  congestion: { flags: ACK | CWR },
  noAck: { flags: PSH },
  echo: { flags: ACK | ECE },
  accurate: { flags: ACK | AE },
  marked: { trafficClass: 3 },
  hops: { hopLimit: 63 },
  window: { window: 400 },
  acknowledgment: { acknowledgment: 99 },
  options: { tcpOptions: TIMESTAMPS.map((byte, index) => (index === 7 ? 9 : byte)) },
  otherOptions: { tcpOptions: Uint8Array.of(1, 1, 1, 1) },
  mayFragment: { isDontFragment: false },
  flowLabel: { flowLabel: 7 },
  shortIpOptions: { ipOptions: Uint8Array.of(1, 1, 1, 0) },
  longIpOptions: { ipOptions: new Uint8Array(20).fill(1) },
  extension: { extensions: [optionsExtension(60)] },
  fullChecksum: { isPartial: false },
} as const satisfies Readonly<Record<string, Partial<PacketSpec>>>;

type Change = keyof typeof CHANGES;

/** The next packet of a flow. */
export interface Step {
  readonly flow: number;
  /** Payload bytes as a share of the flow's segment size. */
  readonly payload: "full" | "short" | "one" | "long" | "none";
  readonly change: Change | "ping" | "fragment" | undefined;
  /** Whether the change stays for the packets of the flow that follow. */
  readonly stays: boolean;
  readonly id: "next" | "same" | "other";
  readonly sequence: "next" | "gap" | "again";
}

/** What the path does to the packet at a place (counted round): lost, doubled, or moved back by so many. */
export interface Fault {
  readonly at: number;
  readonly kind: "lose" | "double" | "move";
  readonly by: number;
}

/** A stream, and where its packets lie in the arena. */
export interface Stream {
  /** Which of `FLOWS` take part; a step's flow counts round in them. */
  readonly flows: readonly number[];
  readonly steps: readonly Step[];
  readonly faults: readonly Fault[];
  readonly segmentBytes: number;
  readonly seed: number;
}

const usually = <T>(value: T, ...others: T[]) =>
  fc.oneof(
    { weight: 24, arbitrary: fc.constant(value) },
    { weight: 1, arbitrary: fc.constantFrom(value, ...others) },
  );

const step: fc.Arbitrary<Step> = fc.record({
  flow: fc.nat(FLOWS.length - 1),
  payload: usually<Step["payload"]>("full", "short", "one", "long", "none"),
  change: usually<Step["change"]>(
    undefined,
    ...(Object.keys(CHANGES) as Change[]),
    "ping",
    "fragment",
  ),
  stays: fc.boolean(),
  id: usually<Step["id"]>("next", "same", "other"),
  sequence: usually<Step["sequence"]>("next", "gap", "again"),
});

const fault: fc.Arbitrary<Fault> = fc.record({
  at: fc.nat(149),
  kind: fc.constantFrom("lose", "double", "move"),
  by: fc.integer({ min: 1, max: 9 }),
});

/** Streams of up to 150 packets and a few faults of the path. */
export const streams: fc.Arbitrary<Stream> = fc.record({
  flows: fc.shuffledSubarray([...FLOWS.keys()], { minLength: 1 }),
  steps: fc.array(step, { maxLength: 150, size: "max" }),
  faults: fc.array(fault, { maxLength: 6 }),
  segmentBytes: fc.constantFrom(1, 100, 536, 1381, 1400),
  seed: fc.nat(),
});

/** The packets of a stream in the order in which they arrive. */
export function packetsOf(stream: Stream): readonly Arrived[] {
  const random = new Random(stream.seed);
  const flows = FLOWS.map((flow) => ({ ...PLAIN_SPEC, ...flow }));
  const packets = stream.steps.map((step) => {
    const flow = stream.flows[step.flow % stream.flows.length] ?? 0;
    const packet = packetOf(flows[flow] ?? PLAIN_SPEC, step, stream.segmentBytes, random);
    flows[flow] = packet.next;
    return packet.arrived;
  });
  return stream.faults.reduce(disturb, packets);
}

function packetOf(flow: PacketSpec, step: Step, segmentBytes: number, random: Random) {
  const sequence = flow.sequence + (step.sequence === "gap" ? 1000 : 0);
  const spec = {
    ...flow,
    sequence: sequence >>> 0,
    id: step.id === "other" ? random.below(65_536) : flow.id,
    payload: random.bytes(payloadBytes(step.payload, segmentBytes)),
  };
  const consumed = step.sequence === "again" ? 0 : spec.payload.length;
  const next = {
    ...flow,
    ...(step.stays ? changesOf(step.change) : {}),
    sequence: (sequence + consumed) >>> 0,
    id: step.id === "same" ? spec.id : (spec.id + 1) & 0xffff,
  };
  return { arrived: arrived(spec, step.change), next };
}

function payloadBytes(payload: Step["payload"], segmentBytes: number): number {
  const sizes = {
    full: segmentBytes,
    short: Math.ceil(segmentBytes / 2),
    one: 1,
    long: segmentBytes + 1,
    none: 0,
  };
  return sizes[payload];
}

function arrived(spec: PacketSpec, change: Step["change"]): Arrived {
  if (change === "ping") {
    return { bytes: pingPacket(spec.source, spec.destination, spec.id), isPartial: false };
  }
  if (change === "fragment") return { bytes: fragment(spec), isPartial: false };
  const changed = { ...spec, ...changesOf(change) };
  return { bytes: buildPacket(changed).bytes, isPartial: changed.isPartial };
}

function changesOf(change: Step["change"]): Partial<PacketSpec> {
  return change === undefined || change === "ping" || change === "fragment" ? {} : CHANGES[change];
}

/** A packet of the same addresses whose transport cannot be seen. */
function fragment(spec: PacketSpec): Uint8Array {
  const { bytes } = buildPacket({ ...spec, isPartial: false, isDontFragment: false });
  if (spec.source.includes(":")) return udpPacket(spec.source, spec.destination, spec.payload);
  bytes[6] = 0x20;
  sealIpv4Header(bytes);
  return bytes;
}

function disturb(packets: readonly Arrived[], fault: Fault): readonly Arrived[] {
  if (packets.length === 0) return packets;
  const at = fault.at % packets.length;
  const rest = packets.toSpliced(at, 1);
  if (fault.kind === "lose") return rest;
  const to = fault.kind === "double" ? at + fault.by : Math.max(0, at - fault.by);
  const from = fault.kind === "double" ? packets : rest;
  return from.toSpliced(to, 0, ...packets.slice(at, at + 1));
}

const BOTH: JoinWish = { tcp: true, udp: true };

/** Sends packets through a Joiner: what is delivered. */
export function join(
  packets: readonly Arrived[],
  wish: JoinWish = BOTH,
  seed = 1,
): readonly Delivered[] {
  const { arena, rows, count } = joinRows(packets, wish, seed);
  return readDelivered(arena, rows, count);
}

/**
 * The rows that a Joiner makes of packets that lie one behind another, alike ones handed over together as
 * core/inbound/deliver.ts does.
 */
export function joinRuns(packets: readonly Arrived[], wish: JoinWish = BOTH): PacketBatch {
  const arena = concat(...packets.map(({ bytes }) => bytes));
  const batch = packetBatch(arena, packets.length);
  batch.rows.fill(0x7f7f_7f7f);
  const joiner = new Joiner(batch, wish);
  const upper = emptyUpperLayer();
  let offset = 0;
  joiner.begin();
  for (let index = 0; index < packets.length; ) {
    const { bytes, isPartial } = packets[index] ?? { bytes: arena, isPartial: false };
    const run = alikeFrom(packets, index);
    const taken = isPartial ? joiner.addAlike(offset, bytes.length, bytes.length, run) : 0;
    if (taken === 0) {
      if (isPartial) findTransport(arena, offset, bytes.length, upper);
      joiner.add(offset, bytes.length, isPartial, upper);
    }
    index += Math.max(taken, 1);
    offset += Math.max(taken, 1) * bytes.length;
  }
  joiner.finish();
  return batch;
}

/** How many packets from `index` on the addon would call alike; partial ones of one length. */
function alikeFrom(packets: readonly Arrived[], index: number): number {
  const rest = packets.slice(index, index + 130);
  const end = rest.findIndex(
    ({ bytes, isPartial }) => !isPartial || bytes.length !== rest[0]?.bytes.length,
  );
  const equal = end === -1 ? rest : rest.slice(0, end);
  // On the wire a partial checksum is marked in the first byte.
  return alikeOf(equal.map(({ bytes }) => bytes.with(0, (bytes[0] ?? 0) | 0x80)));
}

/**
 * The rows that a Joiner makes of packets. They lie at odd places with rubbish between, the rows are full
 * of rubbish before, and `upper` is a stale one where the checksum is full, as in core/inbound/receive.ts; as there,
 * the short way is asked first, unless a test wants the long one alone.
 */
export function joinRows(
  packets: readonly Arrived[],
  wish: JoinWish = BOTH,
  seed = 1,
  hasShortWay = true,
): PacketBatch {
  const random = new Random(seed);
  const gaps = packets.map(() => random.bytes(random.below(80)));
  const arena = concat(...packets.flatMap(({ bytes }, index) => [gaps[index] ?? bytes, bytes]));
  const batch = packetBatch(arena, packets.length);
  batch.rows.fill(0x7f7f_7f7f);
  const joiner = new Joiner(batch, wish);
  const upper = emptyUpperLayer();
  let offset = 0;
  joiner.begin();
  packets.forEach(({ bytes, isPartial }, index) => {
    offset += gaps[index]?.length ?? 0;
    if (isPartial && !findTransport(arena, offset, bytes.length, upper))
      throw new Error("no transport");
    const isNext = hasShortWay && isPartial && joiner.addNext(offset, bytes.length);
    if (!isNext) joiner.add(offset, bytes.length, isPartial, upper);
    offset += bytes.length;
  });
  joiner.finish();
  if (batch.count > packets.length) throw new Error("more rows than packets");
  return batch;
}
