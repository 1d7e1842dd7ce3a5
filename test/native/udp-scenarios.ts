/**
 * Scenarios of the UDP functions, run in a namespace of their own (udp.test.ts asserts on the facts).
 *
 * Two addresses of each family lie on the loopback device.
 */
import { messageBatch } from "../../src/core/batch.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import type { Instant } from "../../src/core/time.ts";
import { UDP_OFFLOAD } from "../../src/io/native.ts";
import { openUdp } from "../../src/io/udp-open.ts";
import { address, column, ip, type Outgoing, outgoing, pattern, pause } from "./namespace.ts";
import { testNative } from "./native.ts";
import { close, nameOrZero, open, receive, type Socket, send } from "./sockets.ts";

const native = testNative();
const V4_A = "10.20.0.1";
const V4_B = "10.20.0.2";
const V6_A = "fd00::1";
const V6_B = "fd00::2";
const BUFFER_BYTES = 7 * 1024 * 1024;

for (const own of [`${V4_A}/32`, `${V4_B}/32`, `${V6_A}/128`, `${V6_B}/128`])
  ip(`address add ${own} dev lo`);

/** The default socket serves both families; buffers are as large as allowed. */
export async function dualStack() {
  const server = open("::", { buffer: BUFFER_BYTES });
  const v4 = open(V4_A);
  const v6 = open("::");
  send(v4.fd, [{ bytes: pattern(1), to: V4_A, port: server.port }]);
  send(v6.fd, [{ bytes: pattern(2), to: V4_A, port: server.port, from: V4_B }]);
  send(v6.fd, [{ bytes: pattern(3), to: V6_A, port: server.port, from: V6_B }]);
  const received = receive(server.fd, 8);
  close(server, v4, v6);
  return {
    families: [server.family, v4.family, v6.family],
    buffers: server.buffers,
    received: received.list,
    ports: [v4.port, v6.port],
    after: received.after,
  };
}

/** A reply leaves from the address that was addressed, on each kind of socket. */
export async function replyAddress() {
  const roundTrip = (serverAddress: string, clientAddress: string, asked: string) => {
    const server = open(serverAddress);
    const client = open(clientAddress);
    send(client.fd, [{ bytes: pattern(1), to: asked, port: server.port }]);
    const { batch, list } = receive(server.fd, 1);
    batch.count = 1;
    batch.rows[MESSAGE.STATUS] = 0;
    const sent = native.udpSend(server.fd, batch.arena, batch.rows, 1);
    const reply = receive(client.fd, 1).list[0];
    close(server, client);
    return { local: list[0]?.local, device: list[0]?.device, sent, from: reply?.remote };
  };
  return {
    mappedOnDualStack: roundTrip("::", V4_A, V4_B),
    v4: roundTrip("0.0.0.0", V4_A, V4_B),
    v6: roundTrip("::", V6_A, V6_B),
    otherMapped: roundTrip("::", V4_B, V4_A),
    otherV6: roundTrip("::", V6_B, V6_A),
  };
}

/** TOS and traffic class arrive as sent, ECN bits included, on every pair of sockets. */
export async function tos() {
  const through = (from: string, to: string, at: string) => {
    const server = open(at);
    const client = open(from);
    send(client.fd, [
      { bytes: pattern(1), to, port: server.port, tos: 0xb9 },
      { bytes: pattern(1), to, port: server.port },
      { bytes: pattern(1), to, port: server.port, tos: 3 },
    ]);
    const facts = receive(server.fd, 3).list.map((message) => message.tos);
    close(server, client);
    return facts;
  };
  return {
    v4ToV4: through("0.0.0.0", V4_A, "0.0.0.0"),
    v4ToDual: through("0.0.0.0", V4_A, "::"),
    dualToV4: through("::", V4_A, "0.0.0.0"),
    v6ToDual: through("::", V6_A, "::"),
  };
}

/** A datagram longer than its slot is marked; an empty one and one that fits exactly are not. */
export async function truncation() {
  const server = open("::");
  const client = open("::");
  const to = { to: V6_A, port: server.port };
  send(client.fd, [
    { bytes: pattern(101), ...to },
    { bytes: pattern(100), ...to },
    { bytes: pattern(0), ...to },
  ]);
  const batch = messageBatch(new Uint8Array(4 * 100).fill(0xee), 4);
  const count = native.udpReceive(server.fd, batch.arena, 100, batch.rows, 4, 4096);
  close(server, client);
  return {
    count,
    status: column(batch.rows, MESSAGE_FIELDS, MESSAGE.STATUS, 3),
    lengths: column(batch.rows, MESSAGE_FIELDS, MESSAGE.LENGTH, 3),
    offsets: column(batch.rows, MESSAGE_FIELDS, MESSAGE.OFFSET, 3),
    untouched: batch.arena.subarray(200).every((byte) => byte === 0xee),
  };
}

