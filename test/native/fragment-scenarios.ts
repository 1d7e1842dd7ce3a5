/**
 * Scenarios of outer fragmentation, run in a namespace of their own (fragment.test.ts asserts on the facts).
 *
 * Datagrams go out through a TUN device and are read there, as they would be on the wire.
 */
import { packetBatch } from "../../src/core/batch.ts";
import { MESSAGE_DONT_FRAGMENT } from "../../src/core/rows.ts";
import {
  bringUp,
  icmp,
  ip,
  ipv4,
  type Outgoing,
  packetsIn,
  packetsToWrite,
  pattern,
  pause,
} from "./namespace.ts";
import { testNative } from "./native.ts";
import { close, open, send } from "./sockets.ts";

const native = testNative();
const STRIDE = 2048;

/** DF on the wire: only in rows that ask for it, whatever came before; what does not fit fails alone. */
export async function dontFragment() {
  const tun = openTun("df0", "10.21.0.1/24", 1400);
  const rows = (to: string): Outgoing[] => [
    { bytes: pattern(100), to, port: 9 },
    { bytes: pattern(100), to, port: 9, flags: MESSAGE_DONT_FRAGMENT },
    { bytes: pattern(1500), to, port: 9, flags: MESSAGE_DONT_FRAGMENT },
    { bytes: pattern(1500), to, port: 9 },
    { bytes: pattern(100), to, port: 9 },
  ];
  const through = (at: string) => {
    const socket = open(at);
    const { status } = send(socket.fd, rows("10.21.0.2"));
    close(socket);
    return { status, wire: readAll(tun).map(flagsAndOffset) };
  };
  const facts = { dual: through("::"), v4: through("0.0.0.0") };
  native.close(tun);
  return facts;
}

/** The same over IPv6: a row that asks for it is not fragmented. */
export async function dontFragmentV6() {
  const tun = native.tunOpen("df6", 0, new Uint8Array(16));
  ip("link set df6 mtu 1400 addrgenmode none up");
  ip("address add fd21::1/64 dev df6 nodad");
  await pause(50);
  const socket = open("::");
  readAll(tun);
  const to = { to: "fd21::2", port: 9 };
  const { status } = send(socket.fd, [
    { bytes: pattern(1500), ...to, flags: MESSAGE_DONT_FRAGMENT },
    { bytes: pattern(1500), ...to },
    { bytes: pattern(100), ...to, tos: 0xb9 },
  ]);
  const packets = readAll(tun).filter((packet) => packet[6] === 17 || packet[6] === 44);
  native.close(tun);
  close(socket);
  return {
    status,
    nextHeaders: packets.map((packet) => packet[6]),
    trafficClass: ((packets.at(-1)?.readUInt16BE(0) ?? 0) >> 4) & 0xff,
  };
}

/** The hop limit of a row, in single datagrams and in each of a run; rows that ask for none have the kernel's. */
export async function hops() {
  const tun = native.tunOpen("hops0", 0, new Uint8Array(16));
  ip("link set hops0 mtu 1500 addrgenmode none up");
  ip("address add 10.23.0.1/24 dev hops0");
  ip("address add fd23::1/64 dev hops0 nodad");
  await pause(50);
  const through = (at: string, to: string) => {
    const socket = open(at);
    readAll(tun);
    const { status } = send(socket.fd, [
      { bytes: pattern(100), to, port: 9, hops: 48 },
      { bytes: pattern(100), to, port: 9 },
      { bytes: pattern(100), to, port: 9, hops: 1, tos: 0xb9 },
      { bytes: pattern(200), to, port: 9, hops: 255, segment: 100 },
    ]);
    close(socket);
    return { status, wire: readAll(tun).flatMap(hopLimitOfUdp) };
  };
  const facts = {
    v4: through("0.0.0.0", "10.23.0.2"),
    dual: through("::", "10.23.0.2"),
    v6: through("::", "fd23::2"),
  };
  native.close(tun);
  return facts;
}

/** A forged "fragmentation needed" changes nothing: outer datagrams stay whole. */
export async function forgedPathMtu() {
  const tun = openTun("pmtu0", "10.22.0.1/24", 1500);
  const socket = open("::");
  const big: Outgoing = { bytes: pattern(1400), to: "10.22.0.2", port: 9 };
  send(socket.fd, [big]);
  const [packet = Buffer.alloc(28)] = readAll(tun);
  const body = Buffer.concat([Buffer.from([0, 0, 600 >> 8, 600 & 0xff]), packet.subarray(0, 28)]);
  const forged = packetsToWrite([ipv4(1, "10.22.0.2", "10.22.0.1", icmp(3, 4, body))]);
  const written = native.tunWrite(tun, forged.arena, forged.rows, 1);
  const { status } = send(socket.fd, [big, { ...big, flags: MESSAGE_DONT_FRAGMENT }]);
  const after = readAll(tun).map((one) => one.length);
  native.close(tun);
  close(socket);
  return { before: packet.length, written, status, after };
}

function openTun(name: string, own: string, mtu: number): number {
  const fd = native.tunOpen(name, 0, new Uint8Array(16));
  if (fd < 0) throw new Error(`tunOpen ${name}: ${native.errnoName(fd)}`);
  ip(`link set ${name} mtu ${mtu}`);
  bringUp(name, own);
  return fd;
}

/** Every packet that waits in a TUN. */
function readAll(fd: number): Buffer[] {
  const batch = packetBatch(new Uint8Array(32 * STRIDE), 32);
  const count = native.tunRead(fd, batch.arena, STRIDE, batch.rows, 32);
  return packetsIn(batch, count);
}

/** "DF", "MF" or "" and the fragment offset of an IPv4 packet. */
function flagsAndOffset(packet: Buffer): string {
  const field = packet.readUInt16BE(6);
  return `${field & 0x4000 ? "DF" : ""}${field & 0x2000 ? "MF" : ""}${(field & 0x1fff) * 8}`;
}

/** TTL or hop limit of a packet; of others than UDP, which a kernel sends by itself, nothing. */
function hopLimitOfUdp(packet: Buffer): number[] {
  const isV6 = packet.readUInt8(0) >> 4 === 6;
  const isUdp = packet.readUInt8(isV6 ? 6 : 9) === 17;
  return isUdp ? [packet.readUInt8(isV6 ? 7 : 8)] : [];
}
