/**
 * Scenarios of descriptors that come from elsewhere, run in a namespace of their own (inherit.test.ts asserts on
 * the facts).
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { address } from "./namespace.ts";
import { testNative } from "./native.ts";

const native = testNative();
const NONE = new Int32Array(0);
const text = (words: string) => new TextEncoder().encode(words);
const named = (result: number) => (result < 0 ? native.errnoName(result) : result);

/** A TUN device and a UDP socket, opened and then taken as if they came from another process. */
export async function adopted() {
  const name = new Uint8Array(16);
  const tun = native.tunOpen("adopt0", 0, new Uint8Array(16));
  const info = new Int32Array(4);
  const udp = native.udpOpen(address("127.0.0.1"), 0, 0, "", 0, info);
  const seen = new Int32Array(4);
  const bound = new Uint8Array(16);
  const facts = {
    tun: named(native.tunAdopt(tun, 1, name)),
    name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
    udp: named(native.udpAdopt(udp, 0, "", 65_536, seen, bound)),
    bound: [...bound],
    isSamePort: seen[0] === info[0] && (info[0] ?? 0) > 0,
    family: seen[1],
    isBufferSet: (seen[2] ?? 0) >= 65_536,
    tunAsUdp: named(native.udpAdopt(tun, 0, "", 0, seen, bound)),
    udpAsTun: named(native.tunAdopt(udp, 0, name)),
    closed: named(native.tunAdopt(999, 0, name)),
    shortName: named(native.tunAdopt(tun, 0, new Uint8Array(15))),
    shortInfo: named(native.udpAdopt(udp, 0, "", 0, new Int32Array(3), bound)),
    shortAddress: named(native.udpAdopt(udp, 0, "", 0, seen, new Uint8Array(15))),
    kinds: [tun, udp, 999].map((fd) => native.descriptorKind(fd)),
  };
  native.close(tun);
  native.close(udp);
  return facts;
}

/** A socket with a mark and a device that the next process does not want, or wants otherwise. */
export async function readopted() {
  const udp = native.udpOpen(address("::"), 0, 7, "lo", 0, new Int32Array(4));
  const [seen, bound] = [new Int32Array(4), new Uint8Array(16)];
  const adopt = (mark: number, device: string) =>
    named(native.udpAdopt(udp, mark, device, 0, seen, bound));
  const before = options(udp);
  const same = [adopt(7, "lo"), options(udp)];
  const other = [adopt(0, ""), options(udp)];
  const back = [adopt(9, "lo"), options(udp)];
  const port = seen[0];
  const refused = adopt(9, "nothing0");
  adopt(9, "");
  const isSamePort = seen[0] === port;
  native.close(udp);
  return {
    before,
    same,
    other,
    back,
    refused,
    isSamePort,
    isAny: bound.every((byte) => byte === 0),
    family: seen[1],
  };
}

/** Mark and device as ss(8) tells them. */
function options(fd: number): string {
  const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  const lines = execFileSync("ss", ["-uanHe"], { encoding: "utf8" }).split("\n");
  const line = lines.find((one) => one.includes(`ino:${inode} `)) ?? "";
  const mark = /fwmark:(0x[0-9a-f]+)/.exec(line)?.[1] ?? "0";
  return `mark ${mark}, ${/%lo[:\s]/.test(line) ? "lo" : "any"}`;
}

/** A TUN device that was deleted under its descriptor's process. */
export async function deleted() {
  const tun = native.tunOpen("adopt1", 0, new Uint8Array(16));
  native.close(tun);
  return { closed: named(native.tunAdopt(tun, 0, new Uint8Array(16))) };
}

/** Datagrams with and without descriptors, over a path and an abstract name. */
export async function datagrams() {
  const directory = mkdtempSync(join(tmpdir(), "iptun-notify-"));
  const path = join(directory, "socket");
  const listener = native.notifyListen(text(path));
  const udp = native.udpOpen(address("127.0.0.1"), 0, 0, "", 0, new Int32Array(4));
  const room = new Uint8Array(64);
  const came = new Int32Array(2);
  const received = () => {
    const length = native.notifyReceive(listener, room, came);
    return length < 0
      ? native.errnoName(length)
      : new TextDecoder().decode(room.subarray(0, length));
  };
  const empty = received();
  const sent = named(native.notify(text(path), text("READY=1"), NONE));
  const plain = received();
  const without = [...came];
  native.notify(text(path), text("x"), Int32Array.of(udp));
  const withOne = received();
  const kind = native.descriptorKind(came[0] ?? -1);
  const isCopy = (came[0] ?? -1) !== udp && came[1] === -1;
  native.close(came[0] ?? -1);
  native.notify(text(path), text("y".repeat(65)), Int32Array.of(udp));
  const tooLong = received();
  const keptOfTooLong = [...came];
  const before = openDescriptors();
  native.notify(text(path), text("z"), Int32Array.of(udp, udp, udp, udp));
  received();
  const more = openDescriptors() - before;
  let queued = 0;
  while (queued < 5_000 && native.notify(text(path), text("q"), NONE) === 0) queued += 1;
  const facts = {
    ...{ empty, sent, plain, without, withOne, kind, isCopy, tooLong, keptOfTooLong, more },
    isQueueBounded: queued < 5_000,
    nobody: named(native.notify(text(`${path}2`), text("x"), NONE)),
    tooMany: named(native.notify(text(path), text("x"), new Int32Array(65))),
    noPath: named(native.notify(text(""), text("x"), NONE)),
    longPath: named(native.notify(text(`/${"p".repeat(107)}`), text("x"), NONE)),
    taken: named(native.notifyListen(text(path))),
    abstract: native.notifyListen(text("@iptun-inherit-test")) >= 0,
    toAbstract: named(native.notify(text("@iptun-inherit-test"), text("x"), NONE)),
  };
  rmSync(directory, { recursive: true });
  return facts;
}

/** What else a descriptor can be. */
export async function kinds() {
  const directory = mkdtempSync(join(tmpdir(), "iptun-kinds-"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(directory, "listener"), resolve));
  const handle = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const listener = native.descriptorKind(handle.fd);
  const datagram = native.descriptorKind(native.notifyListen(text(join(directory, "datagram"))));
  server.close();
  rmSync(directory, { recursive: true });
  return { listener, datagram, standardInput: native.descriptorKind(0) };
}

function openDescriptors(): number {
  let count = 0;
  for (let fd = 0; fd < 256; fd++) {
    try {
      process.getBuiltinModule("node:fs").fstatSync(fd);
      count += 1;
    } catch {
      // Not open.
    }
  }
  return count;
}
