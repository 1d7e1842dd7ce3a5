/** Which packets are of one flow. */
import { describe, expect, it } from "vitest";
import { flowHash } from "../../../src/core/pacing/flow-hash.ts";
import { buildPacket, optionsExtension, type PacketSpec } from "../../helpers/packet-builder.ts";
import { pingPacket } from "../../helpers/packets.ts";

const SEED = 0x1234_5678;
const V6 = { source: "fd00::1", destination: "fd00::2" };

function hash(changes: Partial<PacketSpec> = {}, seed = SEED): number {
  return flowHash(buildPacket(changes).bytes, seed);
}

describe("packets are of one flow", () => {
  it.each([{}, V6, { protocol: "udp" as const }, { ...V6, protocol: "udp" as const }])(
    "with the same addresses, protocol and ports (%j)",
    (spec) => {
      expect(hash({ ...spec, payload: new Uint8Array(9) })).toBe(hash(spec));
      expect(hash({ ...spec, sourcePort: 7 })).not.toBe(hash(spec));
      expect(hash({ ...spec, destinationPort: 7 })).not.toBe(hash(spec));
    },
  );

  it("behind an extension header, too", () => {
    const spec = { ...V6, extensions: [optionsExtension(60)] };
    expect(hash({ ...spec, sourcePort: 7 })).not.toBe(hash(spec));
    expect(hash({ ...spec, sourcePort: 7 })).toBe(hash({ ...V6, sourcePort: 7 }));
  });

  it("that are fragments of one, whatever stands where the ports are", () => {
    const fragment = (sourcePort: number, field: number) => {
      const { bytes } = buildPacket({ protocol: "udp", sourcePort });
      new DataView(bytes.buffer, bytes.byteOffset).setUint16(6, field);
      return flowHash(bytes, SEED);
    };
    expect(fragment(1, 0x2000)).toBe(fragment(9, 0x00b9));
  });

  it("where the packet ends before the ports do, and not where it ends behind them", () => {
    const ended = (bytes: number, sourcePort: number) => {
      const packet = buildPacket({ protocol: "udp", sourcePort }).bytes.slice(0, 20 + bytes);
      packet[3] = packet.length;
      return flowHash(packet, SEED);
    };
    expect(ended(3, 1)).toBe(ended(3, 9));
    expect(ended(4, 1)).not.toBe(ended(4, 9));
  });

  it("of none other where an address or the protocol is another", () => {
    const all = [
      hash(),
      hash({ protocol: "udp" }),
      hash({ source: "10.0.0.77" }),
      hash({ destination: "10.0.0.77" }),
      flowHash(pingPacket("10.0.0.1", "10.0.0.2", 1), SEED),
      flowHash(pingPacket("10.0.0.2", "10.0.0.1", 1), SEED),
      hash(V6),
      hash({ ...V6, source: "fd00::7" }),
      hash({ ...V6, destination: "fd00::7" }),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it("only for one seed", () => {
    expect(hash({}, 1)).not.toBe(hash({}, 2));
  });
});

it("no difference of two flows makes them share a queue under every seed", () => {
  // Each a bit of one field, alone or with one of another; a weak hash takes the second back whatever the seed is.
  const bits = [...Array(32).keys()].map((bit) => 2 ** bit);
  const flow = (destination: number, ports: number, seed: number) => {
    const { bytes } = buildPacket({ protocol: "udp" });
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (const [at, change] of [
      [16, destination],
      [20, ports],
    ] as const) {
      view.setUint32(at, (view.getUint32(at) ^ change) >>> 0);
    }
    return flowHash(bytes, seed) % 1_024;
  };
  for (const destination of bits) {
    for (const ports of [0, ...bits]) {
      const shared = [1, 2, 3].filter(
        (seed) => flow(destination, ports, seed) === flow(0, 0, seed),
      );
      expect(shared.length).toBeLessThan(3);
    }
  }
});

it("ports that count on are spread evenly over 1,024 queues", () => {
  const used = new Set<number>();
  for (let port = 1; port <= 1_024; port++) used.add(hash({ sourcePort: port }) % 1_024);
  // As many as chance leaves used: 1,024 (1 - 1/e) are 647.
  expect(used.size).toBeGreaterThan(600);
});

it("what is no packet has a flow", () => {
  expect(flowHash(new Uint8Array(0), SEED)).toBe(SEED);
  expect(flowHash(Uint8Array.of(0x45), SEED)).toBe(SEED);
});
