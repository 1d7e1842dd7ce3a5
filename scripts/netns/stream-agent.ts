/**
 * One TCP stream whose stalls are measured where it arrives: `receive ADDRESS`, then `send ADDRESS PORT SECONDS`.
 *
 * The receiver prints the port it listens on; at the end the bytes that arrived, the longest time between two
 * arrivals, and the rate of the last second. The sender sends as fast as it can for the seconds that it is told.
 */
import { type AddressInfo, connect, createServer } from "node:net";

const [, , role, address = "", port = "", seconds = ""] = process.argv;
const CHUNK = Buffer.alloc(64 * 1024);

if (role === "receive") receive();
else send(Number(port), Number(seconds));

function receive(): void {
  const server = createServer((socket) => {
    let bytes = 0;
    let longestMs = 0;
    let last = performance.now();
    const marks: { readonly at: number; readonly bytes: number }[] = [];
    socket.on("data", (chunk) => {
      const now = performance.now();
      longestMs = Math.max(longestMs, now - last);
      last = now;
      bytes += chunk.length;
      if (now - (marks.at(-1)?.at ?? 0) > 10) marks.push({ at: now, bytes });
    });
    socket.on("end", () => {
      const start = marks.findLast(({ at }) => at <= last - 1000);
      const lastSecond = start === undefined ? 0 : bytes - start.bytes;
      process.stdout.write(`${JSON.stringify({ bytes, longestMs, lastSecond })}\n`);
      server.close();
    });
  });
  server.listen(0, address, () => {
    process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`);
  });
}

function send(toPort: number, forSeconds: number): void {
  const socket = connect(toPort, address);
  const until = performance.now() + forSeconds * 1000;
  const more = (): void => {
    while (performance.now() < until) if (!socket.write(CHUNK)) return;
    socket.end();
  };
  socket.on("connect", more);
  socket.on("drain", more);
}
