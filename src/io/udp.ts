/**
 * The UDP socket: batches in and out, and which of its errors pass; udp-open.ts opens it.
 *
 * Not here: who may be sent to or answered. Addresses are 16 bytes, IPv4 mapped, in rows. Source: man 7
 * udp, man 7 ip. The trap: nothing that the network or a firewall does may end the process, so the
 * errors that pass are listed once, in `PASSING`; anything else is a bug of ours and is thrown.
 */

import { type MessageBatch, messageBatch } from "../core/batch.ts";
import { datagramsIn } from "../core/outbound/message-runs.ts";
import { MESSAGE, MESSAGE_DONT_FRAGMENT, MESSAGE_FIELDS } from "../core/rows.ts";
import type { Instant } from "../core/time.ts";
import { IoError } from "./io-error.ts";
import { type Native, UDP_OFFLOAD } from "./native.ts";
import { copyDatagram, PlainRoutes } from "./plain-routes.ts";
import { lowerShield, raiseShield } from "./udp-shield.ts";

/** Socket buffer of each direction, bytes: 14 ms at 4 Gbit/s. */
export const UDP_BUFFER_BYTES = 7 * 1024 * 1024;

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

/**
 * Errors by which the kernel says that a path takes no runs: no checksum offload (EIO), a run longer than
 * the path's MTU allows (EINVAL, EMSGSIZE). Each has other causes too, which single datagrams then meet.
 */
const NO_RUNS = new Set(["EIO", "EINVAL", "EMSGSIZE"]);
/** Single datagrams in one call where runs are taken apart. */
const PLAIN_ROWS = 128;
/** Bytes of one receive, roughly: what fits a core's cache. */
const RECEIVE_BYTES = 256 * 1024;

/** A socket's offloads by name. */
export type UdpOffload = "gso" | "gro";

/** Offloads as the addon takes them: bits of `UDP_OFFLOAD`. */
export function offloadBits(offloads: readonly UdpOffload[]): number {
  const bits = { gso: UDP_OFFLOAD.GSO, gro: UDP_OFFLOAD.GRO };
  return offloads.reduce((all, offload) => all | bits[offload], 0);
}

/** A remote address that took no run; to be logged. */
export interface RefusedRun {
  /** 16 bytes. */
  readonly remote: Uint8Array;
  readonly errno: string;
}

/** Errors of a send that a local address or device which is gone explains. */
const STALE_LOCAL = new Set(["EADDRNOTAVAIL", "EINVAL", "ENETUNREACH", "ENODEV", "ENXIO"]);

/** What a socket was set to when it was opened. */
export interface UdpSettings {
  /** Firewall mark (SO_MARK); 0: none. */
  readonly mark: number;
  /** Device it is bound to (SO_BINDTODEVICE); empty: none. */
  readonly device: string;
  /** Bytes of each buffer. */
  readonly bufferBytes: number;
}

