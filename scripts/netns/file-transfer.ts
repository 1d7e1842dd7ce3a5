/**
 * Carries one file over TCP between two namespaces: `receive ADDRESS`, then `send FILE ADDRESS PORT`.
 *
 * The receiver prints the port it listens on, and at the end the bytes and the SHA-256 of what arrived;
 * it never sees the file. No network protocol of its own: the end of the stream is the end of the file.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { pipeline } from "node:stream/promises";

const [, , role, first = "", second = "", third = ""] = process.argv;

if (role === "receive") receive(first);
else await pipeline(createReadStream(first), connect(Number(third), second));

function receive(address: string): void {
  const server = createServer((socket) => {
    const hash = createHash("sha256");
    let bytes = 0;
    socket.on("data", (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    socket.on("end", () => {
      process.stdout.write(`received ${bytes} ${hash.digest("hex")}\n`);
      server.close();
    });
  });
  server.listen(0, address, () => {
    process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`);
  });
}
