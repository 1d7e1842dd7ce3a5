/**
 * Packet lines: what they show, and that they are bounded.
 */
import { describe, expect, it } from "vitest";
import { messageBatch, packetBatch } from "../../src/core/batch.ts";
import { formatAddress, mapAddress, parseAddress } from "../../src/core/prefix.ts";
import { MESSAGE, PACKET, PACKET_FIELDS } from "../../src/core/rows.ts";
import type { PacketLine } from "../../src/engine/messages.ts";
import { PacketTrace, TRACE_LINES } from "../../src/engine/packet-trace.ts";

describe("a datagram's line", () => {
  it("names the remote as source when inbound", () => {
    const trace = new PacketTrace();

    trace.datagrams("inbound", datagram("192.0.2.7", 4242, 132));

    expect(lines(trace)).toEqual(["inbound datagram 132 192.0.2.7:4242 > -"]);
  });

  it("names the remote as destination when outbound", () => {
    const trace = new PacketTrace();

    trace.datagrams("outbound", datagram("2001:db8::1", 1194, 64));

    expect(lines(trace)).toEqual(["outbound datagram 64 - > 2001:db8::1:1194"]);
  });

  it("does not change when the batch is used again", () => {
    const trace = new PacketTrace();
    const batch = datagram("192.0.2.7", 4242, 132);
    trace.datagrams("inbound", batch);

    batch.rows.fill(0);

    expect(lines(trace)).toEqual(["inbound datagram 132 192.0.2.7:4242 > -"]);
  });
});

describe("a packet's line", () => {
  it("shows IPv4 source and destination", () => {
    const trace = new PacketTrace();
    const header = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);

    trace.packets("outbound", packet(header));

    expect(lines(trace)).toEqual(["outbound packet 20 10.0.0.1:0 > 10.0.0.2:0"]);
  });

  it("shows IPv6 source and destination", () => {
    const trace = new PacketTrace();
    const header = new Uint8Array(48);
    header[0] = 0x60;
    header.set(addressBytes("fd00::1"), 8);
    header.set(addressBytes("fd00::2"), 24);

    trace.packets("inbound", packet(header));

    expect(lines(trace)).toEqual(["inbound packet 48 fd00::1:0 > fd00::2:0"]);
  });

  it.each([
    ["too short for IPv4", Uint8Array.of(0x45, 0, 0)],
    ["too short for IPv6", new Uint8Array(39).fill(0x60, 0, 1)],
    ["of no known version", new Uint8Array(40).fill(0x70, 0, 1)],
    ["empty", new Uint8Array(0)],
  ])("has no addresses where the packet is %s", (_name, bytes) => {
    const trace = new PacketTrace();

    trace.packets("outbound", packet(bytes));

    expect(lines(trace)).toEqual([`outbound packet ${bytes.length} - > -`]);
  });

  it("holds no content", () => {
    const trace = new PacketTrace();
    const bytes = new Uint8Array(60).fill(0xab);
    bytes[0] = 0x45;

    trace.packets("outbound", packet(bytes));

    const [line] = trace.drain().lines;
    expect(Object.keys(line ?? {}).sort()).toEqual([
      "destination",
      "direction",
      "layer",
      "length",
      "port",
      "source",
    ]);
  });
});

describe("the ring", () => {
  it("keeps 100 lines and counts the rest", () => {
    const trace = new PacketTrace();
    for (let call = 0; call < TRACE_LINES + 7; call += 1) {
      trace.datagrams("inbound", datagram("192.0.2.7", 1, call));
    }

    const drained = trace.drain();

    expect(drained.lines).toHaveLength(TRACE_LINES);
    expect(drained.lines.at(-1)?.length).toBe(TRACE_LINES - 1);
    expect(drained.suppressed).toBe(7);
  });

  it("is empty after it was drained", () => {
    const trace = new PacketTrace();
    trace.datagrams("inbound", datagram("192.0.2.7", 1, 1));
    trace.drain();

    expect(trace.drain()).toEqual({ lines: [], suppressed: 0 });
  });
});

function lines(trace: PacketTrace): string[] {
  const shown = (address: Uint8Array | undefined, port: number) =>
    address === undefined ? "-" : `${formatAddress(address)}:${port}`;
  return trace
    .drain()
    .lines.map(({ direction, layer, length, source, destination, port }: PacketLine) => {
      return `${direction} ${layer} ${length} ${shown(source, port)} > ${shown(destination, port)}`;
    });
}

function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new Error(`not an address: ${text}`);
  return bytes;
}

function datagram(address: string, port: number, length: number) {
  const batch = messageBatch(new Uint8Array(0), 1);
  new Uint8Array(batch.rows.buffer).set(mapAddress(addressBytes(address)), MESSAGE.REMOTE * 4);
  batch.rows[MESSAGE.PORT] = port;
  batch.rows[MESSAGE.LENGTH] = length;
  batch.count = 1;
  return batch;
}

/** A batch whose second half of the arena holds the packet, so that offsets matter. */
function packet(bytes: Uint8Array) {
  const batch = packetBatch(new Uint8Array(128), 1);
  batch.arena.set(bytes, 64);
  batch.rows[PACKET.OFFSET] = 64;
  batch.rows[PACKET.LENGTH] = bytes.length;
  batch.rows.fill(0, PACKET_FIELDS);
  batch.count = 1;
  return batch;
}
