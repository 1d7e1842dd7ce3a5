/** The MSS clamp: which packets it touches, and that their checksum stays right. */
import { describe, expect, it } from "vitest";
import { emptyUpperLayer } from "../../../src/core/inner-packet.ts";
import { clampMss, mayBeSyn } from "../../../src/core/outbound/mss.ts";
import { hasRightChecksum, ipPacket, PROTOCOL, withChecksum } from "../../helpers/packets.ts";
import { Random } from "../../helpers/random.ts";

const SYN = 0x02;
const V4 = ["10.0.0.1", "10.0.0.2"] as const;
const V6 = ["fd00::1", "fd00::2"] as const;
const mssOption = (value: number) => [2, 4, value >> 8, value & 0xff];
const WINDOW = [3, 3, 7];

interface Segment {
  readonly between?: readonly [string, string];
  readonly flags?: number;
  readonly options?: readonly number[];
  readonly payload?: number;
}

/** A TCP packet with these options, padded to words with the end of options. */
function segment({ between = V4, flags = SYN, options = [], payload = 0 }: Segment): Uint8Array {
  const [source, destination] = between;
  const padded = [...options, ...new Array<number>((4 - (options.length % 4)) % 4).fill(0)];
  const bytes = new Uint8Array(20 + padded.length + payload);
  bytes.set([0, 80, 1, 1, 0, 0, 0, 9]);
  bytes[12] = ((20 + padded.length) / 4) << 4;
  bytes[13] = flags;
  bytes.set(padded, 20);
  return ipPacket(
    source,
    destination,
    PROTOCOL.TCP,
    withChecksum(source, destination, PROTOCOL.TCP, bytes, 16),
  );
}

/** The packet after the clamp to packets of `most` bytes, in the middle of a larger arena. */
function clamped(packet: Uint8Array, most: number, isPartial = false): Uint8Array {
  const arena = new Uint8Array(packet.length + 32).fill(0xaa);
  arena.set(packet, 16);
  clampMss(arena, 16, packet.length, most, isPartial, emptyUpperLayer());
  expect([...arena.subarray(0, 16), ...arena.subarray(packet.length + 16)]).toEqual(
    new Array<number>(32).fill(0xaa),
  );
  return arena.slice(16, 16 + packet.length);
}

describe("the MSS of a SYN", () => {
  it.each([
    ["IPv4", V4, 1340 - 40],
    ["IPv6", V6, 1340 - 60],
  ] as const)("is lowered to what a packet of 1340 bytes holds over %s", (_name, between, mss) => {
    const packet = segment({ between, options: mssOption(1460) });

    const after = clamped(packet, 1340);

    expect(after).toEqual(segment({ between, options: mssOption(mss) }));
    expect(hasRightChecksum(after)).toBe(true);
  });

  it.each([SYN, SYN | 0x10, SYN | 0xc0])("is lowered with flags %i", (flags) => {
    const after = clamped(segment({ flags, options: mssOption(1460) }), 1340);

    expect(after).toEqual(segment({ flags, options: mssOption(1300) }));
  });

  it.each([
    ["behind others", [1, 1, 4, 2, ...WINDOW, ...mssOption(1460)]],
    ["at an odd place", [1, ...mssOption(1460)]],
    ["at an odd place behind others", [...WINDOW, ...mssOption(8960)]],
  ])("is found %s", (_where, options) => {
    const after = clamped(segment({ options }), 1340);

    const at = options.lastIndexOf(2);
    const expected = [...options.slice(0, at), ...mssOption(1300), ...options.slice(at + 4)];
    expect(after).toEqual(segment({ options: expected }));
    expect(hasRightChecksum(after)).toBe(true);
  });

  it("keeps a partial checksum as it is", () => {
    const packet = segment({ options: mssOption(1460) });
    packet.set([0x12, 0x34], 20 + 16);

    const after = clamped(packet, 1340, true);

    expect([...after.subarray(36, 38)]).toEqual([0x12, 0x34]);
    expect([...after.subarray(40, 44)]).toEqual(mssOption(1300));
  });

  it("is right whatever it was, by ten thousand of them", () => {
    const random = new Random(5);
    for (let count = 0; count < 10_000; count += 1) {
      const between = random.chance(0.5) ? V4 : V6;
      const options = [
        ...new Array<number>(random.below(4)).fill(1),
        ...mssOption(random.below(65_536)),
      ];
      const most = 1280 + random.below(200);
      const after = clamped(segment({ between, options, payload: random.below(9) }), most);
      if (!hasRightChecksum(after))
        throw new Error(`wrong checksum for ${options.join()} at ${most}`);
    }
  });
});

