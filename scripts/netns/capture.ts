/**
 * What an eavesdropper on a wire sees: tcpdump in a namespace, and a reader of its files.
 *
 * It reads the classic pcap format (pcap-savefile(5), little-endian, microseconds) with Ethernet frames,
 * and of those only UDP over IPv4 and IPv6 without options or extension headers, which is all that a lab
 * sends; or the whole packets of a TUN device. The trap: tcpdump gives root away to a user of its own unless told to stay root, and then could
 * not write into the lab's folder.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "./lab.ts";
import type { Child } from "./process.ts";

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;
const PROTOCOL_UDP = 17;

let captures = 0;

/** One UDP datagram of a capture. */
export interface Datagram {
  /** Seconds since 1970 with fraction, of the capture's clock. */
  readonly at: number;
  /** Address bytes: 4 or 16. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** TOS or traffic class. */
  readonly tos: number;
  readonly payload: Buffer;
}

/** A running tcpdump. */
export class Capture {
  readonly file: string;
  readonly #child: Child;

  constructor(file: string, child: Child) {
    this.file = file;
    this.#child = child;
  }

  /** Ends the capture; its file is complete afterwards. */
  async stop(): Promise<void> {
    await this.#child.stop("SIGINT");
  }
}

export interface CaptureOptions {
  /** BOUNDED: the capture ends after so many packets; 100,000 by default. */
  readonly maxPackets?: number;
  /** A pcap-filter(7) expression. */
  readonly filter?: string;
}

/** Starts to record `device` of `host` into a file named after both. */
export async function startCapture(
  host: Host,
  device: string,
  options: CaptureOptions = {},
): Promise<Capture> {
  const file = join(host.dir, `${device}-${captures++}.pcap`);
  const stayRoot = process.getuid?.() === 0 ? ["-Z", "root"] : [];
  const limits = ["-s", "0", "-c", String(options.maxPackets ?? 100_000), "-B", "32768"];
  const child = host.start([
    ...["tcpdump", "-i", device, "-n", "-U", "--immediate-mode", "-w", file],
    ...stayRoot,
    ...limits,
    ...(options.filter === undefined ? [] : [options.filter]),
  ]);
  await child.waitForOutput(/listening on/);
  return new Capture(file, child);
}

/** The UDP datagrams of a capture of an Ethernet device, in order. */
export function readDatagrams(file: string): readonly Datagram[] {
  return readRecords(file).flatMap(({ at, bytes }) => parseFrame(bytes, at) ?? []);
}

/** The packets of a capture, in order: IP packets of a TUN device, frames of any other. */
export function readPackets(file: string): readonly Buffer[] {
  return readRecords(file).map(({ bytes }) => bytes);
}

interface CaptureRecord {
  readonly at: number;
  readonly bytes: Buffer;
}

function readRecords(file: string): readonly CaptureRecord[] {
  const bytes = readFileSync(file);
  const records: CaptureRecord[] = [];
  let at = FILE_HEADER_BYTES;
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const seconds = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) / 1e6;
    const start = at + RECORD_HEADER_BYTES;
    at = start + bytes.readUInt32LE(at + 8);
    if (at <= bytes.length) records.push({ at: seconds, bytes: bytes.subarray(start, at) });
  }
  return records;
}

function parseFrame(frame: Buffer, at: number): Datagram | undefined {
  if (frame.length < ETHERNET_BYTES + 20 + UDP_BYTES) return undefined;
  const etherType = frame.readUInt16BE(12);
  const ip = frame.subarray(ETHERNET_BYTES);
  if (etherType === 0x0800 && ip[9] === PROTOCOL_UDP) {
    return parseUdp(ip.subarray(20), ip.subarray(12, 16), ip.subarray(16, 20), tosOf(ip), at);
  }
  if (etherType === 0x86dd && ip[6] === PROTOCOL_UDP) {
    return parseUdp(ip.subarray(40), ip.subarray(8, 24), ip.subarray(24, 40), tosOf(ip), at);
  }
  return undefined;
}

/** TOS or traffic class of an IP packet. */
export function tosOf(ip: Buffer): number {
  return ip.readUInt8(0) >> 4 === 4 ? ip.readUInt8(1) : (ip.readUInt16BE(0) >> 4) & 0xff;
}

function parseUdp(
  udp: Buffer,
  source: Buffer,
  destination: Buffer,
  tos: number,
  at: number,
): Datagram {
  return {
    at,
    source,
    destination,
    sourcePort: udp.readUInt16BE(0),
    destinationPort: udp.readUInt16BE(2),
    tos,
    payload: udp.subarray(UDP_BYTES, udp.readUInt16BE(4)),
  };
}