/** More datagrams than one system call takes, in order. */
export async function largeBatch() {
  const server = open("::", { buffer: BUFFER_BYTES });
  const client = open("::", { buffer: BUFFER_BYTES });
  const list = Array.from({ length: 300 }, (_, n) => ({
    bytes: Uint8Array.of(n & 0xff, n >> 8),
    to: V6_A,
    port: server.port,
  }));
  const sent = send(client.fd, list).sent;
  const batch = messageBatch(new Uint8Array(400 * 16), 400);
  const count = native.udpReceive(server.fd, batch.arena, 16, batch.rows, 400, 1 << 20);
  const numbers = column(batch.rows, MESSAGE_FIELDS, MESSAGE.OFFSET, count).map(
    (offset) => (batch.arena[offset] ?? 0) + 256 * (batch.arena[offset + 1] ?? 0),
  );
  close(server, client);
  return { sent, count, isInOrder: numbers.every((number, index) => number === index) };
}

/** A run of equal segments leaves in one message and arrives as datagrams. */
export async function segments() {
  const server = open("::");
  const client = open("::");
  const run = (to: string, length: number, segment: number) => ({
    bytes: pattern(length),
    to,
    port: server.port,
    segment,
  });
  const { status } = send(client.fd, [
    run(V4_A, 2500, 1000),
    run(V6_A, 2000, 1000),
    run(V4_A, 1000, 1000),
    run(V4_A, 900, 1000),
  ]);
  const lengths = receive(server.fd, 16).list.map((message) => message.length);
  close(server, client);
  return { status, lengths };
}

/** Which offloads this kernel has, what asking for them changes, and which descriptors have none. */
export async function offloads() {
  const server = open("::");
  const v4 = open("0.0.0.0");
  const client = open("::");
  const tun = native.tunOpen("nooff0", 0, new Uint8Array(16));
  const both = UDP_OFFLOAD.GSO | UDP_OFFLOAD.GRO;
  const runTo = (socket: Socket, to: string) => {
    send(client.fd, [{ bytes: pattern(2000), to, port: socket.port, segment: 800 }]);
    return receive(socket.fd, 4).list.map(({ length, segment }) => [length, segment]);
  };
  const known = native.udpOffload(server.fd, both);
  const on = [runTo(server, V6_A), runTo(server, V4_A)];
  const single = (() => {
    send(client.fd, [{ bytes: pattern(900), to: V6_A, port: server.port }]);
    return receive(server.fd, 4).list.map(({ length, segment }) => [length, segment]);
  })();
  const onlyGso = native.udpOffload(server.fd, UDP_OFFLOAD.GSO);
  const off = [runTo(server, V6_A), runTo(server, V4_A)];
  const facts = {
    known,
    on,
    single,
    onlyGso,
    off,
    none: native.udpOffload(server.fd, 0),
    v4: native.udpOffload(v4.fd, both),
    onV4: runTo(v4, V4_A),
    noSocket: native.errnoName(native.udpOffload(tun, both)),
  };
  native.close(tun);
  close(server, v4, client);
  return { ...facts, closed: native.errnoName(native.udpOffload(server.fd, both)) };
}

/** A receive ends near its budget, and what it left comes with the next ones, in order. */
export async function budgets() {
  const server = open("::", { buffer: BUFFER_BYTES });
  const client = open("::", { buffer: BUFFER_BYTES });
  const to = { to: V6_A, port: server.port };
  const small = Array.from({ length: 300 }, (_, n) => ({ bytes: Uint8Array.of(n & 0xff), ...to }));
  const large = Array.from({ length: 40 }, (_, n) => ({ bytes: pattern(50_000, n), ...to }));
  const counts = (list: readonly Outgoing[], stride: number, budget: number) => {
    send(client.fd, list);
    const batch = messageBatch(new Uint8Array(list.length * stride), list.length);
    const seen: number[] = [];
    const bytes: number[] = [];
    for (;;) {
      const { arena, rows, capacity } = batch;
      const count = native.udpReceive(server.fd, arena, stride, rows, capacity, budget);
      if (count < 0) break;
      seen.push(count);
      bytes.push(
        ...column(rows, MESSAGE_FIELDS, MESSAGE.OFFSET, count).map((at) => arena[at] ?? 0),
      );
    }
    const isInOrder = bytes.every((byte, index) => byte === list[index]?.bytes[0]);
    return { seen, isInOrder };
  };
  const facts = {
    smallWithinBudget: counts(small, 16, 1000),
    smallPastBudget: counts(small, 16, 100),
    smallInLargeSlots: counts(small.slice(0, 100), 65_536, 500_000),
    large: counts(large, 65_536, 500_000),
    largeAndLittleBudget: counts(large, 65_536, 1),
    exactlyFew: counts(small.slice(0, 8), 65_536, 500_000),
  };
  close(server, client);
  return facts;
}

