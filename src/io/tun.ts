/**
 * The TUN device: opening it, and which of its errors pass, mean "link down" or mean "gone".
 *
 * Not here: addresses, MTU and routes (the daemon sets them with `ip`), and any look into a packet.
 * Source: linux/if_tun.h, Documentation/networking/tuntap.rst. The trap: an unhandled EBADFD turns the
 * loop into a busy one, so every outcome is a state that the engine has to look at.
 *
 * | errno | when | answer |
 * |---|---|---|
 * | EAGAIN | read: queue empty | none; the watch says when there is more |
 * | EIO | write: the link is down | drop and count; reads bring nothing until it is up, and no timer spins |
 * | EBADFD, ENODEV | the device was deleted | state "gone": stop reading and writing, end with one line |
 * | EINVAL, ENOMEM, ENOBUFS … | write: the kernel refuses this packet | drop and count |
 * | any other on read | a bug (closed descriptor, bad arena) | thrown |
 */

import type { PacketBatch } from "../core/batch.ts";
import { PACKET, PACKET_FIELDS, packetsIn } from "../core/rows.ts";
import { IoError } from "./io-error.ts";
import type { Native } from "./native.ts";

/** "up": packets pass; "down": the last write met a link that is down; "gone": the device was deleted. */
export type TunState = "up" | "down" | "gone";

/** TUN_F_* of linux/if_tun.h: what the device may leave to us. USO4 and USO6 came with Linux 6.2, and only together. */
const TUN_F = { CSUM: 1, TSO4: 2, TSO6: 4, TSO_ECN: 8, USO4: 0x20, USO6: 0x40 } as const;
const TUN_TSO = TUN_F.CSUM | TUN_F.TSO4 | TUN_F.TSO6 | TUN_F.TSO_ECN;
const TUN_USO = TUN_F.CSUM | TUN_F.USO4 | TUN_F.USO6;

/** Packets are read to multiples of this. */
const PACKET_ALIGN = 64;

/** A device's offloads by name. */
export type TunOffload = "tso" | "uso";

/** Opens or creates the TUN device `name` (empty: the kernel names it) with those of the wished offloads that the kernel has. */
export function openTun(
  native: Native,
  name: string,
  wish: Readonly<Record<TunOffload, boolean>> = { tso: false, uso: false },
): TunDevice {
  return withOffloads(native, `"${name}"`, wish, (flags, nameOut) =>
    native.tunOpen(name, flags, nameOut),
  );
}

/**
 * Takes a device that another process has opened; undefined where it has another name than `name`. Throws an `IoError`
 * where `fd` is none.
 */
export function adoptTun(
  native: Native,
  fd: number,
  name: string,
  wish: Readonly<Record<TunOffload, boolean>>,
): TunDevice | undefined {
  const device = withOffloads(native, `descriptor ${fd}`, wish, (flags, nameOut) => {
    const result = native.tunAdopt(fd, flags, nameOut);
    return result < 0 ? result : fd;
  });
  return device.name === name ? device : undefined;
}

/** Opens with the most offloads that the kernel grants; `object` names the device in errors. */
function withOffloads(
  native: Native,
  object: string,
  wish: Readonly<Record<TunOffload, boolean>>,
  open: (flags: number, nameOut: Uint8Array) => number,
): TunDevice {
  const nameOut = new Uint8Array(16);
  const wished = (["tso", "uso"] as const).filter((offload) => wish[offload]);
  // An older kernel refuses the whole for one flag it does not know.
  const tries: (readonly TunOffload[])[] = [wished, wished.filter((o) => o === "tso"), []];
  let fd = -1;
  for (const offloads of tries) {
    fd = open(flagsOf(offloads), nameOut);
    if (fd >= 0) return new TunDevice(native, fd, nameIn(nameOut), offloads);
    if (native.errnoName(fd) !== "EINVAL") break;
  }
  throw new IoError("open TUN device", object, native.errnoName(fd));
}

