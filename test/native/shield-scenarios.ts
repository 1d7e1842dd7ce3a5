/**
 * Scenarios of the socket's shield, run in a namespace of their own (shield.test.ts asserts on the facts).
 */
import { UDP_OFFLOAD } from "../../src/io/native.ts";
import type { UdpSocket } from "../../src/io/udp.ts";
import { adoptUdp, openUdp } from "../../src/io/udp-open.ts";
import { address } from "./namespace.ts";
import { testNative } from "./native.ts";
import { close, open, receive, send } from "./sockets.ts";

const native = testNative();
const LOOPBACKS = ["::1", "127.0.0.1"] as const;
const BOTH = { gso: true, gro: true };

/** A datagram of `length` bytes that begins so. */
function beginning(length: number, ...start: number[]): Buffer {
  const bytes = Buffer.alloc(length, 0x55);
  bytes.set(start);
  return bytes;
}

/** What is a message, and what is none. */
const MESSAGES: Readonly<Record<string, Buffer>> = {
  init: beginning(120, 1, 1, 0xab, 0xcd),
  resp: beginning(108, 2, 1, 0, 0),
  challenge: beginning(64, 3, 1, 0, 0),
  keepalive: beginning(32, 4, 1, 0, 0),
  data: beginning(1_432, 4, 1, 0, 0),
};
const JUNK: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  short: beginning(31, 4, 1, 0, 0),
  version: beginning(120, 1, 2, 0, 0),
  type: beginning(120, 5, 1, 0, 0),
  zeroType: beginning(120, 0, 1, 0, 0),
  reservedData: beginning(120, 4, 1, 0, 1),
  reservedResp: beginning(108, 2, 1, 1, 0),
  reservedChallenge: beginning(64, 3, 1, 0x80, 0),
  noise: beginning(148, 0x55),
};

/** Lengths that arrive of `datagrams`, sent one by one over both families. */
function arriving(socket: UdpSocket, datagrams: readonly Buffer[]): readonly (readonly number[])[] {
  const client = open("::");
  const lengths = LOOPBACKS.map((to) => {
    for (const bytes of datagrams) send(client.fd, [{ bytes, to, port: socket.port }]);
    return receive(socket.fd, 20).list.map(({ length }) => length);
  });
  close(client);
  return lengths;
}

export async function sorting() {
  const socket = openUdp(native, { address: address("::"), port: 0, wish: BOTH });
  const all = [...Object.values(MESSAGES), ...Object.values(JUNK)];
  const before = arriving(socket, all);
  const unreadBefore = socket.unread;
  const isUp = socket.setShield(true);
  const messages = arriving(socket, Object.values(MESSAGES));
  const junk = arriving(socket, Object.values(JUNK));
  const { unread } = socket;
  socket.setShield(false);
  socket.setShield(false);
  const after = arriving(socket, all);
  socket.close();
  return {
    isUp,
    all: all.map(({ length }) => length),
    wanted: Object.values(MESSAGES).map(({ length }) => length),
    before,
    messages,
    junk,
    unreadBefore,
    unread,
    junkCount: Object.keys(JUNK).length,
    after,
  };
}

/** A run whose first datagram is junk: the genuine one behind it must not go with it. */
export async function runs() {
  const socket = openUdp(native, { address: address("::"), port: 0, wish: BOTH });
  const client = open("::");
  const run = Buffer.concat([
    beginning(200, 9, 9, 9, 9),
    beginning(200, 4, 1, 0, 0),
    beginning(32, 4, 1, 0, 0),
  ]);
  const through = () =>
    LOOPBACKS.map((to) => {
      send(client.fd, [{ bytes: run, to, port: socket.port, segment: 200 }]);
      return receive(socket.fd, 8).list.map(({ length, segment }) => [length, segment]);
    });
  const before = through();
  socket.setShield(true);
  const shielded = through();
  socket.setShield(false);
  const after = through();
  close(client);
  socket.close();
  return { before, shielded, after };
}

/** Who takes a socket over takes no shield. */
export async function adoption() {
  const options = { address: address("::"), port: 0, wish: BOTH };
  const first = openUdp(native, options);
  first.setShield(true);
  const { socket } = adoptUdp(native, first.fd, options);
  const facts = arriving(socket, [beginning(100, 9)]);
  socket.close();
  return facts;
}

export async function refusals() {
  const { fd } = open("::");
  const name = (result: number) => (result >= 0 ? String(result) : native.errnoName(result));
  const none = new Int32Array(0);
  const facts = {
    noneToTakeAway: name(native.udpFilter(fd, 0, none)),
    oddWords: name(native.udpFilter(fd, 0, new Int32Array(3))),
    tooMany: name(native.udpFilter(fd, 0, new Int32Array(18))),
    most: name(native.udpFilter(fd, 0, new Int32Array(16))),
    negative: name(native.udpFilter(fd, -1, new Int32Array(2))),
    tooLong: name(native.udpFilter(fd, 65_536, new Int32Array(2))),
    granted: native.udpOffload(fd, UDP_OFFLOAD.GRO),
  };
  native.close(fd);
  return {
    ...facts,
    closed: name(native.udpFilter(fd, 0, new Int32Array(2))),
    closedNone: name(native.udpFilter(fd, 0, none)),
    closedDropped: name(native.udpDropped(fd)),
  };
}