/** Rows that make no sense fail alone, and the rest of the batch goes. */
export async function badRows() {
  const server = open("::");
  const v6 = open("::");
  const v4 = open("0.0.0.0");
  const good: Outgoing = { bytes: pattern(4), to: V4_A, port: server.port };
  const batch = outgoing(Array.from({ length: 16 }, () => good));
  const set = (row: number, field: number, value: number) => {
    batch.rows[row * MESSAGE_FIELDS + field] = value;
  };
  set(1, MESSAGE.OFFSET, -1);
  set(2, MESSAGE.OFFSET, batch.arena.length - 3);
  set(3, MESSAGE.LENGTH, -1);
  set(4, MESSAGE.LENGTH, 0x7fffffff);
  set(5, MESSAGE.PORT, 0);
  set(6, MESSAGE.PORT, 65_536);
  set(7, MESSAGE.TOS, 256);
  set(8, MESSAGE.TOS, -1);
  set(9, MESSAGE.SEGMENT, -1);
  set(10, MESSAGE.SEGMENT, 65_536);
  set(13, MESSAGE.HOPS, 256);
  set(14, MESSAGE.HOPS, -1);
  batch.rows.set(new Int32Array(address(V6_B).buffer), 11 * MESSAGE_FIELDS + MESSAGE.LOCAL);
  batch.rows.set(new Int32Array(address(V6_A).buffer), 12 * MESSAGE_FIELDS + MESSAGE.REMOTE);
  batch.rows.set(new Int32Array(address(V4_B).buffer), 12 * MESSAGE_FIELDS + MESSAGE.LOCAL);
  const sent = native.udpSend(v6.fd, batch.arena, batch.rows, 16);
  const status = column(batch.rows, MESSAGE_FIELDS, MESSAGE.STATUS, 16).map(nameOrZero);
  const family = send(v4.fd, [{ bytes: pattern(4), to: V6_A, port: server.port }, good]);
  const notOurs = send(v6.fd, [
    { ...good, from: "10.99.0.9" },
    { ...good, to: V6_A, from: "fd00::9" },
  ]);
  const arrived = receive(server.fd, 8).list.length;
  close(server, v6, v4);
  return { sent, status, family, notOurs, arrived };
}

/** Descriptors that are closed or no socket, and arrays that do not fit. */
export async function badCalls() {
  const socket = open("::");
  const pipeLike = native.tunOpen("notudp0", 0, new Uint8Array(16));
  const batch = messageBatch(new Uint8Array(100), 2);
  const receiveFrom = (fd: number, stride: number, capacity: number, budget = 1000) =>
    native.errnoName(native.udpReceive(fd, batch.arena, stride, batch.rows, capacity, budget));
  const sendOn = (fd: number, count: number) =>
    native.errnoName(native.udpSend(fd, batch.arena, batch.rows, count));
  const facts = {
    empty: receiveFrom(socket.fd, 50, 2),
    slotsPastArena: receiveFrom(socket.fd, 51, 2),
    rowsPastArray: receiveFrom(socket.fd, 10, 3),
    noStride: receiveFrom(socket.fd, 0, 1),
    noBudget: receiveFrom(socket.fd, 10, 1, 0),
    negativeBudget: receiveFrom(socket.fd, 10, 1, -1),
    sendRows: sendOn(socket.fd, 3),
    sendNegative: sendOn(socket.fd, -1),
    noSocket: [receiveFrom(pipeLike, 50, 1), sendOn(pipeLike, 1)],
  };
  native.close(pipeLike);
  native.close(socket.fd);
  return { ...facts, closed: [receiveFrom(socket.fd, 50, 1), sendOn(socket.fd, 1)] };
}

