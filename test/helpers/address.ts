/**
 * Addresses and prefixes for the tests, from text; a plain twin of core/prefix.ts.
 *
 * It trusts its input (tests write correct addresses) and refuses nothing. IPv4 becomes
 * ::ffff:a.b.c.d wherever 16 bytes are asked for, as in message rows. Text forms are those of
 * RFC 5952, so that an address written in a test equals the one read back from a row.
 */
import type { PlainEndpoint } from "../../src/core/options.ts";
import type { Prefix } from "../../src/core/prefix.ts";

/** A UDP address in readable form. */
export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

const known = new Map<string, Uint8Array>();

/** The 16 bytes of an address (IPv4 mapped); shared, not to be written to. */
export function ipBytes(text: string): Uint8Array {
  const before = known.get(text);
  if (before !== undefined) return before;
  const bytes = text.includes(":") ? ipv6Bytes(text) : mapped(ipv4Bytes(text));
  known.set(text, bytes);
  return bytes;
}

/** The 4 or 16 bytes of an address as they stand in an inner header; shared, not to be written to. */
export function innerBytes(text: string): Uint8Array {
  const bytes = ipBytes(text);
  return text.includes(":") ? bytes : bytes.subarray(12);
}

/** Canonical text of 16 address bytes; mapped addresses read as IPv4. */
export function ipText(bytes: Uint8Array): string {
  const isMapped = bytes.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
  if (isMapped) return bytes.subarray(12, 16).join(".");
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  ).join(":");
  return shortened(groups);
}

/** An endpoint as the core's options take it. */
export function endpoint(ip: string, port: number): PlainEndpoint {
  return { address: ipBytes(ip).slice(), port, scope: 0 };
}

/** `ip:port` of an endpoint, or "none". */
export function endpointText(value: PlainEndpoint | undefined): string {
  return value === undefined ? "none" : socketText({ ip: ipText(value.address), port: value.port });
}

/** `ip:port` with brackets round IPv6. */
export function socketText(address: SocketAddress): string {
  return address.ip.includes(":")
    ? `[${address.ip}]:${address.port}`
    : `${address.ip}:${address.port}`;
}

/** A prefix from text such as "10.9.0.0/24"; without a length it is a host. */
export function prefix(text: string): Prefix {
  const [ip = "", length] = text.split("/");
  const bytes = innerBytes(ip).slice();
  return { family: bytes.length === 4 ? 4 : 6, bytes, length: Number(length ?? bytes.length * 8) };
}

function shortened(groups: string): string {
  let longest = { index: 0, length: 0 };
  for (const { index, 0: run } of groups.matchAll(/\b0(:0)+\b/g)) {
    if (run.length > longest.length) longest = { index, length: run.length };
  }
  if (longest.length === 0) return groups;
  const head = groups.slice(0, longest.index).replace(/:$/, "");
  const tail = groups.slice(longest.index + longest.length).replace(/^:/, "");
  return `${head}::${tail}`;
}

function ipv4Bytes(text: string): Uint8Array {
  return Uint8Array.from(text.split("."), Number);
}

function mapped(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(16);
  whole.fill(0xff, 10, 12);
  whole.set(bytes, 12);
  return whole;
}

function ipv6Bytes(text: string): Uint8Array {
  const dotted = text.match(/^::ffff:(\d+\.\d+\.\d+\.\d+)$/);
  if (dotted?.[1] !== undefined) return mapped(ipv4Bytes(dotted[1]));
  const [head = "", tail] = text.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = Array.from({ length: 8 - front.length - back.length }, () => "0");
  const groups = [...front, ...middle, ...back].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}
