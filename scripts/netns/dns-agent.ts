/**
 * A name server on 127.0.0.1:53 that answers for every name what a file says at that moment (RFC 1035).
 *
 * The file holds "fail" (SERVFAIL), or addresses apart by spaces; none of the family that was asked for is an
 * empty answer. Prints a line for each question.
 */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { parseAddress } from "../../src/core/prefix.ts";

const HEADER_BYTES = 12;
const TYPE_A = 1;
const TYPE_AAAA = 28;
const CLASS_IN = 1;
/** Response, recursion desired and available; and the same with SERVFAIL. */
const GOOD = 0x8180;
const SERVFAIL = 0x8182;
const TTL_SECONDS = 1;

const [, , file = ""] = process.argv;
const socket = createSocket("udp4");

socket.on("message", (query, { address, port }) => {
  const end = questionEnd(query);
  const type = query.readUInt16BE(end - 4);
  const words = readFileSync(file, "utf8").trim().split(/\s+/);
  const isOfType = type === TYPE_A ? isIPv4 : type === TYPE_AAAA ? isIPv6 : () => false;
  const answers = words.filter(isOfType);
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(words[0] === "fail" ? SERVFAIL : GOOD, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  const records = answers.map((answer) => record(type, parseAddress(answer) ?? Buffer.of()));
  socket.send(
    Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...records]),
    port,
    address,
  );
  process.stdout.write(`asked for type ${type}, ${words.join(" ")}\n`);
});
socket.bind(53, "127.0.0.1", () => process.stdout.write("listening\n"));

/** Where the only question of a query ends. */
function questionEnd(query: Buffer): number {
  let at = HEADER_BYTES;
  while (query.readUInt8(at) !== 0) at += query.readUInt8(at) + 1;
  return at + 5;
}

function record(type: number, address: Uint8Array): Buffer {
  // Its name is that of the question, by a pointer.
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  fixed.writeUInt16BE(type, 2);
  fixed.writeUInt16BE(CLASS_IN, 4);
  fixed.writeUInt32BE(TTL_SECONDS, 6);
  fixed.writeUInt16BE(address.length, 10);
  return Buffer.concat([fixed, address]);
}
