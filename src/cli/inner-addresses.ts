/**
 * Inner addresses for two hosts that have none yet: ranges that are random and free, and the neighbour of an address.
 *
 * Random, so that two tunnels that are made apart do not meet in one range later: a /24 of RFC 1918's blocks, and
 * a /64 below a unique local prefix (RFC 4193 §3.2.2). Free means: apart from the networks that the caller knows.
 */
import type { InterfaceAddress } from "../config/config.ts";
import { networkOf } from "../config/network-of.ts";
import {
  containsAddress,
  formatAddress,
  type Prefix,
  parsePrefix,
  prefixesOverlap,
} from "../core/prefix.ts";

/** Random bytes, of the system's source. */
export type Random = (length: number) => Uint8Array;

/** RFC 1918's blocks, the one with the most room first. */
const BLOCKS = [
  { first: 10, second: (byte: number) => byte },
  { first: 172, second: (byte: number) => 16 + (byte & 15) },
  { first: 192, second: () => 168 },
] as const;
/** Subnet 0 and host ::1, behind a unique local prefix of 48 bits. */
const HOST_ONE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1] as const;
/** BOUNDED: ranges that are tried in a block, before the next one is. */
const DRAWS = 64;

/** The first host's addresses in random ranges, as text with prefix length; IPv4 is left out where nothing is free. */
export function randomAddresses(taken: readonly Prefix[], random: Random): readonly string[] {
  const ipv4 = freeNetwork(taken, random);
  const ipv6 = `${formatAddress(Uint8Array.of(0xfd, ...random(5), ...HOST_ONE))}/64`;
  return ipv4 === undefined ? [ipv6] : [`${ipv4}.1/24`, ipv6];
}

/** The three bytes of a /24. */
function freeNetwork(taken: readonly Prefix[], random: Random): string | undefined {
  for (const { first, second } of BLOCKS) {
    for (let draw = 0; draw < DRAWS; draw++) {
      const [high = 0, low = 0] = random(2);
      const network = `${first}.${second(high)}.${low}`;
      const parsed = parsePrefix(`${network}.0/24`);
      if ("fault" in parsed) continue;
      if (!taken.some((one) => prefixesOverlap(one, parsed.prefix))) return network;
    }
  }
  return undefined;
}

/** Why no host can have the address, as a clause that follows it; undefined: one can. */
export function hostAddressFault(address: InterfaceAddress): string | undefined {
  const { bytes, prefixLength } = address;
  const hostBits = bytes.length * 8 - prefixLength;
  // RFC 3021, RFC 6164: both addresses of such a pair are hosts'.
  if (hostBits < 2) return undefined;
  const network = networkOf(address).bytes;
  if (Buffer.compare(bytes, network) === 0) return "is the network itself; expected a host in it";
  const isLast = Buffer.compare(bytes, lastOf(network, hostBits)) === 0;
  return isLast && bytes.length === 4
    ? "is the network's broadcast address; expected a host in it"
    : undefined;
}

/** The address after it in its network, or the one before where it is the last, as text with prefix length. */
export function neighbourOf(address: InterfaceAddress): string | undefined {
  const network = networkOf(address);
  const bytes = [1, -1]
    .map((step) => moved(address.bytes, step))
    .find(
      (one) =>
        containsAddress(network, one) && hostAddressFault({ ...address, bytes: one }) === undefined,
    );
  return bytes === undefined ? undefined : `${formatAddress(bytes)}/${address.prefixLength}`;
}

function lastOf(network: Uint8Array, hostBits: number): Uint8Array {
  return network.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, hostBits - (network.length - 1 - index) * 8));
    return byte | ((1 << bits) - 1);
  });
}

/** The address plus or minus one. */
function moved(bytes: Uint8Array, step: number): Uint8Array {
  const result = bytes.slice();
  let carry = step;
  for (let index = result.length - 1; index >= 0 && carry !== 0; index--) {
    const sum = (result[index] ?? 0) + carry;
    result[index] = sum & 0xff;
    carry = sum >> 8;
  }
  return result;
}
