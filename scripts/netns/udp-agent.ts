/**
 * A program inside a namespace that sends datagrams of any content at a given rate, and counts answers.
 *
 * It is started by udp-sender.ts and spoken to over the message channel of child processes. The source
 * address is whatever its namespace owns. BOUNDED: a flood has a rate and an end, and a lab has no way
 * out of its namespaces.
 */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import type { FloodOrder, SenderOrder, SenderReport, SendOrder } from "./udp-sender.ts";

const SLICE = 20;
const SLICE_MS = 5;
/** Time for the last datagrams to leave and for their answers to come. */
const SETTLE_MS = 50;

const [, , address = "::", port = "0"] = process.argv;
const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
const report: SenderReport = { sent: 0, answers: 0, answerBytes: 0, isDone: false };

socket.on("message", (datagram) => {
  report.answers += 1;
  report.answerBytes += datagram.length;
});
socket.bind(Number(port), address, () => process.send?.(report));
process.on("message", (order: SenderOrder) => {
  if (order.kind === "flood") flood(order);
  else if (order.kind === "send") sendAll(order);
  else process.send?.({ ...report, isDone: true });
});
process.on("disconnect", () => process.exit(0));

/** Sends in slices, so that no receiver's buffer overflows. */
function sendAll(order: SendOrder, from = 0): void {
  for (const payload of order.payloads.slice(from, from + SLICE)) {
    socket.send(Buffer.from(payload, "base64"), order.port, order.address, countSent);
  }
  if (from + SLICE < order.payloads.length)
    setTimeout(() => sendAll(order, from + SLICE), SLICE_MS);
  else setTimeout(() => process.send?.({ ...report, isDone: true }), SETTLE_MS);
}

/** Sends in slices of 5 ms, each as many as are due by then. */
function flood(order: FloodOrder): void {
  const start = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const elapsed = (performance.now() - start) / 1000;
    const due = Math.floor(Math.min(elapsed, order.seconds) * order.ratePerSecond);
    for (; sent < due; sent++) socket.send(junk(order), order.port, order.address, countSent);
    if (elapsed < order.seconds) return;
    clearInterval(timer);
    process.send?.({ ...report, isDone: true });
  }, SLICE_MS);
}

function junk(order: FloodOrder): Buffer {
  const prefix = Buffer.from(order.prefix, "base64");
  const length = order.bytes ?? Math.floor(Math.random() * 1400);
  return Buffer.concat([prefix, randomBytes(Math.max(0, length - prefix.length))]);
}

function countSent(error: Error | null): void {
  if (error === null) report.sent += 1;
}
