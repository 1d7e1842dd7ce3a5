/**
 * A million captured data packets sent again (FAULTS.md R2): at once, after a rekey, after restarts, after an
 * hour, each on top of the one before. Without IPTUN_FULL=1 it is twenty thousand.
 *
 * The batches are filled and read here, past the world's links, which make an object of every datagram. The
 * session itself, its rekey and its restarts are the world's. The cipher is a fake: what refuses a replay is
 * the window and the table of sessions.
 */
import { expect, it } from "vitest";
import { at, MESSAGE, MESSAGE_FIELDS, PACKET_FIELDS, packetsIn } from "../../src/core/rows.ts";
import type { SocketAddress } from "../helpers/address.ts";
import { figure, IS_FULL } from "../helpers/figure.ts";
import { udpPacket } from "../helpers/packets.ts";
import type { Host } from "../sim/host.ts";
import { fillMessages, fillPackets } from "../sim/kernel.ts";
import { connect, dropTotal } from "../sim/observe.ts";
import { INNER, LEFT, newPair, type Pair, RIGHT } from "../sim/pair.ts";

/** Half of them each way. */
const PACKETS = IS_FULL ? 1_000_000 : 20_000;
const BATCH = 128;
const CONTENT = new Uint8Array(4);

/** Datagrams of one size, one behind another, and where they go. */
interface Capture {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly from: SocketAddress;
  readonly to: Host;
}

const STEPS: readonly (readonly [when: string, prepare: (pair: Pair) => void])[] = [
  ["at once", () => {}],
  ["after a rekey", rekey],
  ["after a restart of A", ({ left }) => left.restart()],
  ["when A is up again", comeUp],
  ["after a restart of B", ({ right }) => right.restart()],
  ["when B is up again", comeUp],
  [
    "after a restart of both",
    ({ left, right }) => {
      left.restart();
      right.restart();
    },
  ],
  ["when both are up again", comeUp],
  ["after an hour of silence", ({ world }) => world.advance(3_600_000)],
  ["in a session after that hour", comeUp],
];

it("R2 captured data packets sent again, whatever happened since, are not delivered and draw no reply", {
  timeout: 300_000,
}, () => {
  const pair = newPair({ crypto: "stub" });
  pair.world.eve.isRecording = false;
  connect(pair);
  const captures = [capture(pair, pair.left, pair.right), capture(pair, pair.right, pair.left)];

  for (const [when, prepare] of STEPS) {
    prepare(pair);
    pair.world.settle();
    const before = standOf(pair);
    const delivered = captures.reduce((sum, one) => sum + replay(one), 0);
    for (const host of [pair.left, pair.right]) host.act(() => {});
    pair.world.settle();

    const after = standOf(pair);
    const replies = after.sent - before.sent;
    const measured = `${delivered} delivered, ${replies} replies, ${after.drops - before.drops} dropped`;
    figure("R2", when, measured, "0 delivered, 0 replies");
    expect([delivered, replies, after.drops - before.drops]).toEqual([0, 0, PACKETS]);
  }
  comeUp(pair);
});

function rekey({ left, world }: Pair): void {
  left.act((tunnel, now) => tunnel.rekey("right", now));
  world.advance(1_000);
}

function comeUp(pair: Pair): void {
  connect(pair, 20_000);
}

/** Datagrams sent and dropped by both sides together. */
function standOf({ left, right }: Pair): { readonly sent: number; readonly drops: number } {
  return {
    sent: left.counts.sent + right.counts.sent,
    drops: dropTotal(left) + dropTotal(right),
  };
}

/** Sends half of the packets from one side to the other, which delivers each; keeps the datagrams. */
function capture({ world }: Pair, from: Host, to: Host): Capture {
  const isLeft = from.name === "left";
  const [source, destination] = isLeft ? [INNER.left, INNER.right] : [INNER.right, INNER.left];
  const packet = { bytes: udpPacket(source, destination, CONTENT) };
  const size = packet.bytes.length + 32;
  const bytes = new Uint8Array((PACKETS / 2) * size);
  const captured = { bytes, size, from: isLeft ? LEFT : RIGHT, to };
  let delivered = 0;
  for (let done = 0; done < PACKETS / 2; ) {
    const count = Math.min(BATCH, PACKETS / 2 - done);
    const start = done * size;
    seal(
      from,
      Array.from({ length: count }, () => packet),
    ).forEach((datagram, index) => {
      bytes.set(datagram, start + index * size);
    });
    done += count;
    delivered += offer(captured, start, count);
  }
  world.settle();
  expect(delivered).toBe(PACKETS / 2);
  return captured;
}

/** Offers every datagram once more; returns how many packets came of it. */
function replay(captured: Capture): number {
  let delivered = 0;
  const { bytes, size } = captured;
  for (let start = 0; start < bytes.length; start += BATCH * size) {
    const count = Math.min(BATCH, (bytes.length - start) / size);
    delivered += offer(captured, start, count);
  }
  return delivered;
}

/** What a host's tunnel makes of packets from its TUN. */
function seal({ tunnel, now }: Host, packets: readonly { bytes: Uint8Array }[]): Uint8Array[] {
  const { buffers } = tunnel;
  expect(fillPackets(buffers.packets, buffers.packetRoom, packets)).toBe(packets.length);
  tunnel.handlePackets(now);
  const { arena, rows, count } = buffers.outgoing;
  const datagrams: Uint8Array[] = [];
  for (let base = 0; base < count * MESSAGE_FIELDS; base += MESSAGE_FIELDS) {
    const start = at(rows, base + MESSAGE.OFFSET);
    const length = at(rows, base + MESSAGE.LENGTH);
    const size = at(rows, base + MESSAGE.SEGMENT) || length;
    for (let done = 0; done < length; done += size) {
      datagrams.push(arena.subarray(start + done, start + done + size));
    }
  }
  return datagrams;
}

/** Hands a batch of datagrams to the receiver's tunnel; returns how many packets it delivers. */
function offer({ bytes, size, from, to }: Capture, start: number, count: number): number {
  const { tunnel, now } = to;
  const { datagrams, datagramStride, delivered } = tunnel.buffers;
  const messages = Array.from({ length: count }, (_, index) => ({
    from,
    to: to.address,
    bytes: bytes.subarray(start + index * size, start + (index + 1) * size),
  }));
  fillMessages(datagrams, datagramStride, messages);
  tunnel.handleDatagrams(now);
  let packets = 0;
  for (let row = 0; row < delivered.count; row += 1) {
    packets += packetsIn(delivered.rows, row * PACKET_FIELDS);
  }
  return packets;
}
