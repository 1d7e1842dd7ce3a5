/**
 * TCP streams and numbered datagrams at the same time, and what arrives of them whole, broken or twice.
 *
 *   receive ADDRESS...   one TCP and one UDP port on each; prints them, and at SIGTERM what it got
 *   send ORDER           a `DeliveryOrder` as JSON; prints what it sent
 *
 * A datagram says its number and its length, and every other byte follows from the two, so that one that
 * was cut or joined at a wrong place, or mixed with another, cannot look right. Runs of datagrams go to
 * the kernel in one message (UDP_SEGMENT), which Node's own sockets cannot do. The trap: a receiver that is
 * slower than its sender loses datagrams by itself, so bursts are paced.
 */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, isIPv6 } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { endpointFrom, writeEndpoint } from "../../src/core/address.ts";
import { mapAddress, parseAddress } from "../../src/core/prefix.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { loadNative, type Native } from "../../src/io/native.ts";
import type { DeliveryOrder, Place, ReceiverReport, SenderReport } from "./delivery.ts";

/** Payload bytes; the first fills a packet of the default MTU over IPv6. */
const SIZES = [1372, 8, 100, 1200, 333, 1372];
/** Below what one message may hold (64 datagrams on older kernels; 65,507 bytes). */
const LONGEST_RUN = 40;
const PAUSE_MS = 2;
const BUFFER_BYTES = 4 << 20;
const CHUNK_BYTES = 50_000;
/** Number and length. */
const HEADER_BYTES = 6;

const [, , role, ...words] = process.argv;

if (role === "receive") await receive(words);
else await send(JSON.parse(words[0] ?? "") as DeliveryOrder);

async function receive(addresses: readonly string[]): Promise<void> {
  const streams: Hash[] = [];
  const numbers = new Set<number>();
  const counts = { received: 0, wrong: 0 };
  const take = (datagram: Buffer) => {
    counts.received += 1;
    if (isWhole(datagram)) numbers.add(datagram.readUInt32BE(0));
    else counts.wrong += 1;
  };
  const places = await Promise.all(addresses.map((address) => listen(address, streams, take)));
  process.on("SIGTERM", () => {
    const hashes = streams.map((hash) => hash.copy().digest("hex"));
    const report: ReceiverReport = { hashes, ...counts, distinct: numbers.size };
    process.stdout.write(`report ${JSON.stringify(report)}\n`, () => process.exit(0));
  });
  process.stdout.write(`places ${JSON.stringify(places)}\n`);
}

async function listen(
  address: string,
  streams: Hash[],
  take: (datagram: Buffer) => void,
): Promise<Place> {
  const server = createServer((connection) => {
    const hash = createHash("sha256");
    streams.push(hash);
    connection.on("data", (chunk) => hash.update(chunk));
  });
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4", take);
  server.listen(0, address);
  socket.bind(0, address);
  await Promise.all([once(server, "listening"), once(socket, "listening")]);
  socket.setRecvBufferSize(BUFFER_BYTES);
  const tcpPort = (server.address() as AddressInfo).port;
  return { address, tcpPort, udpPort: socket.address().port };
}

async function send(order: DeliveryOrder): Promise<void> {
  const { places, streams, streamBytes, bursts } = order;
  const native = loadNative();
  const [hashes, sent] = await Promise.all([
    Promise.all(
      places.flatMap((place) =>
        Array.from({ length: streams }, async () => await sendStream(place, streamBytes)),
      ),
    ),
    sendBursts(native, places, bursts),
  ]);
  const report: SenderReport = { hashes, sent };
  process.stdout.write(`report ${JSON.stringify(report)}\n`);
}

/** Random bytes over a connection of their own; returns their SHA-256. */
async function sendStream(place: Place, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  const connection = connect(place.tcpPort, place.address);
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    const chunk = randomBytes(Math.min(left, CHUNK_BYTES));
    hash.update(chunk);
    if (!connection.write(chunk)) await once(connection, "drain");
  }
  connection.end();
  // The receiver ends its side when it has read everything.
  connection.resume();
  await once(connection, "close");
  return hash.digest("hex");
}

/** Returns how many datagrams were sent. */
async function sendBursts(
  native: Native,
  places: readonly Place[],
  count: number,
): Promise<number> {
  const socket = native.udpOpen(new Uint8Array(16), 0, 0, "", BUFFER_BYTES, new Int32Array(4));
  let number = 0;
  for (let burst = 0; burst < count; burst++) {
    for (const place of places) {
      const run = datagramsOf(burst, number);
      const arena = Buffer.concat(run);
      const sent = native.udpSend(socket, arena, messageRow(arena, run, place), 1);
      if (sent !== 1) throw new Error(`a run of ${run.length} datagrams was not taken`);
      number += run.length;
    }
    await wait(PAUSE_MS);
  }
  return number;
}

/** The datagrams of a burst: all of one size, but the last of every third burst, which is shorter. */
function datagramsOf(burst: number, first: number): readonly Buffer[] {
  const size = SIZES[burst % SIZES.length] ?? HEADER_BYTES;
  const count = 1 + ((burst * 7) % LONGEST_RUN);
  return Array.from({ length: count }, (_, index) => {
    const isShort = burst % 3 === 0 && index === count - 1;
    return datagram(first + index, isShort ? (HEADER_BYTES + size) >> 1 : size);
  });
}

/** Number and length in six bytes, then bytes that follow from both (xorshift32, Marsaglia 2003). */
function datagram(number: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32BE(number, 0);
  bytes.writeUInt16BE(size, 4);
  let state = (Math.imul(number + 1, 0x9e3779b1) ^ size) >>> 0 || 1;
  for (let at = HEADER_BYTES; at < size; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state & 0xff;
  }
  return bytes;
}

function isWhole(bytes: Buffer): boolean {
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(4) !== bytes.length) return false;
  return datagram(bytes.readUInt32BE(0), bytes.length).equals(bytes);
}

/** One message row: a run of datagrams to the receiver. */
function messageRow(arena: Buffer, run: readonly Buffer[], place: Place): Int32Array {
  const row = new Int32Array(MESSAGE_FIELDS);
  row[MESSAGE.LENGTH] = arena.length;
  row[MESSAGE.SEGMENT] = run.length > 1 ? (run[0]?.length ?? 0) : 0;
  const target = parseAddress(place.address);
  if (target === undefined) throw new Error(`${place.address} is no address`);
  writeEndpoint(row, 0, endpointFrom(mapAddress(target), place.udpPort));
  return row;
}
