/**
 * "host:port" as text: `listen` and `endpoint`.
 *
 * A host is an IPv4 address, an IPv6 address in brackets, or a name (RFC 1123 §2.1). What ends in a
 * number but is no IPv4 address ("10.1", "0x7f.1") is refused: system resolvers take such forms for
 * addresses of their own making. Zones ("%eth0") are refused: `device` binds to a device.
 */
import { parseAddress } from "../core/prefix.ts";

/** A host and a port, 0..65535. */
export interface ParsedHostPort {
  /** Without brackets. */
  readonly host: string;
  /** 4 or 16 bytes; undefined: the host is a name. */
  readonly address: Uint8Array | undefined;
  readonly port: number;
}

const MAX_PORT = 65_535;
const MAX_NAME_LENGTH = 253;
const LABEL = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/;

/** Reads "192.0.2.1:1194", "[2001:db8::1]:1194" or "vpn.example.org:1194"; the fault is a clause after the text. */
export function parseHostPort(text: string): ParsedHostPort | { readonly fault: string } {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]+)$/.exec(text);
  if (parts === null) return { fault: formFault(text) };
  const [, bracketed, plain, digits] = parts;
  const port = Number(digits);
  if (port > MAX_PORT) return { fault: `has a port above ${MAX_PORT}` };
  return bracketed === undefined ? parseHost(plain ?? "", port) : parseBracketed(bracketed, port);
}

/** Why nothing can be sent to an address, as a clause that follows it; undefined: it can be an endpoint. */
export function unicastFault(address: Uint8Array): string | undefined {
  if (address.every((byte) => byte === 0)) return "is the unspecified address";
  const [first = 0] = address;
  const isMulticast = address.length === 4 ? first >= 224 && first < 240 : first === 0xff;
  if (isMulticast) return "is a multicast address";
  const isBroadcast = address.length === 4 && address.every((byte) => byte === 0xff);
  return isBroadcast ? "is the broadcast address" : undefined;
}

function parseBracketed(host: string, port: number): ParsedHostPort | { readonly fault: string } {
  if (host.includes("%")) return { fault: "has a zone, which is not supported; remove it" };
  const address = parseAddress(host);
  if (address?.length !== 16) return { fault: "has no IPv6 address between its brackets" };
  return { host, address, port };
}

function parseHost(host: string, port: number): ParsedHostPort | { readonly fault: string } {
  const address = parseAddress(host);
  if (address !== undefined) return { host, address, port };
  const labels = host.replace(/\.$/, "").split(".");
  if (/^(?:[0-9]+|0[xX][0-9a-fA-F]*)$/.test(labels.at(-1) ?? "")) {
    return { fault: "has no valid IPv4 address" };
  }
  const isName = host.length <= MAX_NAME_LENGTH && labels.every((label) => LABEL.test(label));
  return isName ? { host, address: undefined, port } : { fault: "has no valid host name" };
}

function formFault(text: string): string {
  if (!text.startsWith("[") && text.split(":").length > 2) {
    return "has an IPv6 address without brackets";
  }
  return "has no port";
}
