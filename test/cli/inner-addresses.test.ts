/**
 * Inner addresses that `iptun init` makes up: random, free, and two hosts' beside each other.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hostAddressFault, neighbourOf, randomAddresses } from "../../src/cli/inner-addresses.ts";
import type { InterfaceAddress } from "../../src/config/config.ts";
import { networkOf } from "../../src/config/network-of.ts";
import { parseInterfaceAddress } from "../../src/config/resolve-interface.ts";
import { formatPrefix, type Prefix, parsePrefix, prefixesOverlap } from "../../src/core/prefix.ts";

describe("random addresses", () => {
  it("are .1 of a /24 and ::1 of a unique local /64", () => {
    const bytes = [7, 9, 0xab, 1, 2, 3, 4];
    const random = (length: number) => Uint8Array.from(bytes.splice(0, length));
    expect(randomAddresses([], random)).toEqual(["10.7.9.1/24", "fdab:102:304::1/64"]);
  });

  it.each([
    [["10.0.0.0/8"], "172.16.0.1/24"],
    [["10.0.0.0/8", "172.0.0.0/8"], "192.168.0.1/24"],
    [["10.0.0.128/25", "172.16.0.7/32"], "192.168.0.1/24"],
  ])("keep apart from %j", (taken, expected) => {
    const zeros = (length: number) => new Uint8Array(length);
    expect(randomAddresses(taken.map(prefixOf), zeros)[0]).toBe(expected);
  });

  it("are of IPv6 alone where no IPv4 is free", () => {
    const taken = ["0.0.0.0/1", "128.0.0.0/1"].map(prefixOf);
    expect(randomAddresses(taken, (length) => new Uint8Array(length))).toEqual(["fd00::1/64"]);
  });

  it("never overlap what is taken, whatever is drawn", () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(
        fc.infiniteStream(byte),
        byte,
        fc.integer({ min: 8, max: 24 }),
        (draws, a, bits) => {
          const random = (length: number) => Uint8Array.from(draws.take(length));
          const taken = networkOf(addressOf(`10.${a}.0.0/${bits}`));
          const [ipv4 = ""] = randomAddresses([taken], random);
          expect(prefixesOverlap(taken, networkOf(addressOf(ipv4)))).toBe(false);
        },
      ),
    );
  });
});

describe("the neighbour", () => {
  it.each([
    ["10.77.0.1/24", "10.77.0.2/24"],
    ["10.77.0.254/24", "10.77.0.253/24"],
    ["10.77.0.255/16", "10.77.1.0/16"],
    ["10.0.0.1/30", "10.0.0.2/30"],
    ["10.0.0.2/30", "10.0.0.1/30"],
    ["10.0.0.0/31", "10.0.0.1/31"],
    ["10.0.0.1/31", "10.0.0.0/31"],
    ["10.0.0.1/32", undefined],
    ["fd77::1/64", "fd77::2/64"],
    ["fd77::ffff/64", "fd77::1:0/64"],
    ["fd77::1/127", "fd77::/127"],
    ["fd77::1/128", undefined],
    ["255.255.255.254/24", "255.255.255.253/24"],
  ])("of %s is %s", (address, expected) => {
    expect(neighbourOf(addressOf(address))).toBe(expected);
  });

  it("is a host of the same network, and another", () => {
    const address = fc.tuple(
      fc.uint8Array({ minLength: 3, maxLength: 3 }),
      fc.integer({ min: 8, max: 31 }),
    );
    fc.assert(
      fc.property(address, ([rest, prefixLength]) => {
        const bytes = Uint8Array.of(10, ...rest);
        const one: InterfaceAddress = { family: 4, bytes, prefixLength };
        fc.pre(hostAddressFault(one) === undefined);
        const other = addressOf(neighbourOf(one) ?? "");
        expect(hostAddressFault(other)).toBeUndefined();
        expect(formatPrefix(networkOf(other))).toBe(formatPrefix(networkOf(one)));
        expect(other.bytes).not.toEqual(bytes);
      }),
    );
  });
});

describe("a host's address", () => {
  it.each(["10.0.0.0/24", "10.0.0.255/24", "10.0.0.0/30", "10.127.255.255/9", "fd77::/64"])(
    "is not %s",
    (text) => {
      expect(hostAddressFault(addressOf(text))).toMatch(/; expected a host in it$/);
    },
  );

  it.each(["10.0.0.1/24", "10.0.1.0/16", "10.0.0.0/31", "10.0.0.0/32", "fd77::ffff/112"])(
    "is %s",
    (text) => {
      expect(hostAddressFault(addressOf(text))).toBeUndefined();
    },
  );
});

function prefixOf(text: string): Prefix {
  const parsed = parsePrefix(text);
  if ("fault" in parsed) throw new Error(parsed.fault);
  return parsed.prefix;
}

function addressOf(text: string): InterfaceAddress {
  const parsed = parseInterfaceAddress(text);
  if ("fault" in parsed) throw new Error(`${text} ${parsed.fault}`);
  return parsed;
}
