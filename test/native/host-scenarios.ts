/**
 * Scenarios of a host that refuses something (host.test.ts asserts on the facts).
 *
 * The same facts are gathered on a host that refuses nothing, so that the difference shows.
 */
import { createSocket } from "node:dgram";
import { readFileSync, writeFileSync } from "node:fs";
import { messageBatch } from "../../src/core/batch.ts";
import { MESSAGE, SEAL, SEAL_FIELDS } from "../../src/core/rows.ts";
import { address, outgoing, pattern, textOf } from "./namespace.ts";
import { testNative } from "./native.ts";

const native = testNative();
const BUFFER_BYTES = 7 * 1024 * 1024;

/** The wildcard socket, its family, its buffers, and IPv4 through it. */
export async function wildcard() {
  const info = new Int32Array(4);
  const fd = native.udpOpen(new Uint8Array(16), 0, 0, "", BUFFER_BYTES, info);
  const [port = 0, family = 0, receiveBytes = 0] = info;
  const batch = outgoing([{ bytes: pattern(5), to: "127.0.0.1", port, from: "127.0.0.2" }]);
  const sent = native.udpSend(fd, batch.arena, batch.rows, 1);
  const received = messageBatch(new Uint8Array(64), 1);
  native.udpReceive(fd, received.arena, 64, received.rows, 1, 64);
  const from = textOf(received.rows, 0, MESSAGE.REMOTE);
  native.close(fd);
  return {
    family,
    sent,
    from,
    receiveBytes,
    plainBytes: await plainBytes(),
    v6Address: failure("::1"),
  };
}

/** The same where IPv6 is there but switched off by sysctl. */
export async function switchedOff() {
  const all = "/proc/sys/net/ipv6/conf/all/disable_ipv6";
  writeFileSync(all, "1");
  const { family, sent, from, v6Address } = await wildcard();
  writeFileSync(all, "0");
  return { family, sent, from, v6Address };
}

/** A key is loaded and used; is its memory locked? */
export async function keys() {
  const loaded = native.keyLoad(3, pattern(48));
  const rows = new Int32Array(SEAL_FIELDS);
  rows[SEAL.KEY_SLOT] = 3;
  rows[SEAL.SEGMENTS] = 1;
  const sealed = native.seal(new Uint8Array(64), new Uint8Array(64), rows, 1);
  const lockedKb = Number(/VmLck:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  native.keyWipe(3);
  return { loaded, sealed, isLocked: lockedKb > 0 };
}

/** What SO_RCVBUF without force gives for the same wish. */
async function plainBytes(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  socket.setRecvBufferSize(BUFFER_BYTES);
  const bytes = socket.getRecvBufferSize();
  socket.close();
  return bytes;
}

function failure(at: string): string {
  const fd = native.udpOpen(address(at), 0, 0, "", 0, new Int32Array(4));
  if (fd >= 0) native.close(fd);
  return fd >= 0 ? "opened" : native.errnoName(fd);
}
