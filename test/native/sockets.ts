/**
 * Sockets of the addon as the UDP scenarios use them: opened on a text address, rows as plain objects.
 *
 * Only for code that runs inside a namespace of its own (isolated.ts).
 */
import { messageBatch } from "../../src/core/batch.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { address, column, type Outgoing, outgoing, textOf } from "./namespace.ts";
import { testNative } from "./native.ts";

const native = testNative();
const STRIDE = 2048;

/** An open socket, and what the kernel bound. */
export interface Socket {
  readonly fd: number;
  readonly port: number;
  readonly family: number;
  readonly buffers: readonly number[];
}

/** Opens a socket on an address, at a port of the kernel's choice. */
export function open(at: string, options: { buffer?: number; device?: string } = {}): Socket {
  const info = new Int32Array(4);
  const device = options.device ?? "";
  const fd = native.udpOpen(address(at), 0, 0, device, options.buffer ?? 0, info);
  if (fd < 0) throw new Error(`udpOpen ${at}: ${native.errnoName(fd)}`);
  const [port = 0, family = 0, ...buffers] = info;
  return { fd, port, family, buffers };
}

/** Closes sockets. */
export function close(...sockets: Socket[]): void {
  for (const { fd } of sockets) native.close(fd);
}

/** Sends a batch, and names each row's STATUS. */
export function send(fd: number, list: readonly Outgoing[]) {
  const batch = outgoing(list);
  const sent = native.udpSend(fd, batch.arena, batch.rows, batch.count);
  const status = column(batch.rows, MESSAGE_FIELDS, MESSAGE.STATUS, batch.count).map(nameOrZero);
  return { sent, status };
}

/** Receives what waits, and what the call after it says. */
export function receive(fd: number, capacity: number) {
  const batch = messageBatch(new Uint8Array(capacity * STRIDE), capacity);
  const count = native.udpReceive(fd, batch.arena, STRIDE, batch.rows, capacity, capacity * STRIDE);
  const list = Array.from({ length: Math.max(count, 0) }, (_, row) => {
    const base = row * MESSAGE_FIELDS;
    const field = (name: number) => batch.rows[base + name] ?? Number.NaN;
    return {
      length: field(MESSAGE.LENGTH),
      remote: textOf(batch.rows, base, MESSAGE.REMOTE),
      port: field(MESSAGE.PORT),
      scope: field(MESSAGE.SCOPE),
      local: textOf(batch.rows, base, MESSAGE.LOCAL),
      device: field(MESSAGE.DEVICE),
      tos: field(MESSAGE.TOS),
      segment: field(MESSAGE.SEGMENT),
    };
  });
  const extra = messageBatch(new Uint8Array(STRIDE), 1);
  const after = native.errnoName(native.udpReceive(fd, extra.arena, STRIDE, extra.rows, 1, STRIDE));
  return { batch, list, after };
}

/** "0", or the name of an errno. */
export function nameOrZero(value: number): string {
  return value === 0 ? "0" : native.errnoName(value);
}
