/** The sizes of a tunnel's batches: that what device and socket may give fits, and what comes of it too. */
import { describe, expect, it } from "vitest";
import { BATCH_ROWS, tunnelBuffers } from "../../src/core/buffers.ts";
import { JOINED_BYTES } from "../../src/core/constants.ts";
import { OPEN_FIELDS } from "../../src/core/rows.ts";

/** Bytes that DATA adds to a packet. */
const OVERHEAD = 32;
const MTUS = [1280, 1420, 9000, 65_535];
const KINDS = [
  { superPackets: false, gro: false },
  { superPackets: true, gro: false },
  { superPackets: false, gro: true },
  { superPackets: true, gro: true },
];
const ALL = MTUS.flatMap((mtu) => KINDS.map((kind) => ({ mtu, ...kind })));

describe.each(ALL)("for mtu $mtu, super-packets $superPackets, GRO $gro", (options) => {
  const { mtu, superPackets, gro } = options;
  const buffers = tunnelBuffers(options);
  const { datagrams, datagramStride, packets, packetRoom, outgoing, delivered, replies } = buffers;

  it("each slot takes the longest valid datagram, and shows one that is longer", () => {
    expect(datagramStride).toBeGreaterThan(mtu + OVERHEAD);
    expect(datagramStride % 64).toBe(0);
    expect(datagrams.arena.length).toBe(datagrams.capacity * datagramStride + JOINED_BYTES);
  });

  it("a run of the largest size fits a slot where the socket gives runs", () => {
    expect(datagramStride).toBeGreaterThanOrEqual(gro ? 65_536 : mtu + OVERHEAD);
  });

  it("slots do not share the lines of a cache by being a power of two apart", () => {
    expect(Math.log2(datagramStride) % 1).not.toBe(0);
  });

  it("a packet of the mtu, or a super-packet of 64 KiB, can be read", () => {
    expect(packetRoom).toBeGreaterThanOrEqual(superPackets ? 65_536 : mtu);
    expect(packets.arena.length).toBeGreaterThanOrEqual(packetRoom);
  });

  it("packets of the mtu fill every row", () => {
    const offset = (packets.capacity - 1) * Math.ceil(mtu / 64) * 64;
    expect(packets.arena.length - offset).toBeGreaterThanOrEqual(mtu);
  });

  it("what packets of the mtu become fits the outgoing batch", () => {
    expect(outgoing.arena.length).toBeGreaterThanOrEqual(packets.capacity * (mtu + OVERHEAD));
    expect(outgoing.capacity).toBeGreaterThanOrEqual(packets.capacity);
  });

  it("packets are delivered from where their datagrams lie, one of each", () => {
    expect(delivered.arena).toBe(datagrams.arena);
    expect(delivered.capacity).toBe(BATCH_ROWS * (gro ? 128 : 1));
  });

  it("ICMP errors have slots of 1,280 bytes of their own", () => {
    expect(replies.arena.length).toBe(replies.capacity * 1280);
    expect(replies.arena).not.toBe(packets.arena);
  });
});

describe("with super-packets", () => {
  const { outgoing, packets, packetRoom } = tunnelBuffers({
    mtu: 1420,
    superPackets: true,
    gro: true,
  });

  it.each([48, 216, 536, 1220, 1380])("one of 64 KiB in segments of %i bytes fits", (size) => {
    const segments = Math.ceil((65_535 - 120) / size);
    const bytes = 65_535 + segments * (120 + OVERHEAD);
    expect(bytes).toBeLessThanOrEqual(outgoing.arena.length);
    expect(Math.ceil(segments / 64)).toBeLessThanOrEqual(outgoing.capacity);
  });

  it("four of 64 KiB are read at once", () => {
    expect(packets.arena.length).toBeGreaterThanOrEqual(4 * packetRoom);
  });
});

describe("fewer rows", () => {
  it.each([1, 2, 3, 16])("of %i are as many in each batch", (rows) => {
    const buffers = tunnelBuffers({ mtu: 1420, superPackets: false, gro: false, rows });

    expect(
      [buffers.datagrams, buffers.packets, buffers.outgoing, buffers.delivered].map(
        ({ capacity }) => capacity,
      ),
    ).toEqual([rows, rows, rows, rows]);
  });

  it("still read a super-packet and what it becomes", () => {
    const { packets, packetRoom, outgoing } = tunnelBuffers({
      mtu: 1420,
      superPackets: true,
      gro: true,
      rows: 1,
    });

    expect(packets.arena.length).toBeGreaterThanOrEqual(packetRoom);
    expect(outgoing.arena.length).toBeGreaterThan(65_535 + 47 * (52 + OVERHEAD));
  });
});

it("address space is bounded: below 64 MiB with everything on", () => {
  const buffers = tunnelBuffers({ mtu: 1420, superPackets: true, gro: true });
  const { datagrams, packets, outgoing, delivered, replies } = buffers;
  const arenas = [datagrams, packets, outgoing, replies].map(({ arena }) => arena.length);
  const rows = [datagrams, packets, outgoing, delivered, replies].map((b) => b.rows.byteLength);
  const opens = delivered.capacity * OPEN_FIELDS * 4;

  expect([...arenas, ...rows, opens].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(2 ** 26);
});
