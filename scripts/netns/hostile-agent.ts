/**
 * A program that attacks a control socket for some seconds: `hostile-agent.ts KIND SOCKET SECONDS LEAST`.
 *
 * It goes on until it has made LEAST connections, and prints how much it did, as JSON: a test that attacks nothing would
 * pass. A connection that the server closes is opened again at once.
 */
import { connect, type Socket } from "node:net";

/** What every connection of a kind sends, and how many there are at a time. */
const KINDS: Readonly<Record<string, Attack>> = {
  "half requests": { connections: 64, head: "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Half: " },
  requests: {
    connections: 16,
    head: "GET /v1/history?seconds=3600&peer=right HTTP/1.1\r\nHost: x\r\n\r\n",
  },
  connections: { connections: 400, head: "" },
  bodies: {
    connections: 16,
    head: "POST /v1/rekey HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n",
    hasBody: true,
  },
  "answers that nobody reads": {
    connections: 64,
    head: "GET /v1/history?seconds=3600&peer=right HTTP/1.1\r\nHost: x\r\n\r\n",
    isDeaf: true,
  },
  "listeners that never read": {
    connections: 64,
    head: "GET /v1/events?last=256 HTTP/1.1\r\nHost: x\r\n\r\n",
    isDeaf: true,
  },
};

interface Attack {
  readonly connections: number;
  readonly head: string;
  /** Sends as much as is taken after the head. */
  readonly hasBody?: boolean;
  /** Reads nothing, and leaves after a while. */
  readonly isDeaf?: boolean;
}

/** Milliseconds after which a connection that reads nothing is given up for another. */
const DEAF_MS = 200;
const PIECE = Buffer.alloc(256 * 1024, "x");

const LOOK_MS = 50;

const [kind = "", path = "", seconds = "0", least = "0"] = process.argv.slice(2);
const attack = KINDS[kind];
if (attack === undefined) throw new Error(`there is no attack ${kind}`);
const done = { connections: 0, bytes: 0 };
const endsAt = performance.now() + Number(seconds) * 1000;
for (let one = 0; one < attack.connections; one += 1) open(attack);
setInterval(() => {
  if (isOver()) process.stdout.write(JSON.stringify(done), () => process.exit(0));
}, LOOK_MS);

function isOver(): boolean {
  return performance.now() > endsAt && done.connections >= Number(least);
}

function open(how: Attack): void {
  if (isOver()) return;
  const socket = connect(path, () => {
    done.connections += 1;
    socket.write(how.head);
    if (how.hasBody === true) pump(socket);
  });
  if (how.isDeaf === true) {
    socket.pause();
    setTimeout(() => socket.destroy(), DEAF_MS);
  } else socket.resume();
  socket.on("error", () => undefined);
  socket.on("close", () => setImmediate(() => open(how)));
}

function pump(socket: Socket): void {
  while (!socket.destroyed && socket.writable) {
    done.bytes += PIECE.length;
    if (!socket.write(PIECE)) break;
  }
  socket.once("drain", () => pump(socket));
}