const NO_SETTINGS: UdpSettings = { device: "", mark: 0, bufferBytes: UDP_BUFFER_BYTES };

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
  readonly offloads: readonly UdpOffload[];
  readonly #native: Native;
  /** BOUNDED: by the errors in `PASSING`, and those of binding to a device. */
  readonly #errors = new Map<string, number>();
  readonly #plainRoutes = new PlainRoutes();
  /** Rows of runs taken apart; the arena is the batch's own. */
  readonly #singles = new Int32Array(PLAIN_ROWS * MESSAGE_FIELDS);
  #fallbacks = 0;
  #refusedRun: RefusedRun | undefined;
  readonly #device: string;
  readonly #bufferBytes: number;
  #mark: number;
  #isClosed = false;

  constructor(
    native: Native,
    fd: number,
    info: Int32Array,
    offloads: readonly UdpOffload[] = [],
    { device, mark, bufferBytes } = NO_SETTINGS,
  ) {
    const [port = 0, family = 0, receiveBytes = 0, sendBytes = 0] = info;
    this.#native = native;
    this.fd = fd;
    this.port = port;
    this.family = family === 4 ? 4 : 6;
    this.receiveBufferBytes = receiveBytes;
    this.sendBufferBytes = sendBytes;
    this.offloads = offloads;
    this.#device = device;
    this.#bufferBytes = bufferBytes;
    this.#mark = mark;
  }

  /**
   * Binds to its device anew, where it has one: a device that goes and comes again by its name is another one, and
   * the socket would still be bound to the first. An error is counted.
   */
  bindDevice(): void {
    if (this.#device === "") return;
    const status = this.#native.udpBindDevice(this.fd, this.#device);
    if (status < 0) this.#count(this.#native.errnoName(status));
  }

  /** Sets the firewall mark of what is sent; why it could not, as the end of a sentence. */
  setMark(mark: number): string | undefined {
    if (mark === this.#mark) return undefined;
    const status = this.#native.udpSetMark(this.fd, mark);
    if (status < 0) return `the kernel refuses mark ${mark}: ${this.#native.errnoName(status)}`;
    this.#mark = mark;
    return undefined;
  }

  /**
   * Sets mark, device, buffers and offloads again, which belong to the socket and not to one descriptor of it: another
   * process may have taken it and set its own. An error is counted.
   */
  setAgain(): void {
    const [native, mark, device, bytes] = [
      this.#native,
      this.#mark,
      this.#device,
      this.#bufferBytes,
    ];
    const [info, bound] = [new Int32Array(4), new Uint8Array(16)];
    const statuses = [
      native.udpAdopt(this.fd, mark, device, bytes, info, bound),
      native.udpOffload(this.fd, offloadBits(this.offloads)),
    ];
    for (const one of statuses) if (one < 0) this.#count(native.errnoName(one));
  }

  /** Lets the kernel drop what is no message, or no longer; false: it cannot. */
  setShield(isUp: boolean): boolean {
    const isJoining = this.offloads.includes("gro");
    if (isUp) return raiseShield(this.#native, this.fd, isJoining);
    lowerShield(this.#native, this.fd, isJoining);
    return true;
  }

  /** Datagrams that the kernel dropped unread: for want of room, a wrong checksum, or by the shield. */
  get unread(): number {
    return Math.max(0, this.#native.udpDropped(this.fd));
  }

  /** Runs that were taken apart because the kernel refused them. */
  get gsoFallbacks(): number {
    return this.#fallbacks;
  }

  /** Remote addresses that get single datagrams for a while. */
  plainRoutes(now: Instant): number {
    return this.#plainRoutes.count(now);
  }

  /** The last run that was refused since the last call. */
  takeRefusedRun(): RefusedRun | undefined {
    const refused = this.#refusedRun;
    this.#refusedRun = undefined;
    return refused;
  }

  /** Errors met so far by errno name; receive and send together. */
  errorCounts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#errors);
  }

  /**
   * Fills `batch` from its start with the datagrams that wait; message i lies at i * `stride`.
   * Returns the number of messages, which is `batch.count`.
   */
  receive(batch: MessageBatch, stride: number): number {
    const { arena, rows, capacity } = batch;
    const result = this.#native.udpReceive(this.fd, arena, stride, rows, capacity, RECEIVE_BYTES);
    batch.count = Math.max(result, 0);
    batch.isFull = batch.count === capacity || bytesOf(batch) >= RECEIVE_BYTES;
    if (result < 0) this.#pass(result, "receive on UDP socket");
    return batch.count;
  }

  /**
   * Sends the batch. A run that its path does not take goes datagram by datagram, and so do the next ones
   * to that address for a while. A datagram that fails because its local address or device is gone is
   * sent once more with both cleared. Returns how many datagrams the kernel refused.
   */
  send(batch: MessageBatch, now: Instant): number {
    if (batch.count === 0) return 0;
    if (this.#plainRoutes.isAny(now)) return this.#sendPlain(batch, now);
    return this.#sendRows(batch, now);
  }

  /** Closes the descriptor. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#native.close(this.fd);
  }

  #sendRows(batch: MessageBatch, now: Instant): number {
    const { arena, rows, count } = batch;
    const sent = this.#native.udpSend(this.fd, arena, rows, count);
    if (sent < 0) throw this.#failure(sent, "send on UDP socket");
    return sent === count ? 0 : this.#handleRefused(batch, now);
  }

  /** Sends in the same order, but runs to plain routes taken apart. */
  #sendPlain({ arena, rows, count }: MessageBatch, now: Instant): number {
    const singles = { arena, rows: this.#singles, count: 0, capacity: PLAIN_ROWS, isFull: false };
    let refused = 0;
    for (let row = 0; row < count; row++) {
      const base = row * MESSAGE_FIELDS;
      const isPlain = this.#plainRoutes.has(rows, base, now);
      const parts = isPlain ? datagramsIn(rows, base) : 1;
      for (let part = 0; part < parts; part++) {
        if (singles.count === PLAIN_ROWS) refused += this.#flush(singles, now);
        const to = singles.count * MESSAGE_FIELDS;
        copyDatagram(rows, base, isPlain ? part : -1, singles.rows, to);
        singles.count++;
      }
    }
    return refused + this.#flush(singles, now);
  }

  #flush(singles: MessageBatch, now: Instant): number {
    const refused = this.#sendRows(singles, now);
    singles.count = 0;
    return refused;
  }

  #handleRefused(batch: MessageBatch, now: Instant): number {
    let refused = 0;
    for (let row = 0; row < batch.count; row++) {
      const base = row * MESSAGE_FIELDS;
      const status = statusOf(batch.rows, base);
      if (status === 0) continue;
      if (this.#isRefusedRun(batch.rows, base, status)) {
        refused += this.#sendApart(batch, base, now);
      } else if (this.#isProbeTooLong(batch.rows, base, status)) {
        // Its sender waits for an answer, and draws the conclusion from none.
      } else if (!this.#resend(batch, base, status)) {
        this.#pass(statusOf(batch.rows, base), "send on UDP socket");
        refused += datagramsIn(batch.rows, base);
      }
    }
    return refused;
  }

  /** A path probe that the first link already does not take. */
  #isProbeTooLong(rows: Int32Array, base: number, status: number): boolean {
    const flags = rows[base + MESSAGE.FLAGS] ?? 0;
    return (flags & MESSAGE_DONT_FRAGMENT) !== 0 && this.#native.errnoName(status) === "EMSGSIZE";
  }

  #isRefusedRun(rows: Int32Array, base: number, status: number): boolean {
    return rows[base + MESSAGE.SEGMENT] !== 0 && NO_RUNS.has(this.#native.errnoName(status));
  }

  /**
   * Sends a refused run datagram by datagram. Where one gets out as it is, the run was what the path did not
   * take; a local address that is gone fails with the same errors.
   */
  #sendApart({ arena, rows }: MessageBatch, base: number, now: Instant): number {
    const parts = datagramsIn(rows, base);
    const singles = messageBatch(arena, parts);
    for (; singles.count < parts; singles.count++) {
      copyDatagram(rows, base, singles.count, singles.rows, singles.count * MESSAGE_FIELDS);
    }
    const refused = this.#sendRows(singles, now);
    if (isSentAsAsked(singles, rows, base)) {
      this.#fallbacks++;
      this.#plainRoutes.add(rows, base, now);
      const remote = rows.slice(base + MESSAGE.REMOTE, base + MESSAGE.REMOTE + 4);
      const errno = this.#native.errnoName(statusOf(rows, base));
      this.#refusedRun = { remote: new Uint8Array(remote.buffer), errno };
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
    this.#count(code);
  }

  #count(code: string): void {
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  #failure(status: number, operation: "receive on UDP socket" | "send on UDP socket"): IoError {
    return new IoError(operation, `on port ${this.port}`, this.#native.errnoName(status));
  }
}

/** Whether a datagram of the run in row `base` got out from the local side that the run has. */
function isSentAsAsked(singles: MessageBatch, rows: Int32Array, base: number): boolean {
  for (let row = 0; row < singles.count; row++) {
    const single = row * MESSAGE_FIELDS;
    if (statusOf(singles.rows, single) !== 0) continue;
    let field: number = MESSAGE.LOCAL;
    while (field <= MESSAGE.DEVICE && singles.rows[single + field] === rows[base + field]) field++;
    if (field > MESSAGE.DEVICE) return true;
  }
  return false;
}

function bytesOf({ rows, count }: MessageBatch): number {
  let bytes = 0;
  for (let row = 0; row < count; row++) {
    bytes += rows[row * MESSAGE_FIELDS + MESSAGE.LENGTH] ?? 0;
  }
  return bytes;
}

function statusOf(rows: Int32Array, base: number): number {
  return rows[base + MESSAGE.STATUS] ?? 0;
}