/** Checksums are left partial wherever super-packets are taken; a device without either finishes them. */
function flagsOf(offloads: readonly TunOffload[]): number {
  return (offloads.includes("tso") ? TUN_TSO : 0) | (offloads.includes("uso") ? TUN_USO : 0);
}

function nameIn(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

/** An open TUN device. */
export class TunDevice {
  /** Descriptor, for `Native.watch`. */
  readonly fd: number;
  readonly name: string;
  /** What the kernel leaves to us, and takes from us. */
  readonly offloads: readonly TunOffload[];
  readonly #native: Native;
  #state: TunState = "up";
  #isClosed = false;

  constructor(native: Native, fd: number, name: string, offloads: readonly TunOffload[] = []) {
    this.#native = native;
    this.fd = fd;
    this.name = name;
    this.offloads = offloads;
  }

  /** What the last read or write met. "gone" is final. */
  get state(): TunState {
    return this.#state;
  }

  /**
   * Fills `batch` from its start with the packets that wait, of up to `room` bytes each, one behind
   * another. Returns their number, which is `batch.count`; 0 when none waits or the device is gone.
   */
  read(batch: PacketBatch, room: number): number {
    batch.count = 0;
    batch.isFull = false;
    const { arena, rows, capacity } = batch;
    const result = this.#native.tunRead(this.fd, arena, room, rows, capacity);
    if (result < 0) this.#learnFrom(this.#native.errnoName(result), "read TUN device");
    else batch.count = result;
    batch.isFull = batch.count > 0 && isFull(batch, room);
    return batch.count;
  }

  /**
   * Writes the batch's packets. Returns how many the kernel refused, those that were joined counted one by
   * one; each row's STATUS says why.
   */
  write(batch: PacketBatch): number {
    const { count, rows } = batch;
    if (count === 0) return 0;
    const written = this.#native.tunWrite(this.fd, batch.arena, rows, count);
    if (written < 0)
      throw new IoError("write TUN device", this.name, this.#native.errnoName(written));
    if (written > 0) this.#state = "up";
    return this.#learnFromRows(rows, count);
  }

  /**
   * Sets the offloads again, which belong to the device and not to one descriptor of it: another process may have
   * taken it and set its own.
   */
  setAgain(): void {
    const status = this.#native.tunAdopt(this.fd, flagsOf(this.offloads), new Uint8Array(16));
    if (status < 0) this.#learnFrom(this.#native.errnoName(status), "set offloads of TUN device");
  }

  /** Closes the descriptor; a device that is not persistent disappears with it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#native.close(this.fd);
  }

  /** Returns how many packets failed. */
  #learnFromRows(rows: Int32Array, count: number): number {
    let refused = 0;
    for (let row = 0; row < count; row++) {
      const status = rows[row * PACKET_FIELDS + PACKET.STATUS] ?? 0;
      if (status === 0) continue;
      refused += packetsIn(rows, row * PACKET_FIELDS);
      const state = stateAfter(this.#native.errnoName(status));
      if (state !== undefined) this.#state = state;
    }
    return refused;
  }

  #learnFrom(code: string, operation: "read TUN device" | "set offloads of TUN device"): void {
    const state = stateAfter(code);
    if (state !== undefined) this.#state = state;
    else if (code !== "EAGAIN") throw new IoError(operation, this.name, code);
  }
}

function stateAfter(code: string): TunState | undefined {
  if (code === "EBADFD" || code === "ENODEV") return "gone";
  return code === "EIO" ? "down" : undefined;
}

/** Whether the read ended for want of rows or room. */
function isFull({ arena, rows, count, capacity }: PacketBatch, room: number): boolean {
  const base = (count - 1) * PACKET_FIELDS;
  const end = (rows[base + PACKET.OFFSET] ?? 0) + (rows[base + PACKET.LENGTH] ?? 0);
  return count === capacity || arena.length - Math.ceil(end / PACKET_ALIGN) * PACKET_ALIGN < room;
}
