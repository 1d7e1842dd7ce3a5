/**
 * iptun with a control side that is stuck for 200 ms of every second; for tests alone.
 *
 * The program itself is the built one, unchanged: this file blocks its main thread from beside it. It
 * says so in the log once it has blocked, so that a test knows that it did. `busy-main.ts --config FILE`.
 */
const BLOCKED_MS = 200;
const EVERY_MS = 1000;

setInterval(() => {
  const end = performance.now() + BLOCKED_MS;
  while (performance.now() < end);
}, EVERY_MS).unref();
setTimeout(() => process.stderr.write("the main thread was blocked\n"), EVERY_MS + 1).unref();

const program: string = new URL("../../dist/main.js", import.meta.url).href;
await import(program);
