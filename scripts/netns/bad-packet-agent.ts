/**
 * Hands one UDP packet with a wrong partial checksum to the kernel of its namespace: SOURCE DESTINATION PORT.
 *
 * It is the control of a test that counts damaged packets: on its way out the kernel finishes the checksum
 * where the device does not, and the receiver must notice. Layouts: RFC 791 §3.1, RFC 768.
 */
import { addBytes, checksumOf } from "../../src/core/checksum.ts";
import { parseAddress } from "../../src/core/prefix.ts";
import { PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../src/core/rows.ts";
import { loadNative } from "../../src/io/native.ts";
import { runNow } from "./process.ts";

const DEVICE = "bad0";
const IP_BYTES = 20;
const UDP_BYTES = 8;
const UDP = 17;
const NOT_THE_SUM = 0x1234;

const [, , source = "", destination = "", port = ""] = process.argv;
const native = loadNative();
const fd = native.tunOpen(DEVICE, 0, new Uint8Array(16));
if (fd < 0) throw new Error(`${DEVICE}: ${native.errnoName(fd)}`);
runNow(["ip", "link", "set", DEVICE, "up"]);
const packet = badPacket();
const row = new Int32Array(PACKET_FIELDS);
row[PACKET.LENGTH] = packet.length;
row[PACKET.FLAGS] = PACKET_NEEDS_CHECKSUM;
row[PACKET.CHECKSUM_START] = IP_BYTES;
row[PACKET.CHECKSUM_OFFSET] = 6;
if (native.tunWrite(fd, packet, row, 1) !== 1) throw new Error("the packet was not taken");
native.close(fd);

function badPacket(): Buffer {
  const bytes = Buffer.alloc(IP_BYTES + UDP_BYTES);
  bytes.set([0x45, 0, 0, bytes.length]);
  bytes.set([64, UDP], 8);
  bytes.set(parseAddress(source) ?? [], 12);
  bytes.set(parseAddress(destination) ?? [], 16);
  bytes.writeUInt16BE(checksumOf(addBytes(0, bytes, 0, IP_BYTES)), 10);
  bytes.writeUInt16BE(Number(port), IP_BYTES + 2);
  bytes.writeUInt16BE(UDP_BYTES, IP_BYTES + 4);
  bytes.writeUInt16BE(NOT_THE_SUM, IP_BYTES + 6);
  return bytes;
}
