/**
 * Outer addresses: a UDP endpoint as it lies in message rows.
 *
 * IPv4 is always ::ffff:a.b.c.d, so that one comparison serves both families and a mapped address can
 * never pass where its IPv4 form is refused. Words are the 16 bytes in memory order.
 */
import { at, MESSAGE } from "./rows.ts";

/** REMOTE, PORT, SCOPE, LOCAL and DEVICE follow one another in a message row; a test holds that. */
export const ENDPOINT_WORDS = MESSAGE.DEVICE + 1 - MESSAGE.REMOTE;

/** The other end's UDP address and the local address and device it is reached from. */
export interface Endpoint {
  /** REMOTE to DEVICE of a message row, in one piece: what the packet path compares and copies. */
  readonly words: Int32Array;
  /** Four words in memory order, as MESSAGE.REMOTE. */
  readonly remote: Int32Array;
  /** UDP port, host order. */
  readonly port: number;
  /** IPv6 scope of a link-local address, else 0. */
  readonly scope: number;
  /** Four words; all zero: the kernel chooses. */
  readonly local: Int32Array;
  /** Interface index; 0: by route. */
  readonly device: number;
}

/** An endpoint from 16 address bytes (IPv4 mapped) and a port; local side left to the kernel. */
export function endpointFrom(bytes: Uint8Array, port: number, scope = 0): Endpoint {
  const words = new Int32Array(ENDPOINT_WORDS);
  new Uint8Array(words.buffer).set(bytes.subarray(0, 16));
  words[MESSAGE.PORT - MESSAGE.REMOTE] = port;
  words[MESSAGE.SCOPE - MESSAGE.REMOTE] = scope;
  return endpointOf(words);
}

/** The endpoint with its local side left to the kernel. */
export function withoutLocalSide(endpoint: Endpoint): Endpoint {
  return endpointOf(endpoint.words.slice().fill(0, MESSAGE.LOCAL - MESSAGE.REMOTE));
}

function endpointOf(words: Int32Array): Endpoint {
  const local = MESSAGE.LOCAL - MESSAGE.REMOTE;
  return {
    words,
    remote: words.slice(0, 4),
    port: at(words, MESSAGE.PORT - MESSAGE.REMOTE),
    scope: at(words, MESSAGE.SCOPE - MESSAGE.REMOTE),
    local: words.slice(local, local + 4),
    device: at(words, MESSAGE.DEVICE - MESSAGE.REMOTE),
  };
}

/** The endpoint that a received message row came from; replies leave from the address it was sent to. */
export function endpointOfRow(rows: Int32Array, base: number): Endpoint {
  return endpointOf(rows.slice(base + MESSAGE.REMOTE, base + MESSAGE.REMOTE + ENDPOINT_WORDS));
}

/** Whether the row's remote address, port and scope are those of `endpoint`. */
export function isRowFrom(rows: Int32Array, base: number, endpoint: Endpoint): boolean {
  return isSame(rows, base + MESSAGE.REMOTE, endpoint.words, 0, MESSAGE.LOCAL - MESSAGE.REMOTE);
}

/** Whether the row's local address and device are those of `endpoint`. */
export function isRowTo(rows: Int32Array, base: number, endpoint: Endpoint): boolean {
  const local = MESSAGE.LOCAL - MESSAGE.REMOTE;
  return isSame(rows, base + MESSAGE.LOCAL, endpoint.words, local, ENDPOINT_WORDS - local);
}

/** Whether two rows of one table came the same way: remote and local side are equal. */
export function isSameWay(rows: Int32Array, a: number, b: number): boolean {
  return a === b || isSame(rows, a + MESSAGE.REMOTE, rows, b + MESSAGE.REMOTE, ENDPOINT_WORDS);
}

function isSame(a: Int32Array, atA: number, b: Int32Array, atB: number, words: number): boolean {
  for (let word = 0; word < words; word++) {
    if (a[atA + word] !== b[atB + word]) return false;
  }
  return true;
}

/** Whether two endpoints have the same remote address, port and scope. */
export function isSameRemote(a: Endpoint, b: Endpoint): boolean {
  return (
    a.port === b.port &&
    a.scope === b.scope &&
    a.remote.every((value, index) => value === b.remote[index])
  );
}

/** Writes the endpoint's addresses into a message row to send. */
export function writeEndpoint(rows: Int32Array, base: number, endpoint: Endpoint): void {
  const { words } = endpoint;
  for (let word = 0; word < ENDPOINT_WORDS; word++) {
    rows[base + MESSAGE.REMOTE + word] = at(words, word);
  }
}

/** Whether the remote address is an IPv4 one: ::ffff:0:0/96 (RFC 4291 §2.5.5.2). */
export function isIpv4(endpoint: Endpoint): boolean {
  const bytes = remoteBytes(endpoint);
  return bytes.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 0xff));
}

/** The 16 bytes of an endpoint's remote address. */
export function remoteBytes(endpoint: Endpoint): Uint8Array {
  return new Uint8Array(endpoint.remote.buffer, endpoint.remote.byteOffset, 16);
}
