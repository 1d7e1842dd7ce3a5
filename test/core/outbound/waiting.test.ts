/** Packets that wait for a session: their order, their rows, and the three bounds. */
import { describe, expect, it } from "vitest";
import { packetBatch } from "../../../src/core/batch.ts";
import {
  WAITING_BYTES,
  WAITING_BYTES_TOTAL,
  WAITING_PACKETS,
} from "../../../src/core/constants.ts";
import { WaitingPackets } from "../../../src/core/outbound/waiting.ts";
import { PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../../src/core/rows.ts";

describe("waiting packets", () => {
  it("come out as they went in, in order, with their rows", () => {
    const waiting = new WaitingPackets({ bytes: 0 });
    push(waiting, Uint8Array.of(1, 2, 3), PACKET_NEEDS_CHECKSUM);
    push(waiting, Uint8Array.of(4, 5));
    const batch = packetBatch(new Uint8Array(100), 8);

    waiting.drainInto(batch);

    expect([batch.count, waiting.count]).toEqual([2, 0]);
    expect([...batch.arena.subarray(0, 5)]).toEqual([1, 2, 3, 4, 5]);
    expect(batch.rows[PACKET.FLAGS]).toBe(PACKET_NEEDS_CHECKSUM);
    expect(batch.rows[PACKET_FIELDS + PACKET.OFFSET]).toBe(3);
    expect(batch.rows[PACKET_FIELDS + PACKET.LENGTH]).toBe(2);
  });

  it("are at most 128 a peer; the oldest goes first", () => {
    const waiting = new WaitingPackets({ bytes: 0 });
    const drops = Array.from({ length: WAITING_PACKETS + 3 }, (_, index) =>
      push(waiting, Uint8Array.of(index)),
    );
    const batch = packetBatch(new Uint8Array(1_000), 200);
    waiting.drainInto(batch);

    expect(drops.reduce((sum, count) => sum + count, 0)).toBe(3);
    expect([batch.count, batch.arena[0]]).toEqual([WAITING_PACKETS, 3]);
  });

  it("are at most 256 KiB a peer, and a packet over that is dropped itself", () => {
    const waiting = new WaitingPackets({ bytes: 0 });
    expect(push(waiting, new Uint8Array(WAITING_BYTES + 1))).toBe(1);
    expect(push(waiting, new Uint8Array(WAITING_BYTES - 10))).toBe(0);
    expect(push(waiting, new Uint8Array(10))).toBe(0);
    expect(push(waiting, new Uint8Array(11))).toBe(1);
    expect(waiting.count).toBe(2);
  });

  it("are at most 16 MiB in all; a peer cannot push out what another has", () => {
    const total = { bytes: 0 };
    const peers = Array.from({ length: WAITING_BYTES_TOTAL / WAITING_BYTES }, () => {
      const waiting = new WaitingPackets(total);
      expect(push(waiting, new Uint8Array(WAITING_BYTES))).toBe(0);
      return waiting;
    });
    const late = new WaitingPackets(total);

    expect(push(late, new Uint8Array(100))).toBe(1);
    expect(late.count).toBe(0);

    expect(peers[0]?.clear()).toBe(1);
    expect(push(late, new Uint8Array(100))).toBe(0);
    expect(total.bytes).toBe(WAITING_BYTES_TOTAL - WAITING_BYTES + 100);
  });

  it("leave in slices when the batch is smaller", () => {
    const waiting = new WaitingPackets({ bytes: 0 });
    for (let index = 0; index < 5; index += 1) push(waiting, Uint8Array.of(index, index));
    const batch = packetBatch(new Uint8Array(5), 8);

    waiting.drainInto(batch);
    expect([batch.count, waiting.count]).toEqual([2, 3]);
    waiting.drainInto(batch);
    expect([...batch.arena.subarray(0, 4)]).toEqual([2, 2, 3, 3]);
  });
});

/** Pushes a packet that lies in the middle of an arena; returns how many were dropped. */
function push(waiting: WaitingPackets, bytes: Uint8Array, flags = 0): number {
  const arena = new Uint8Array(bytes.length + 20);
  arena.set(bytes, 7);
  const rows = new Int32Array(2 * PACKET_FIELDS);
  rows[PACKET_FIELDS + PACKET.OFFSET] = 7;
  rows[PACKET_FIELDS + PACKET.LENGTH] = bytes.length;
  rows[PACKET_FIELDS + PACKET.FLAGS] = flags;
  return waiting.push(arena, rows, PACKET_FIELDS);
}
