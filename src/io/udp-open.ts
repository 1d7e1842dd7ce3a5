/**
 * Opens the UDP socket, or takes one that another process has opened.
 *
 * What is set on it (mark, device, buffers, offloads) belongs to the socket and not to the process: whoever takes one sets
 * all of it, also what is to be off. The socket at work is in udp.ts.
 */
import { formatEndpoint } from "../core/prefix.ts";
import { IoError } from "./io-error.ts";
import { type Native, UDP_OFFLOAD } from "./native.ts";
import { offloadBits, UDP_BUFFER_BYTES, type UdpOffload, UdpSocket } from "./udp.ts";

export interface UdpOptions {
  /** 16 bytes; all zero: every address of both families; ::ffff:0.0.0.0: every IPv4 address. */
  readonly address: Uint8Array;
  /** 0: the kernel chooses. */
  readonly port: number;
  /** Firewall mark (SO_MARK); 0: none. */
  readonly mark?: number;
  /** Device to bind to (SO_BINDTODEVICE); empty: none. */
  readonly device?: string;
  /** Bytes of each buffer; 7 MB unless told. */
  readonly bufferBytes?: number;
  /** Offloads to ask the kernel for; none unless told. */
  readonly wish?: Readonly<Record<UdpOffload, boolean>>;
}

/** Opens and binds the socket; throws an `IoError` with a hint. */
export function openUdp(native: Native, options: UdpOptions): UdpSocket {
  const { address, port, mark = 0, device = "", bufferBytes = UDP_BUFFER_BYTES } = options;
  const info = new Int32Array(4);
  const fd = native.udpOpen(address, port, mark, device, bufferBytes, info);
  if (fd < 0) throw new IoError("bind UDP socket", wishText(options), native.errnoName(fd));
  const offloads = offloadsOf(native, fd, options);
  return new UdpSocket(native, fd, info, offloads, { device, mark, bufferBytes });
}

/** Takes a bound socket that another process has opened. */
export function adoptUdp(native: Native, fd: number, options: UdpOptions): AdoptedSocket {
  const { mark = 0, device = "", bufferBytes = UDP_BUFFER_BYTES } = options;
  const info = new Int32Array(4);
  const address = new Uint8Array(16);
  const result = native.udpAdopt(fd, mark, device, bufferBytes, info, address);
  if (result < 0) {
    const on = device === "" ? "" : ` on device ${device}`;
    throw new IoError("take UDP socket", `descriptor ${fd}${on}`, native.errnoName(result));
  }
  // Also to switch off what it has and is not to have.
  if (offloadsWanted(options) === 0) native.udpOffload(fd, 0);
  const offloads = offloadsOf(native, fd, options);
  const isSamePort = options.port === 0 || options.port === info[0];
  const isSameAddress = address.every((byte, at) => byte === options.address[at]);
  // A host without IPv6 binds every IPv4 address in place of every one.
  const isAny = info[1] === 4 && options.address.every((byte) => byte === 0);
  return {
    socket: new UdpSocket(native, fd, info, offloads, { device, mark, bufferBytes }),
    isAsWanted: isSamePort && (isSameAddress || isAny),
  };
}

/** A socket of another process. */
export interface AdoptedSocket {
  readonly socket: UdpSocket;
  /** Whether it is bound to the address and port that are wanted. */
  readonly isAsWanted: boolean;
}

function offloadsWanted({ wish }: UdpOptions): number {
  return offloadBits((["gso", "gro"] as const).filter((offload) => wish?.[offload]));
}

/** Those of the wished offloads that the kernel has. */
function offloadsOf(native: Native, fd: number, options: UdpOptions): readonly UdpOffload[] {
  const wanted = offloadsWanted(options);
  if (wanted === 0) return [];
  const granted = Math.max(0, native.udpOffload(fd, wanted));
  const has = { gso: (granted & UDP_OFFLOAD.GSO) !== 0, gro: (granted & UDP_OFFLOAD.GRO) !== 0 };
  return (["gso", "gro"] as const).filter((offload) => has[offload]);
}

/** What was asked for: "to 192.0.2.1:1194 on device eth0". */
function wishText({ address, port, device = "" }: UdpOptions): string {
  const where = `to ${formatEndpoint({ address, port, scope: 0 })}`;
  return device === "" ? where : `${where} on device ${device}`;
}
