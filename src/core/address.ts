/**
 * Outer addresses: a UDP endpoint as it lies in message rows.
 *
 * IPv4 is always ::ffff:a.b.c.d, so that one comparison serves both families and a mapped address can
 * never pass where its IPv4 form is refused. Words are the 16 bytes in memory order.
 */
import { at, MESSAGE } from "./rows.ts";

/** The other end's UDP address and the local address and device it is reached from. */
export interface Endpoint {
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
  const remote = new Int32Array(4);
  new Uint8Array(remote.buffer).set(bytes.subarray(0, 16));
  return { remote, port, scope, local: new Int32Array(4), device: 0 };
}

/** The endpoint that a received message row came from; replies leave from the address it was sent to. */
export function endpointOfRow(rows: Int32Array, base: number): Endpoint {
  return {
    remote: rows.slice(base + MESSAGE.REMOTE, base + MESSAGE.REMOTE + 4),
    port: at(rows, base + MESSAGE.PORT),
    scope: at(rows, base + MESSAGE.SCOPE),
    local: rows.slice(base + MESSAGE.LOCAL, base + MESSAGE.LOCAL + 4),
    device: at(rows, base + MESSAGE.DEVICE),
  };
}

/** Whether the row's remote address, port and scope are those of `endpoint`. */
export function isRowFrom(rows: Int32Array, base: number, endpoint: Endpoint): boolean {
  const { remote } = endpoint;
  return (
    rows[base + MESSAGE.REMOTE] === remote[0] &&
    rows[base + MESSAGE.REMOTE + 1] === remote[1] &&
    rows[base + MESSAGE.REMOTE + 2] === remote[2] &&
    rows[base + MESSAGE.REMOTE + 3] === remote[3] &&
    rows[base + MESSAGE.PORT] === endpoint.port &&
    rows[base + MESSAGE.SCOPE] === endpoint.scope
  );
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
  rows.set(endpoint.remote, base + MESSAGE.REMOTE);
  rows[base + MESSAGE.PORT] = endpoint.port;
  rows[base + MESSAGE.SCOPE] = endpoint.scope;
  rows.set(endpoint.local, base + MESSAGE.LOCAL);
  rows[base + MESSAGE.DEVICE] = endpoint.device;
}

/** The 16 bytes of an endpoint's remote address. */
export function remoteBytes(endpoint: Endpoint): Uint8Array {
  return new Uint8Array(endpoint.remote.buffer, endpoint.remote.byteOffset, 16);
}
