/**
 * The socket's shield: a filter by which the kernel drops datagrams that are no message of the protocol.
 *
 * When it is up is the engine's to say (engine/shield.ts). The trap: the kernel would drop a joined run for its first
 * datagram's sake, and anyone can send from a peer's address, so nothing is joined while the shield is up.
 */
import { LEAST_MESSAGE_BYTES, MESSAGE_STARTS } from "../core/wire.ts";
import { type Native, UDP_OFFLOAD } from "./native.ts";

const STARTS = Int32Array.from(MESSAGE_STARTS.flatMap(({ mask, value }) => [mask, value]));
const NONE = new Int32Array(0);

type ShieldNative = Pick<Native, "udpFilter" | "udpOffload">;

/** Raises the shield; false: the kernel has no such filter. `isJoining`: the socket joins datagrams (GRO) otherwise. */
export function raiseShield(native: ShieldNative, fd: number, isJoining: boolean): boolean {
  if (isJoining) native.udpOffload(fd, 0);
  const isUp = native.udpFilter(fd, LEAST_MESSAGE_BYTES, STARTS) === 0;
  if (!isUp && isJoining) native.udpOffload(fd, UDP_OFFLOAD.GRO);
  return isUp;
}

/** Lowers it; harmless where it is not up. */
export function lowerShield(native: ShieldNative, fd: number, isJoining: boolean): void {
  native.udpFilter(fd, 0, NONE);
  if (isJoining) native.udpOffload(fd, UDP_OFFLOAD.GRO);
}