describe("a packet is left as it is", () => {
  it.each<[string, Uint8Array]>([
    ["whose MSS fits", segment({ options: mssOption(1300) })],
    ["whose MSS is smaller", segment({ options: mssOption(536) })],
    ["without options", segment({})],
    ["without the option", segment({ options: WINDOW })],
    ["that is no SYN", segment({ flags: 0x10, options: mssOption(1460) })],
    ["whose option is cut by the header's end", segment({ options: [1, 1, 2, 4] })],
    ["whose option has another length", segment({ options: [2, 6, 5, 180, 0, 0] })],
    ["with an option of length 0 before it", segment({ options: [8, 0, ...mssOption(1460)] })],
    [
      "with an option longer than the header before it",
      segment({ options: [8, 40, ...mssOption(1460)] }),
    ],
    ["with the end of options before it", segment({ options: [0, ...mssOption(1460)] })],
    ["with that and a 1 before it", segment({ options: [0, 1, ...mssOption(1460)] })],
  ])("%s", (_name, packet) => {
    expect(clamped(packet, 1340)).toEqual(packet);
  });

  it("where its end cuts the option off, whatever lies behind", () => {
    const packet = segment({ options: mssOption(1460) });
    const after = packet.slice();
    clampMss(after, 0, packet.length - 1, 1340, false, emptyUpperLayer());
    expect(after).toEqual(packet);
  });

  it("where it is a fragment, or UDP whose bytes look like a SYN", () => {
    const fragment = segment({ options: mssOption(1460) });
    fragment[6] = 0x20;
    expect(clamped(fragment, 1340)).toEqual(fragment);
    const udp = segment({ options: mssOption(1460) });
    udp[9] = PROTOCOL.UDP;
    expect(clamped(udp, 1340)).toEqual(udp);
  });
});

describe("behind IPv6 extension headers and IPv4 options", () => {
  const plain = segment({ between: V6, options: mssOption(1460) });
  const hopByHop = Uint8Array.of(PROTOCOL.TCP, 0, 1, 4, 0, 0, 0, 0);
  const extended = new Uint8Array([...plain.subarray(0, 40), ...hopByHop, ...plain.subarray(40)]);
  extended[6] = 0;
  extended[5] = (extended[5] ?? 0) + 8;
  const four = segment({ options: mssOption(1460) });
  const optioned = new Uint8Array([...four.subarray(0, 20), 1, 1, 1, 0, ...four.subarray(20)]);
  optioned[0] = 0x46;
  optioned[3] = (optioned[3] ?? 0) + 4;

  it("a SYN is lowered too", () => {
    expect([...clamped(extended, 1340).subarray(70, 72)]).toEqual([1280 >> 8, 1280 & 0xff]);
    expect([...clamped(optioned, 1340).subarray(46, 48)]).toEqual([1300 >> 8, 1300 & 0xff]);
  });

  it.each<[string, Uint8Array, boolean]>([
    ["a SYN over IPv4", four, true],
    ["a SYN over IPv6", plain, true],
    ["a SYN behind IPv4 options", optioned, true],
    ["whatever is behind an extension header", extended, true],
    ["no SYN over IPv4", segment({ flags: 0x10 }), false],
    ["no SYN over IPv6", segment({ between: V6, flags: 0x10 }), false],
    ["UDP over IPv4", withProtocol(four, 9), false],
    ["UDP over IPv6", withProtocol(plain, 6), false],
  ])("what may be a SYN is told by a few bytes: %s", (_name, packet, expected) => {
    // Around it is what would be taken for the other answer.
    const arena = new Uint8Array(packet.length + 300).fill(expected ? 0x10 : 0xff);
    arena.set(packet, 150);
    expect(mayBeSyn(arena, 150)).toBe(expected);
  });
});

/** The packet as UDP; `at` is where its header says so. */
function withProtocol(packet: Uint8Array, at: number): Uint8Array {
  return packet.map((byte, index) => (index === at ? PROTOCOL.UDP : byte));
}
