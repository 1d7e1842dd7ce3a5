/**
 * The UDP socket: opening it, batches in and out, and which of its errors pass.
 *
 * Not here: who may be sent to or answered. Addresses are 16 bytes, IPv4 mapped, in rows. Source: man 7
 * udp, man 7 ip. The trap: nothing that the network or a firewall does may end the process, so the
 * errors that pass are listed once, in `PASSING`; anything else is a bug of ours and is thrown.
 */

import type { MessageBatch } from "../core/batch.ts";
import { formatEndpoint } from "../core/prefix.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../core/rows.ts";
import { IoError } from "./io-error.ts";
import type { Native } from "./native.ts";

/** Socket buffer of each direction, bytes: 14 ms at 4 Gbit/s. */
const UDP_BUFFER_BYTES = 7 * 1024 * 1024;

/** Errors that a running socket may report, and why each is no reason to stop. All but EAGAIN are counted. */
const PASSING: Readonly<Record<string, string>> = {
  EAGAIN:
    "nothing to receive; or the send buffer is full, and the datagram is dropped as in any queue",
  ENOBUFS: "the device's queue is full",
  ENOMEM: "the kernel is short of memory for the moment",
  ECONNREFUSED: "an ICMP error, which anyone can forge",
  EHOSTUNREACH: "no route or no neighbour for the moment, or an ICMP error",
  ENETUNREACH: "no route for the moment",
  ENETDOWN: "the outgoing device is down for the moment",
  EHOSTDOWN: "the neighbour does not answer for the moment",
  EADDRNOTAVAIL: "the local address is gone; it is sent again from one of the kernel's choice",
  EINVAL: "the local address or device is gone; sent again in the same way",
  ENODEV: "the outgoing device is gone; sent again in the same way",
  ENXIO: "the outgoing device is gone; sent again in the same way",
  EMSGSIZE: "longer than the link or the route takes, which the path probes want to learn",
  EPERM: "a firewall rule drops it",
  EACCES: "a prohibit route or a broadcast address",
  EAFNOSUPPORT: "an IPv6 address on an IPv4 socket",
  EPROTO: "an ICMP error, which anyone can forge",
  ENOPROTOOPT: "an ICMP error, which anyone can forge",
  ETIMEDOUT: "an ICMP error, which anyone can forge",
};

/** Errors of a send that a local address or device which is gone explains. */
const STALE_LOCAL = new Set(["EADDRNOTAVAIL", "EINVAL", "ENETUNREACH", "ENODEV", "ENXIO"]);

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
}

/** Opens and binds the socket; throws an `IoError` with a hint. */
export function openUdp(native: Native, options: UdpOptions): UdpSocket {
  const { address, port, mark = 0, device = "", bufferBytes = UDP_BUFFER_BYTES } = options;
  const info = new Int32Array(4);
  const fd = native.udpOpen(address, port, mark, device, bufferBytes, info);
  if (fd < 0) throw new IoError("bind UDP socket", wishText(options), native.errnoName(fd));
  return new UdpSocket(native, fd, info);
}

/** An open UDP socket. */
export class UdpSocket {
  /** Descriptor, for `Native.watch`. */
  readonly fd: number;
  /** Bound port. */
  readonly port: number;
  /** 6 serves both families where it is bound to every address. */
  readonly family: 4 | 6;
  /** Buffers as the kernel counts them: twice what was asked for, less where it refused. */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly #native: Native;
  /** BOUNDED: by the errors in `PASSING`. */
  readonly #errors = new Map<string, number>();
  #isClosed = false;

  constructor(native: Native, fd: number, info: Int32Array) {
    const [port = 0, family = 0, receiveBytes = 0, sendBytes = 0] = info;
    this.#native = native;
    this.fd = fd;
    this.port = port;
    this.family = family === 4 ? 4 : 6;
    this.receiveBufferBytes = receiveBytes;
    this.sendBufferBytes = sendBytes;
  }

  /** Errors met so far by errno name; receive and send together. */
  errorCounts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#errors);
  }

  /**
   * Fills `batch` from its start with the datagrams that wait; datagram i lies at i * `stride`.
   * Returns their number, which is `batch.count`.
   */
  receive(batch: MessageBatch, stride: number): number {
    batch.count = 0;
    const { arena, rows, capacity } = batch;
    const result = this.#native.udpReceive(this.fd, arena, stride, rows, capacity);
    if (result < 0) this.#pass(result, "receive on UDP socket");
    else batch.count = result;
    return batch.count;
  }

  /**
   * Sends the batch. A row that fails because its local address or device is gone is sent once more with
   * both cleared. Returns how many datagrams the kernel refused; each row's STATUS says why.
   */
  send(batch: MessageBatch): number {
    const { arena, rows, count } = batch;
    if (count === 0) return 0;
    const sent = this.#native.udpSend(this.fd, arena, rows, count);
    if (sent < 0) throw this.#failure(sent, "send on UDP socket");
    return sent === count ? 0 : this.#handleRefused(batch);
  }

  /** Closes the descriptor. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#native.close(this.fd);
  }

  #handleRefused(batch: MessageBatch): number {
    let refused = 0;
    for (let row = 0; row < batch.count; row++) {
      const base = row * MESSAGE_FIELDS;
      const status = statusOf(batch.rows, base);
      if (status === 0 || this.#resend(batch, base, status)) continue;
      this.#pass(statusOf(batch.rows, base), "send on UDP socket");
      refused++;
    }
    return refused;
  }

  /** Whether the row got out after its local side was left to the kernel. */
  #resend(batch: MessageBatch, base: number, status: number): boolean {
    if (!STALE_LOCAL.has(this.#native.errnoName(status))) return false;
    const row = batch.rows.subarray(base, base + MESSAGE_FIELDS);
    const local = row.subarray(MESSAGE.LOCAL, MESSAGE.DEVICE + 1);
    if (local.every((word) => word === 0)) return false;
    local.fill(0);
    return this.#native.udpSend(this.fd, batch.arena, row, 1) === 1;
  }

  #pass(status: number, operation: "receive on UDP socket" | "send on UDP socket"): void {
    const code = this.#native.errnoName(status);
    if (!(code in PASSING)) throw this.#failure(status, operation);
    if (code === "EAGAIN" && operation === "receive on UDP socket") return;
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  #failure(status: number, operation: "receive on UDP socket" | "send on UDP socket"): IoError {
    return new IoError(operation, `on port ${this.port}`, this.#native.errnoName(status));
  }
}

/** What was asked for: "to 192.0.2.1:1194 on device eth0". */
function wishText({ address, port, device = "" }: UdpOptions): string {
  const where = `to ${formatEndpoint({ address, port, scope: 0 })}`;
  return device === "" ? where : `${where} on device ${device}`;
}

function statusOf(rows: Int32Array, base: number): number {
  return rows[base + MESSAGE.STATUS] ?? 0;
}
