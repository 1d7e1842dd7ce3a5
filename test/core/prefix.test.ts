/**
 * Addresses and prefixes: every text form of RFC 4291, the canonical ones of RFC 5952, and what is refused.
 */
import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  containsAddress,
  formatAddress,
  formatEndpoint,
  formatPrefix,
  mapAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixesOverlap,
} from "../../src/core/prefix.ts";
import { fromHex, toHex } from "../vectors/vectors.ts";

describe("parseAddress", () => {
  it.each([
    ["0.0.0.0", "00000000"],
    ["10.1.2.3", "0a010203"],
    ["255.255.255.255", "ffffffff"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["1::", "00010000000000000000000000000000"],
    ["2001:db8:0:0:8:800:200c:417a", "20010db80000000000080800200c417a"],
    ["2001:DB8::8:800:200C:417A", "20010db80000000000080800200c417a"],
    ["ff01::101", "ff010000000000000000000000000101"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
    ["::2:3:4:5:6:7:8", "00000002000300040005000600070008"],
    ["0001:0002::", "00010002000000000000000000000000"],
    ["::13.1.68.3", "0000000000000000000000000d014403"],
    ["::ffff:129.144.52.38", "00000000000000000000ffff81903426"],
    ["1:2:3:4:5:6:7.8.9.10", "0001000200030004000500060708090a"],
    ["64:ff9b::192.0.2.33", "0064ff9b0000000000000000c0000221"],
  ])("reads %s", (text, hex) => {
    expect(toHex(parseAddress(text) ?? new Uint8Array())).toBe(hex);
  });

  it.each([
    "",
    " ",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1.2.3.04",
    "01.2.3.4",
    "1.2.3.0x4",
    "1.2.3.",
    ".1.2.3",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.-4",
    "1.2.3.+4",
    "1.2.3.1e1",
    "1.2.3.\u0661",
    "16909060",
    ":",
    ":::",
    "1:2",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4::5:6:7:8",
    "1::2::3",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    "::12345",
    "::g",
    "::+1",
    "fe80::1%eth0",
    "fe80::1%3",
    "[::1]",
    "::1/128",
    "::1.2.3",
    "::1.2.3.04",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::ffff:1.2.3.4.5",
    "\u0000::1",
  ])("refuses %j", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it("takes exactly what Node takes, zones apart, for junk near an address", () => {
    const junk = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ unit: fc.constantFrom(..."0123456789abcdefF:.:: "), maxLength: 30 }),
      fc
        .tuple(fc.ipV6(), fc.constantFrom(":", ".", "::", "0", "1.2.3.4"), fc.nat(30))
        .map(([text, piece, at]) => text.slice(0, at) + piece + text.slice(at)),
    );
    fc.assert(
      fc.property(junk, (text) => {
        const bytes = parseAddress(text);
        expect(bytes?.length ?? 0).toBe([0, 4, 16][[0, 4, 6].indexOf(isIP(text))]);
      }),
      { numRuns: 3000 },
    );
  });
});

describe("formatAddress", () => {
  it.each([
    ["0a010203", "10.1.2.3"],
    ["00000000", "0.0.0.0"],
    ["00000000000000000000ffffc0000201", "192.0.2.1"],
    ["00000000000000000000000000000000", "::"],
    ["00000000000000000000000000000001", "::1"],
    ["00010000000000000000000000000000", "1::"],
    ["20010db8000000000000000000000001", "2001:db8::1"],
    ["20010db8000100010001000100010001", "2001:db8:1:1:1:1:1:1"],
    ["20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"],
    ["20010db8000000000001000000000001", "2001:db8::1:0:0:1"],
    ["20010000000000010000000000000001", "2001:0:0:1::1"],
    ["00000000000000010000000000000000", "0:0:0:1::"],
    ["2001ABCDEF0000000000000000000000", "2001:abcd:ef00::"],
    ["00000000000000000000fffe01020304", "::fffe:102:304"],
  ])("writes %s as %s", (hex, text) => {
    expect(formatAddress(fromHex(hex))).toBe(text);
  });

  it("is read back as the same bytes, an IPv4-mapped address as its 4", () => {
    fc.assert(
      fc.property(sparseBytes(16), (bytes) => {
        expect(toHex(mapAddress(parseAddress(formatAddress(bytes)) ?? bytes))).toBe(toHex(bytes));
      }),
    );
    fc.assert(
      fc.property(sparseBytes(4), (bytes) => {
        expect(parseAddress(formatAddress(bytes))).toEqual(bytes);
      }),
    );
  });

  it("does not depend on where in a buffer the bytes lie", () => {
    const arena = new Uint8Array(40).fill(0xee);
    arena.set(fromHex("20010db8000000000000000000000001"), 7);
    expect(formatAddress(arena.subarray(7, 23))).toBe("2001:db8::1");
  });
});

