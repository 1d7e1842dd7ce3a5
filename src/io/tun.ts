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
import { PACKET, PACKET_FIELDS, PACKET_MORE } from "../core/rows.ts";
import { IoError } from "./io-error.ts";
import type { Native } from "./native.ts";

/** "up": packets pass; "down": the last write met a link that is down; "gone": the device was deleted. */
export type TunState = "up" | "down" | "gone";

/** Opens or creates the TUN device `name` (empty: the kernel names it) with `offloads` (TUN_F_*, 0: none). */
export function openTun(native: Native, name: string, offloads = 0): TunDevice {
  const nameOut = new Uint8Array(16);
  const fd = native.tunOpen(name, offloads, nameOut);
  if (fd < 0) throw new IoError("open TUN device", `"${name}"`, native.errnoName(fd));
  const end = nameOut.indexOf(0);
  return new TunDevice(native, fd, new TextDecoder().decode(nameOut.subarray(0, end)));
}

/** An open TUN device. */
export class TunDevice {
  /** Descriptor, for `Native.watch`. */
  readonly fd: number;
  readonly name: string;
  readonly #native: Native;
  #state: TunState = "up";
  #isClosed = false;

  constructor(native: Native, fd: number, name: string) {
    this.#native = native;
    this.fd = fd;
    this.name = name;
  }

  /** What the last read or write met. "gone" is final. */
  get state(): TunState {
    return this.#state;
  }

  /**
   * Fills `batch` from its start with the packets that wait; packet i lies at i * `stride` + `headroom`.
   * Returns their number, which is `batch.count`; 0 when none waits or the device is gone.
   */
  read(batch: PacketBatch, stride: number, headroom = 0): number {
    batch.count = 0;
    const result = this.#native.tunRead(
      this.fd,
      batch.arena,
      stride,
      headroom,
      batch.rows,
      batch.capacity,
    );
    if (result < 0) this.#learnFrom(this.#native.errnoName(result), "read TUN device");
    else batch.count = result;
    return batch.count;
  }

  /** Writes the batch's packets. Returns how many the kernel refused; each row's STATUS says why. */
  write(batch: PacketBatch): number {
    const { count, rows } = batch;
    if (count === 0) return 0;
    const written = this.#native.tunWrite(this.fd, batch.arena, rows, count);
    if (written < 0)
      throw new IoError("write TUN device", this.name, this.#native.errnoName(written));
    if (written > 0) this.#state = "up";
    const refused = packetsIn(rows, count) - written;
    if (refused > 0) this.#learnFromRows(rows, count);
    return refused;
  }

  /** Closes the descriptor; a device that is not persistent disappears with it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#native.close(this.fd);
  }

  #learnFromRows(rows: Int32Array, count: number): void {
    for (let row = 0; row < count; row++) {
      const status = rows[row * PACKET_FIELDS + PACKET.STATUS] ?? 0;
      if (status === 0) continue;
      const state = stateAfter(this.#native.errnoName(status));
      if (state !== undefined) this.#state = state;
    }
  }

  #learnFrom(code: string, operation: "read TUN device"): void {
    const state = stateAfter(code);
    if (state !== undefined) this.#state = state;
    else if (code !== "EAGAIN") throw new IoError(operation, this.name, code);
  }
}

function stateAfter(code: string): TunState | undefined {
  if (code === "EBADFD" || code === "ENODEV") return "gone";
  return code === "EIO" ? "down" : undefined;
}

/** Packets, not rows: a row with PACKET_MORE belongs to the next one's packet. */
function packetsIn(rows: Int32Array, count: number): number {
  let packets = 0;
  for (let row = 0; row < count; row++) {
    const flags = rows[row * PACKET_FIELDS + PACKET.FLAGS] ?? 0;
    if ((flags & PACKET_MORE) === 0 || row === count - 1) packets++;
  }
  return packets;
}
