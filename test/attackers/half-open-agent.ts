/**
 * A program inside a namespace that holds a group's key and starts handshakes as ever new nodes, proves its addresses
 * with the cookies that it draws, and confirms none.
 *
 *   half-open-agent KEY-FILE HUB-ADDRESS PORT COUNT RATE     prints a `HalfOpenReport`
 *
 * Its addresses are 198.18.0.1 to .250, which its namespace must own: a source has a budget of its own. BOUNDED: COUNT
 * handshakes; one that draws nothing is forgotten with the program.
 */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { TYPE } from "../helpers/wire-view.ts";
import { openKey } from "./insider.ts";

/** What it did and drew. */
export interface HalfOpenReport {
  readonly started: number;
  readonly challenges: number;
  /** Each is a half-open session of the hub. */
  readonly answers: number;
}

const SOURCES = 250;
const SLICE_MS = 10;
const SETTLE_MS = 500;

const [, , keyFile = "", hub = "", port = "", count = "0", rate = "0"] = process.argv;
const key = await openKey(keyFile);
/** INITs by their index, until their CHALLENGE came. */
const waiting = new Map<number, Uint8Array>();
const report = { started: 0, challenges: 0, answers: 0 };
const sockets = await Promise.all(
  Array.from({ length: SOURCES }, (_, index) => open(`198.18.0.${index + 1}`)),
);

const start = performance.now();
while (report.started < Number(count)) {
  const due = Math.min(Number(count), ((performance.now() - start) / 1_000) * Number(rate));
  while (report.started < due) begin();
  await wait(SLICE_MS);
}
await wait(SETTLE_MS);
process.stdout.write(JSON.stringify(report), () => process.exit(0));

async function open(address: string): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes) => take(socket, bytes));
  socket.bind(Number(port), address);
  await once(socket, "listening");
  return socket;
}

function begin(): void {
  const init = key.init(randomBytes(16));
  waiting.set(Buffer.from(init).readUInt32LE(4), init);
  sockets[report.started % SOURCES]?.send(init, Number(port), hub);
  report.started += 1;
}

function take(socket: Socket, bytes: Buffer): void {
  if (bytes[0] === TYPE.RESP) report.answers += 1;
  if (bytes[0] !== TYPE.CHALLENGE) return;
  report.challenges += 1;
  const index = bytes.readUInt32LE(4);
  const init = waiting.get(index);
  const again = init && key.withCookie(init, bytes);
  waiting.delete(index);
  if (again !== undefined) socket.send(again, Number(port), hub);
}