describe("parsePrefix", () => {
  it.each([
    ["10.0.0.0/8", 4, "0a000000", 8],
    ["0.0.0.0/0", 4, "00000000", 0],
    ["192.0.2.1/32", 4, "c0000201", 32],
    ["::/0", 6, "00000000000000000000000000000000", 0],
    ["2001:db8::/32", 6, "20010db8000000000000000000000000", 32],
    ["2001:db8::1/128", 6, "20010db8000000000000000000000001", 128],
    ["fd00:1:2:8000::/49", 6, "fd000001000280000000000000000000", 49],
  ] as const)("reads %s", (text, family, hex, length) => {
    const parsed = mustParse(text);
    expect(parsed.prefix).toEqual({ family, bytes: fromHex(hex), length });
    expect(parsed.hasHostBits).toBe(false);
    expect(toHex(parsed.address)).toBe(hex);
  });

  it.each([
    ["10.0.0.1/24", "10.0.0.0/24"],
    ["10.255.255.255/9", "10.128.0.0/9"],
    ["1.2.3.4/0", "0.0.0.0/0"],
    ["10.0.0.1/31", "10.0.0.0/31"],
    ["2001:db8::1/64", "2001:db8::/64"],
    ["2001:db8:ffff::/33", "2001:db8:8000::/33"],
    ["::1/127", "::/127"],
  ])("reports the host bits of %s and keeps the address", (text, network) => {
    const parsed = mustParse(text);
    expect(parsed.hasHostBits).toBe(true);
    expect(formatPrefix(parsed.prefix)).toBe(network);
    expect(formatAddress(parsed.address)).toBe(text.replace(/\/.*/, ""));
  });

  it.each([
    ["10.0.0.0", "has no prefix length, expected a form such as 10.0.0.0/24"],
    ["", "has no prefix length, expected a form such as 10.0.0.0/24"],
    ["10.0.0/8", "is not an IPv4 or IPv6 prefix"],
    ["/8", "is not an IPv4 or IPv6 prefix"],
    ["host/8", "is not an IPv4 or IPv6 prefix"],
    ["10.0.0.0/33", "has a prefix length that is not 0 to 32"],
    ["10.0.0.0/", "has a prefix length that is not 0 to 32"],
    ["10.0.0.0/08", "has a prefix length that is not 0 to 32"],
    ["10.0.0.0/-1", "has a prefix length that is not 0 to 32"],
    ["10.0.0.0/8/8", "has a prefix length that is not 0 to 32"],
    ["10.0.0.0/255.0.0.0", "has a prefix length that is not 0 to 32"],
    ["10.0.0.0/8 ", "has a prefix length that is not 0 to 32"],
    ["::/129", "has a prefix length that is not 0 to 128"],
    ["::/1e1", "has a prefix length that is not 0 to 128"],
    ["::ffff:10.0.0.0/104", "is an IPv4-mapped prefix, expected its IPv4 form"],
    ["::ffff:0:0/96", "is an IPv4-mapped prefix, expected its IPv4 form"],
  ])("refuses %j: %s", (text, fault) => {
    expect(parsePrefix(text)).toEqual({ fault });
  });

  it("never throws on junk", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."0123:./f") })),
        (text) => {
          const result = parsePrefix(text);
          expect("fault" in result || result.prefix.length >= 0).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("formatEndpoint", () => {
  it.each([
    ["192.0.2.1", 1194, 0, "192.0.2.1:1194"],
    ["2001:db8::1", 1194, 0, "[2001:db8::1]:1194"],
    ["fe80::1", 5, 3, "[fe80::1%3]:5"],
    ["::", 0, 0, "[::]:0"],
  ])("writes %s port %i scope %i as %s", (address, port, scope, text) => {
    const bytes = mapAddress(parseAddress(address) ?? new Uint8Array());
    expect(formatEndpoint({ address: bytes, port, scope })).toBe(text);
  });
});

describe("containsAddress", () => {
  it.each([
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.0.0.0/8", "::ffff:10.1.1.1", true],
    ["10.0.0.0/8", "::10.1.1.1", false],
    ["10.0.0.0/31", "10.0.0.1", true],
    ["10.0.0.0/31", "10.0.0.2", false],
    ["10.0.0.1/32", "10.0.0.1", true],
    ["0.0.0.0/0", "255.255.255.255", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "2001:db8::1", true],
    ["::/0", "10.0.0.1", false],
    ["::/0", "::ffff:10.0.0.1", false],
    ["2001:db8::/33", "2001:db8:7fff::", true],
    ["2001:db8::/33", "2001:db8:8000::", false],
    ["2001:db8::1/128", "2001:db8::2", false],
  ])("%s, %s: %s", (text, address, isInside) => {
    const bytes = parseAddress(address) ?? new Uint8Array();
    expect(containsAddress(prefix(text), bytes)).toBe(isInside);
  });
});

describe("prefixesOverlap", () => {
  it.each([
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.0.0.0/8", "11.0.0.0/8", false],
    ["10.0.0.0/9", "10.128.0.0/9", false],
    ["0.0.0.0/0", "192.0.2.1/32", true],
    ["0.0.0.0/0", "::/0", false],
    ["2001:db8::/32", "2001:db8:1::/48", true],
    ["2001:db8::/48", "2001:db8:1::/48", false],
    ["10.0.0.1/32", "10.0.0.1/32", true],
  ])("%s and %s: %s", (a, b, isOverlap) => {
    expect(prefixesOverlap(prefix(a), prefix(b))).toBe(isOverlap);
    expect(prefixesOverlap(prefix(b), prefix(a))).toBe(isOverlap);
  });
});

describe("mapAddress", () => {
  it("maps 4 bytes and copies 16", () => {
    expect(toHex(mapAddress(fromHex("c0000201")))).toBe("00000000000000000000ffffc0000201");
    const bytes = fromHex("20010db8000000000000000000000001");
    const copy = mapAddress(bytes);
    expect(copy).toEqual(bytes);
    expect(copy).not.toBe(bytes);
  });
});

function prefix(text: string): Prefix {
  return mustParse(text).prefix;
}

function mustParse(text: string) {
  const result = parsePrefix(text);
  if ("fault" in result) throw new Error(`${text} ${result.fault}`);
  return result;
}

/** Bytes with many zeros, so that every kind of "::" occurs. */
function sparseBytes(length: number): fc.Arbitrary<Uint8Array> {
  const byte = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(255), fc.constant(255));
  return fc
    .array(byte, { minLength: length, maxLength: length })
    .map((all) => Uint8Array.from(all));
}
