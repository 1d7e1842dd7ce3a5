/**
 * Outer and inner addresses of the reference model: plain numbers, so that they compare and print without effort.
 *
 * IPv4 only; the model's rules do not depend on the family. An `Ip` is the four bytes as they lie in a message
 * row, read as one unsigned word; an `Address` is an `Ip` with a UDP port.
 */

/** Four address bytes, the first one lowest. */
export type Ip = number;
/** An `Ip` times 65,536, plus a port. */
export type Address = number;

/** From "192.0.2.1". */
export function ip(text: string): Ip {
  const [a = 0, b = 0, c = 0, d = 0] = text.split(".").map(Number);
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

export function addressOf(host: Ip, port: number): Address {
  return host * 65_536 + port;
}

export function ipOf(address: Address): Ip {
  return Math.floor(address / 65_536);
}

export function portOf(address: Address): number {
  return address % 65_536;
}

export function ipText(host: Ip): string {
  return [host & 0xff, (host >>> 8) & 0xff, (host >>> 16) & 0xff, host >>> 24].join(".");
}

export function addressText(address: Address): string {
  return `${ipText(ipOf(address))}:${portOf(address)}`;
}

/** The four bytes in network order. */
export function ipBytes4(host: Ip): Uint8Array {
  return Uint8Array.of(host & 0xff, (host >>> 8) & 0xff, (host >>> 16) & 0xff, host >>> 24);
}
