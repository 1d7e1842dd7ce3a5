/**
 * A UDP relay in the middle of a path: loses, delays, reorders, records and replays datagrams.
 *
 *      site A  --->  [front socket | back socket]  --->  site B
 *
 * The front socket is what A takes for B; the back socket is what B takes for A. It is spoken to over
 * the message channel (relay.ts). Its chance is seeded, so a run can be repeated. BOUNDED: it records at
 * most 200,000 datagrams, and replays at most 10,000 a second.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import type { Disturbance, RelayOrder, RelayReport } from "./relay.ts";

const RECORDED_MAX = 200_000;
const REPLAY_SLICE = 50;
const REPLAY_SLICE_MS = 5;

type Direction = "forward" | "backward";

const [, , frontAddress = "", frontPort = "", backAddress = "", target = "", targetPort = ""] =
  process.argv;
const front = createSocket(family(frontAddress));
const back = createSocket(family(backAddress));
const recorded: Record<Direction, Buffer[]> = { forward: [], backward: [] };
const passed: Record<Direction, number> = { forward: 0, backward: 0 };
const lost: Record<Direction, number> = { forward: 0, backward: 0 };
const delayed: Record<Direction, number> = { forward: 0, backward: 0 };
const delays: Record<Direction, number> = { forward: 0, backward: 0 };
const least: Record<Direction, number> = { forward: Infinity, backward: Infinity };
let disturbance: Disturbance = { loss: 0, delayMs: 0, jitterMs: 0, duplicate: 0, seed: 1 };
let isOpen = true;
let client: RemoteInfo | undefined;
let chance = 1;

front.on("message", (datagram, from) => {
  client = from;
  receive("forward", datagram);
});
back.on("message", (datagram) => receive("backward", datagram));
front.bind(Number(frontPort), frontAddress, () => {
  back.bind(0, backAddress, () => answer());
});
process.on("message", (order: RelayOrder) => obey(order));
process.on("disconnect", () => process.exit(0));

function obey(order: RelayOrder): void {
  switch (order.kind) {
    case "disturb":
      disturbance = order.disturbance;
      chance = disturbance.seed;
      break;
    case "open":
      isOpen = order.isOpen;
      break;
    case "report":
      break;
    case "replay":
      replay(order.direction, [...recorded[order.direction]], 0);
      return;
    default:
      order satisfies never;
  }
  answer();
}

/** One datagram from a site: recorded, then dropped or sent on once or twice, each after its delay. */
function receive(direction: Direction, datagram: Buffer): void {
  passed[direction] += 1;
  if (recorded[direction].length < RECORDED_MAX) recorded[direction].push(datagram);
  const isLossy = (disturbance.lossy ?? direction) === direction;
  if (!isOpen || (isLossy && random() < disturbance.loss)) {
    lost[direction] += 1;
    return;
  }
  const copies = random() < disturbance.duplicate ? 2 : 1;
  for (let copy = 0; copy < copies; copy++) sendLater(direction, datagram);
}

function sendLater(direction: Direction, datagram: Buffer): void {
  const delayMs = disturbance.delayMs + random() * disturbance.jitterMs;
  if (delayMs === 0) {
    send(direction, datagram);
    return;
  }
  const start = performance.now();
  setTimeout(() => {
    const ms = performance.now() - start;
    delayed[direction] += 1;
    delays[direction] += ms;
    least[direction] = Math.min(least[direction], ms);
    send(direction, datagram);
  }, delayMs);
}

function send(direction: Direction, datagram: Buffer): void {
  if (direction === "forward") trySend(back, datagram, Number(targetPort), target);
  else if (client !== undefined) trySend(front, datagram, client.port, client.address);
}

// A site that restarts refuses datagrams for a moment (ECONNREFUSED): lost, as on any path.
function trySend(socket: Socket, datagram: Buffer, port: number, address: string): void {
  socket.send(datagram, port, address, () => undefined);
}

/** Sends everything recorded in one direction again, paced. */
function replay(direction: Direction, datagrams: readonly Buffer[], from: number): void {
  for (const datagram of datagrams.slice(from, from + REPLAY_SLICE)) send(direction, datagram);
  const next = from + REPLAY_SLICE;
  if (next >= datagrams.length) answer();
  else setTimeout(() => replay(direction, datagrams, next), REPLAY_SLICE_MS);
}

/** Milliseconds; timers are later than they were set to. */
function meanDelay(direction: Direction): number {
  return delayed[direction] === 0 ? 0 : delays[direction] / delayed[direction];
}

function answer(): void {
  const report: RelayReport = {
    forward: passed.forward,
    backward: passed.backward,
    lostForward: lost.forward,
    lostBackward: lost.backward,
    meanDelayMs: meanDelay("forward") + meanDelay("backward"),
    leastDelayMs: least.forward + least.backward,
    recordedForward: types(recorded.forward),
    recordedBackward: types(recorded.backward),
  };
  process.send?.(report);
}

/** How many datagrams of each message type (first byte). */
function types(datagrams: readonly Buffer[]): Readonly<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const datagram of datagrams) counts[datagram[0] ?? 0] = (counts[datagram[0] ?? 0] ?? 0) + 1;
  return counts;
}

/** Next number in [0, 1) of a 32-bit xorshift (Marsaglia 2003). */
function random(): number {
  chance ^= chance << 13;
  chance ^= chance >>> 17;
  chance ^= chance << 5;
  return (chance >>> 0) / 2 ** 32;
}

function family(address: string): "udp4" | "udp6" {
  return address.includes(":") ? "udp6" : "udp4";
}