/** What cannot be opened. */
export async function refusedOpens() {
  const first = open("::");
  const facts = {
    inUse: failure("::", first.port),
    inUseV4: failure(V4_A, first.port),
    notOwn: failure("10.99.0.1", 0),
    notOwnV6: failure("fd99::1", 0),
    linkLocalWithoutDevice: failure("fe80::1", 0),
    noSuchDevice: failure("::", 0, "nosuch0"),
    deviceTooLong: failure("::", 0, "sixteen-bytes-xy"),
    portTooLarge: failure("::", 65_536),
    negativePort: failure("::", -1),
    shortAddress: native.errnoName(
      native.udpOpen(new Uint8Array(15), 0, 0, "", 0, new Int32Array(4)),
    ),
    shortInfo: native.errnoName(native.udpOpen(address("::"), 0, 0, "", 0, new Int32Array(3))),
  };
  const bound = native.udpOpen(address("::"), 0, 0, "lo", 0, new Int32Array(4));
  const marked = native.udpOpen(address("::"), 0, 7, "", 0, new Int32Array(4));
  const rebound = {
    same: native.udpBindDevice(bound, "lo"),
    gone: native.errnoName(native.udpBindDevice(bound, "nosuch0")),
    tooLong: native.errnoName(native.udpBindDevice(bound, "sixteen-bytes-xy")),
    closed: native.errnoName(native.udpBindDevice(9_999, "lo")),
  };
  const remarked = {
    other: native.udpSetMark(marked, 8),
    none: native.udpSetMark(marked, 0),
    closed: native.errnoName(native.udpSetMark(9_999, 8)),
  };
  native.close(bound);
  native.close(marked);
  close(first);
  return { ...facts, bound: bound >= 0, marked: marked >= 0, rebound, remarked };
}

/** A full send buffer stops the batch with EAGAIN at the row that did not fit and all after it. */
export async function fullBuffer() {
  ip("link add full0 type veth peer name full1");
  ip("address add 10.23.0.1/24 dev full0");
  ip("link set full0 up");
  ip("link set full1 up");
  const socket = open("0.0.0.0", { buffer: 1 });
  // Nobody answers ARP for this neighbour, so the kernel holds what is sent and charges the socket.
  const list = Array.from({ length: 20 }, () => ({
    bytes: pattern(1000),
    to: "10.23.0.77",
    port: 9,
  }));
  const { sent, status } = send(socket.fd, list);
  close(socket);
  return { sent, status };
}

/** Link-local IPv6 keeps its scope both ways. */
export async function linkLocal() {
  ip("link add ll0 type veth peer name ll1");
  for (const device of ["ll0", "ll1"]) ip(`link set ${device} addrgenmode none up`);
  ip("address add fe80::a/64 dev ll0 nodad");
  ip("address add fe80::b/64 dev ll0 nodad");
  await pause(50);
  const server = open("::");
  const client = open("fe80::a", { device: "ll0" });
  const scope = Number(ip("-o link show ll0").split(":")[0]);
  const { status } = send(client.fd, [
    { bytes: pattern(1), to: "fe80::b", port: server.port, scope },
  ]);
  const [message] = receive(server.fd, 1).list;
  close(server, client);
  return {
    status,
    scope,
    seenScope: message?.scope,
    seenDevice: message?.device,
    remote: message?.remote,
  };
}

/** The socket of src/io/udp.ts sends again, from the kernel's choice, when a row's own side is gone. */
export async function staleLocal() {
  const server = open("::");
  const sender = openUdp(native, { address: address("::"), port: 0 });
  const batch = outgoing([
    { bytes: pattern(1), to: V4_A, port: server.port, from: "10.20.0.77" },
    { bytes: pattern(2), to: V6_A, port: server.port, from: "fd00::77" },
    { bytes: pattern(3), to: V4_A, port: server.port, device: 9999 },
    { bytes: pattern(4), to: V6_A, port: server.port, device: 9999 },
    { bytes: pattern(5), to: V4_A, port: server.port, from: V4_B },
  ]);
  const refused = sender.send(batch, 0 as Instant);
  const lengths = receive(server.fd, 8).list.map((message) => message.length);
  sender.close();
  close(server);
  return { refused, lengths: lengths.sort(), errors: sender.errorCounts() };
}

function failure(at: string, port: number, device = ""): string {
  const fd = native.udpOpen(address(at), port, 0, device, 0, new Int32Array(4));
  if (fd >= 0) native.close(fd);
  return fd >= 0 ? "opened" : native.errnoName(fd);
}
