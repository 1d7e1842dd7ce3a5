/**
 * Scenarios of readiness and threads, run in a process of their own (watch.test.ts asserts on the facts).
 *
 * Workers are plain JavaScript strings: a worker that loads TypeScript would test its loader as well.
 */
import { Worker } from "node:worker_threads";
import { SEAL, SEAL_FIELDS } from "../../src/core/rows.ts";
import { address, bringUp, ip, outgoing, pattern, pause } from "./namespace.ts";
import { ADDON_PATH, testNative } from "./native.ts";

const native = testNative();
const READABLE = 1;
const WRITABLE = 2;
/** How long something that must not happen is waited for, milliseconds. */
const QUIET_MS = 30;

/** Fires while readable, is silent while paused, fires again, and ends. */
export async function lifeCycle() {
  const { fd, port } = open();
  const seen: number[] = [];
  const watch = native.watch(fd, READABLE, (events) => {
    seen.push(events);
    drain(fd);
  });
  poke(port);
  await until(() => seen.length > 0);
  const fired = seen.slice();
  const paused = native.watchEvents(watch, 0);
  poke(port);
  await pause(QUIET_MS);
  const whilePaused = seen.length;
  native.watchEvents(watch, READABLE);
  await until(() => seen.length > whilePaused);
  const unwatched = native.unwatch(watch);
  poke(port);
  await pause(QUIET_MS);
  const facts = {
    fired,
    paused,
    whilePaused,
    total: seen.length,
    unwatched,
    twice: native.errnoName(native.unwatch(watch)),
    events: native.errnoName(native.watchEvents(watch, READABLE)),
  };
  native.close(fd);
  return facts;
}

/** A socket with room is writable, and both events come in one call. */
export async function writable() {
  const { fd, port } = open();
  const seen: number[] = [];
  poke(port);
  const watch = native.watch(fd, READABLE | WRITABLE, (events) => {
    seen.push(events);
    native.unwatch(watch);
  });
  await until(() => seen.length > 0);
  await pause(QUIET_MS);
  native.close(fd);
  return { seen };
}

/** What cannot be watched. */
export async function refused() {
  const { fd } = open();
  const ignore = () => {};
  const first = native.watch(fd, READABLE, ignore);
  const facts = {
    twice: native.errnoName(native.watch(fd, READABLE, ignore)),
    badEvents: native.errnoName(native.watchEvents(first, 4)),
    closed: native.errnoName(native.watch(1_000_000, READABLE, ignore)),
    callback: messageOf(() => native.watch(fd, READABLE, 1 as never)),
  };
  native.close(fd);
  const sockets = Array.from({ length: 65 }, () => open().fd);
  const watches = sockets.map((one) => native.watch(one, 0, ignore));
  const last = native.errnoName(watches.at(-1) ?? 0);
  for (const one of sockets) native.close(one);
  const again = open();
  const reused = native.watch(again.fd, READABLE, ignore);
  native.close(again.fd);
  return { ...facts, opened: watches.filter((id) => id > 0).length, last, isReusable: reused > 0 };
}

/** The callback may end its own watch, or close its descriptor, and the number may come back at once. */
export async function endInside() {
  const seen: string[] = [];
  const first = open();
  native.watch(first.fd, READABLE, () => {
    seen.push("first");
    native.close(first.fd);
    const second = open();
    seen.push(second.fd === first.fd ? "same descriptor" : "other descriptor");
    const watch = native.watch(second.fd, READABLE, () => {
      seen.push("second");
      native.unwatch(watch);
      native.close(second.fd);
    });
    poke(second.port);
  });
  poke(first.port);
  await until(() => seen.length === 3);
  return { seen };
}

/** Promises and nextTick run after each callback, before the next one. */
export async function microtasks() {
  const order: string[] = [];
  const sockets = [open(), open()];
  for (const { port } of sockets) poke(port);
  for (const { fd } of sockets) {
    native.watch(fd, READABLE, () => {
      order.push("callback");
      queueMicrotask(() => order.push("promise"));
      native.close(fd);
    });
  }
  await until(() => order.length === 4);
  return { order };
}

/** An exception in the callback is the thread's uncaught exception, and the watch goes on. */
export async function exceptions() {
  const { fd, port } = open();
  const caught: string[] = [];
  const onUncaught = (error: Error) => caught.push(error.message);
  process.on("uncaughtException", onUncaught);
  let calls = 0;
  native.watch(fd, READABLE, () => {
    drain(fd);
    calls++;
    throw new Error(`thrown ${calls}`);
  });
  poke(port);
  await until(() => caught.length === 1);
  poke(port);
  await until(() => caught.length === 2);
  process.off("uncaughtException", onUncaught);
  native.close(fd);
  return { caught };
}

/** In a worker it ends the worker with that error. */
export async function exceptionInWorker() {
  const worker = startWorker(`
    native.watch(fd, 1, () => { throw new Error("thrown in the worker"); });
    poke();
  `);
  return { error: await new Promise((resolve) => worker.on("error", (e) => resolve(String(e)))) };
}

/** A deleted device calls back with a negative number, once; the watch has stopped, so nothing spins. */
export async function deletedDevice() {
  const fd = openTun("gone0");
  bringUp("gone0", "10.30.0.1/24");
  const seen: number[] = [];
  const watch = native.watch(fd, READABLE, (events) => seen.push(events));
  ip("link delete gone0");
  await until(() => seen.length > 0);
  await pause(QUIET_MS);
  const calls = seen.length;
  const restarted = native.watchEvents(watch, READABLE);
  await until(() => seen.length > calls);
  const facts = { first: native.errnoName(seen[0] ?? 0), calls, restarted };
  native.close(fd);
  return facts;
}

/** A link that goes down and up makes no callback storm. */
export async function downDevice() {
  const fd = openTun("still0");
  bringUp("still0", "10.31.0.1/24");
  let calls = 0;
  native.watch(fd, READABLE, () => {
    calls++;
  });
  ip("link set still0 down");
  await pause(QUIET_MS);
  native.close(fd);
  return { calls };
}

/** Workers that are terminated with open watches under traffic, or end by themselves, take no one along. */
export async function terminated() {
  const endings: number[] = [];
  for (let round = 0; round < 12; round++) {
    const worker = startWorker(`
      native.keyLoad(0, new Uint8Array(48).fill(7));
      native.watch(fd, 1, () => { poke(); });
      native.watch(open().fd, 3, () => {});
      poke();
      require("node:worker_threads").parentPort.postMessage("ready");
      ${round % 3 === 1 ? "setTimeout(() => process.exit(3), 5);" : ""}
      ${round % 3 === 2 ? "while (true) poke();" : ""}
    `);
    const ending = new Promise<number>((resolve) => worker.on("exit", resolve));
    await message(worker);
    if (round % 3 !== 1) await worker.terminate();
    endings.push(await ending);
  }
  return { endings };
}

/** Each thread has its own keys. */
export async function ownKeys() {
  native.keyLoad(5, new Uint8Array(48).fill(1));
  const worker = startWorker(`
    const row = new Int32Array(${SEAL_FIELDS});
    row[${SEAL.KEY_SLOT}] = 5;
    row[${SEAL.SEGMENTS}] = 1;
    native.seal(new Uint8Array(64), new Uint8Array(64), row, 1);
    require("node:worker_threads").parentPort.postMessage(native.errnoName(row[${SEAL.STATUS}]));
  `);
  const inWorker = await message(worker);
  const rows = new Int32Array(SEAL_FIELDS);
  rows[SEAL.KEY_SLOT] = 5;
  rows[SEAL.SEGMENTS] = 1;
  native.seal(new Uint8Array(64), new Uint8Array(64), rows, 1);
  await worker.terminate();
  native.keyWipe(5);
  return { inWorker, here: rows[SEAL.STATUS] };
}

function open(): { fd: number; port: number } {
  const info = new Int32Array(4);
  const fd = native.udpOpen(address("127.0.0.1"), 0, 0, "", 0, info);
  return { fd, port: info[0] ?? 0 };
}

function openTun(name: string): number {
  const fd = native.tunOpen(name, 0, new Uint8Array(16));
  if (fd < 0) throw new Error(`tunOpen ${name}: ${native.errnoName(fd)}`);
  return fd;
}

/** Sends one datagram to a port of this host. */
function poke(port: number): void {
  const { fd } = open();
  const batch = outgoing([{ bytes: pattern(4), to: "127.0.0.1", port }]);
  native.udpSend(fd, batch.arena, batch.rows, 1);
  native.close(fd);
}

function drain(fd: number): void {
  native.udpReceive(fd, new Uint8Array(100), 100, new Int32Array(20), 1, 100);
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("it did not happen within 5 s");
    await pause(1);
  }
}

/** A worker with the addon, an open socket `fd`, and `poke()`, which makes it readable. */
function startWorker(body: string): Worker {
  const source = `
    const native = require(${JSON.stringify(ADDON_PATH)});
    const any = new Uint8Array(16);
    any.set([255, 255, 127, 0, 0, 1], 10);
    const open = () => {
      const info = new Int32Array(4);
      return { fd: native.udpOpen(any, 0, 0, "", 0, info), port: info[0] };
    };
    const { fd, port } = open();
    const rows = new Int32Array(20);
    const poke = () => {
      rows[1] = 4;
      rows.set(new Int32Array(any.buffer), 4);
      rows[8] = port;
      native.udpSend(fd, new Uint8Array(4), rows, 1);
    };
    ${body}
  `;
  return new Worker(source, { eval: true, execArgv: [] });
}

/** The worker's next message; its error rejects. */
function message(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

function messageOf(call: () => unknown): string {
  try {
    return `returned ${call()}`;
  } catch (error) {
    return error instanceof TypeError ? error.message : String(error);
  }
}
