/**
 * The typed contract of the addon, and its loading: the only place that names its functions.
 *
 * The addon (src/native, C17 on Node-API) is mechanism only: every function is one system call or one
 * batch of them, or one batch of cipher calls. A negative number is -errno; policy is in the callers. A
 * wrong argument type throws a TypeError; a row that does not lie inside its arena gets STATUS -EINVAL;
 * a batch whose slots or rows do not fit its arrays returns -EINVAL. It keeps no static state, so that
 * two threads can load it; descriptors are shared by them, watches and key slots are not.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import {
  GSO,
  MESSAGE,
  MESSAGE_DONT_FRAGMENT,
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  OPEN,
  OPEN_FAILED,
  OPEN_FIELDS,
  OPENED_ALIKE,
  PACKET,
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
  PACKET_PART,
  SEAL,
  SEAL_FIELDS,
} from "../core/rows.ts";

/** Functions of the addon. Numbers that can be negative are -errno (linux/errno.h). */
export interface Native {
  /** Row fields and constants as the addon was compiled with, in the order of `ROW_LAYOUT`. */
  layout(): Int32Array;

  /**
   * Opens /dev/net/tun non-blocking and creates or attaches to `name` (empty: the kernel names it) with
   * IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, vnet header of 10 bytes, and `offloads` (TUN_F_* of
   * linux/if_tun.h; 0: none). Returns the descriptor; `nameOut` (16 bytes) receives the device's name.
   */
  tunOpen(name: string, offloads: number, nameOut: Uint8Array): number;
  /**
   * Takes a TUN device that another process has opened, with `offloads` as above; `nameOut` receives its name.
   * Returns 0, -ENOTTY (no TUN device), -EINVAL (one of another kind), or -errno.
   */
  tunAdopt(fd: number, offloads: number, nameOut: Uint8Array): number;
  /**
   * Reads packets until none is left, `capacity` rows are full or fewer than `room` bytes are free. They
   * lie one behind another, each at a multiple of 64; `room` is the most that one may have. A longer one is
   * cut and has STATUS -EMSGSIZE. Returns rows filled, or -errno when the first read fails (-EAGAIN:
   * nothing there).
   */
  tunRead(fd: number, arena: Uint8Array, room: number, rows: Int32Array, capacity: number): number;
  /**
   * Writes the packets of `count` rows, each row's STATUS 0 or -errno. NEXT leads from row to row of one
   * packet, always forward, up to 128 pieces; the vnet header is the first row's, the others have
   * PACKET_PART; all get the packet's STATUS, and a part that no chain leads to gets -EINVAL. Packets are
   * written in the order of their first rows. Returns packets written.
   */
  tunWrite(fd: number, arena: Uint8Array, rows: Int32Array, count: number): number;

  /**
   * Binds a non-blocking, close-on-exec UDP socket. `address` is 16 bytes: all zero binds [::]
   * dual-stack (IPV6_V6ONLY off), or 0.0.0.0 where the host has no IPv6; an IPv4-mapped address binds
   * AF_INET. `mark` (SO_MARK, 0: none), `device` (SO_BINDTODEVICE, empty: none; a link-local address
   * needs it), `bufferBytes` for both directions with SO_*BUFFORCE, and SO_*BUF as fallback. Outer DF is
   * off and path MTU news is ignored. Returns the descriptor. `info` (Int32Array of 4) receives bound
   * port, family (4 or 6), receive and send buffer bytes as the kernel counts them (twice the request).
   */
  udpOpen(
    address: Uint8Array,
    port: number,
    mark: number,
    device: string,
    bufferBytes: number,
    info: Int32Array,
  ): number;
  /**
   * Takes a bound UDP socket that another process has opened, with options and `info` as above; mark and device are
   * then these and no others. `address` (16 bytes) receives what it is bound to. Returns 0, -ENOTSOCK, -EPROTOTYPE (no
   * UDP socket), or -errno.
   */
  udpAdopt(
    fd: number,
    mark: number,
    device: string,
    bufferBytes: number,
    info: Int32Array,
    address: Uint8Array,
  ): number;
  /**
   * Binds a UDP socket to the device of this name, which may be another than it was bound to. Returns 0 or -errno
   * (-ENODEV: there is none).
   */
  udpBindDevice(fd: number, device: string): number;
  /** Sets SO_MARK of a UDP socket. Returns 0 or -errno (-EPERM: it needs CAP_NET_ADMIN). */
  udpSetMark(fd: number, mark: number): number;
  /**
   * Asks the kernel for the offloads `wanted` of a UDP socket (bits of `UDP_OFFLOAD`) and returns those
   * that it has: GSO, it takes MESSAGE.SEGMENT on send; GRO, it joins datagrams of one source on receive
   * (switched on by this call, and off where it is not wanted).
   */
  udpOffload(fd: number, wanted: number): number;
  /**
   * Lets the kernel drop datagrams to a UDP socket that are shorter than `leastBytes`, or whose first four bytes
   * (big-endian) are, under no mask, the value behind it: `starts` is pairs of mask and value, at most 8; none takes
   * the filter away. Returns 0 or -errno.
   */
  udpFilter(fd: number, leastBytes: number, starts: Int32Array): number;
  /** Datagrams that the kernel dropped before they were received, modulo 2^31, or -errno. */
  udpDropped(fd: number): number;
  /**
   * recvmmsg into slots of `stride` bytes, until none is left, `capacity` rows are full, or `budget` bytes
   * were received (looked at now and then: it may be passed by 64 rows). Returns rows filled, or -errno.
   * Pending socket errors (ECONNREFUSED …) come as -errno.
   */
  udpReceive(
    fd: number,
    arena: Uint8Array,
    stride: number,
    rows: Int32Array,
    capacity: number,
    budget: number,
  ): number;
  /**
   * sendmmsg of `count` rows; each STATUS 0 or -errno. Goes on past a failed row, stops at EAGAIN (that
   * row and those after it keep -EAGAIN). LOCAL must be of REMOTE's family or zero. A row with SEGMENT
   * goes as one message, cut by the kernel (UDP_SEGMENT); at most 64 datagrams and 65,507 bytes. Returns
   * rows sent, or -errno where `fd` is no socket.
   */
  udpSend(fd: number, arena: Uint8Array, rows: Int32Array, count: number): number;

  /** Loads T (32) || P (16): derives HChaCha20(T, P) into `slot`. Returns 0 or -errno (-EINVAL: no such slot). */
  keyLoad(slot: number, material: Uint8Array): number;
  /** Wipes a slot with explicit_bzero, and the cipher contexts with it. */
  keyWipe(slot: number): number;
  /**
   * Chooses how this thread seals and opens (a value of `CIPHER`; any other number only asks) and returns what
   * it does: PRIMITIVES where it can, unless told otherwise. They need functions that only a node with OpenSSL
   * inside exports, and are compared with EVP when they are chosen; where that fails, EVP stays.
   */
  cipherKind(wanted: number): number;
  /** Slots of the key table (mlocked where the limit allows, MADV_DONTDUMP, MADV_WIPEONFORK). */
  keySlots(): number;
  /**
   * Seals `count` SEAL rows: writes header, ciphertext and tag, 32 bytes more than the plaintext, at
   * OUT_OFFSET. With SEGMENTS > 1 it cuts the super-packet into datagrams of HEADER_LENGTH + GSO_SIZE
   * bytes of plaintext (the last may be shorter) that follow one another, under consecutive counters, as
   * the kernel's software segmentation would: lengths, IPv4 id and header checksum, TCP sequence number,
   * FIN and PSH on the last, CWR on the first only, partial checksums of each one's own length. STATUS 0,
   * -ENOKEY (empty slot) or -EINVAL (outside an arena, SEGMENTS that lengths contradict, a header that does
   * not fit its type, counter of 2^48 and more). Sets bit 7 of the plaintext's first byte in what is sealed
   * where FLAGS has PACKET_NEEDS_CHECKSUM. Cutting overwrites the plaintext. Returns rows sealed.
   */
  seal(packets: Uint8Array, datagrams: Uint8Array, rows: Int32Array, count: number): number;
  /**
   * Opens `count` OPEN rows in place; of a run, up to the first datagram that does not open, and writes
   * OPENED_ALIKE. STATUS is the
   * plaintext's length, OPEN_FAILED, -ENOKEY, or -EINVAL (outside the arena, shorter than 32 bytes, a run
   * that does not end with a datagram): take every negative one as failed. Returns rows opened whole.
   */
  open(datagrams: Uint8Array, rows: Int32Array, count: number): number;

  /**
   * Calls `onReady(events)` from this thread's loop while `fd` is readable (1), writable (2): uv_poll.
   * A negative number means that the descriptor reports an error (a deleted TUN, a socket error) and the
   * watch has stopped: read the descriptor to learn it, then start the watch anew with `watchEvents`, or
   * end it. Returns a watch id or -errno (-EEXIST: watched already, -EMFILE: 64 are). Watches end with
   * the thread.
   */
  watch(fd: number, events: number, onReady: (events: number) => void): number;
  /** Changes the events of a watch (0 pauses it). */
  watchEvents(watch: number, events: number): number;
  unwatch(watch: number): number;
  /** Closes a descriptor, and ends this thread's watch on it first. */
  close(fd: number): number;
  /** Bytes of the longest packet that a network device takes, or -errno (-ENODEV: there is none of this name). */
  linkMtu(name: string): number;
  /** Opens a socket that becomes readable when links, addresses, routes or rules change (rtnetlink). */
  newsOpen(): number;
  /**
   * Takes the news from it; returns their kinds (bits of `NEWS`; 0: nothing of interest), or -errno. `device`:
   * the tunnel's own.
   */
  newsRead(fd: number, device: string): number;

  /**
   * Takes from the calling thread every capability but the one of bit `kept` (below 32), which it keeps where it
   * has it, also for programs that it executes, and sets no_new_privs. Other threads are as they were. 0 or -errno.
   */
  privilegesDrop(kept: number): number;
  /** No core files, no debugger, no /proc/PID/mem for other processes of the user. 0 or -errno. */
  processLock(): number;
  /**
   * Takes node's handlers off: SIGTERM, SIGINT and SIGQUIT end the process by signal, SIGHUP, SIGUSR1 and SIGUSR2
   * are ignored. What node had caught before still reaches its listeners.
   */
  signalsLeave(): number;
  /**
   * execve(2): the process becomes the program at `path`, with this environment; all threads but the calling one end
   * and the first `descriptors` descriptors stay open. Path and each argument end with a zero byte. -errno.
   */
  processExec(path: Uint8Array, args: Uint8Array, descriptors: number): number;

  /**
   * Sends one datagram to the Unix socket at `path` (absolute, or "@" and an abstract name), the service manager's or
   * another process's of this tunnel, with at most 64 descriptors, which it then has too. Never waits. 0 or -errno
   * (-EAGAIN: nobody reads).
   */
  notify(path: Uint8Array, text: Uint8Array, descriptors: Int32Array): number;
  /** What a descriptor is: a value of `DESCRIPTOR`. */
  descriptorKind(fd: number): number;
  /** Opens a non-blocking Unix datagram socket at `path`; returns it, or -errno. */
  notifyListen(path: Uint8Array): number;
  /**
   * Takes one datagram; `descriptors` receives what came with it, close-on-exec, and -1 behind. Returns the
   * datagram's length, or -errno (-EAGAIN: none there; -EMSGSIZE: too long, nothing is kept open).
   */
  notifyReceive(fd: number, text: Uint8Array, descriptors: Int32Array): number;

  /** CLOCK_BOOTTIME in milliseconds with fraction. */
  clock(): number;
  /** Name of an errno of either sign, such as "EPERM". */
  errnoName(errno: number): string;
}

/** How ChaCha20-Poly1305 is computed: through OpenSSL's EVP, or of its two primitives directly, which is faster. */
export const CIPHER = { EVP: 1, PRIMITIVES: 2 } as const;

/** Values of `descriptorKind`. */
export const DESCRIPTOR = { OTHER: 0, TUN: 1, UDP: 2, UNIX_LISTENER: 3 } as const;

/** Bits of `newsRead`. */
export const NEWS = { OWN: 1, OTHER: 2 } as const;

/** Bits of `udpOffload`. */
export const UDP_OFFLOAD = { GSO: 1, GRO: 2 } as const;

/** The numbers of core/rows.ts in the order in which the addon states its own. */
export const ROW_LAYOUT: readonly number[] = [
  ...Object.values(MESSAGE),
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  MESSAGE_DONT_FRAGMENT,
  ...Object.values(PACKET),
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
  PACKET_PART,
  ...Object.values(GSO),
  ...Object.values(SEAL),
  SEAL_FIELDS,
  ...Object.values(OPEN),
  OPEN_FIELDS,
  OPENED_ALIKE,
  OPEN_FAILED,
];

/** Not in the package itself, which has no sources and serves some CPUs only. */
const REMEDY = "build it in a clone of iptun: npm ci && npm run build";

/** Loads the addon and compares its row layout with core/rows.ts; throws with one line where it is missing or stale. */
export function loadNative(path: string = addonPath()): Native {
  const exported = requireAddon(path);
  if (!isNative(exported)) throw new Error(`${path} does not fit this version; ${REMEDY}`);
  return exported;
}

/**
 * Where scripts/build-native puts the addon for a CPU (one of `process.arch`), seen from dist/io as well as from src/io.
 * A clone has that of its own CPU; the npm package has several, each for every libc.
 */
export function addonPath(cpu: string = process.arch): string {
  return fileURLToPath(new URL(`../../dist/native/linux-${cpu}/iptun.node`, import.meta.url));
}

function requireAddon(path: string): unknown {
  try {
    return createRequire(import.meta.url)(path);
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND";
    const reason = isMissing ? "is missing" : `does not load (${firstLine(cause)})`;
    throw new Error(`the native addon ${path} ${reason}; ${REMEDY}`, { cause });
  }
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n", 1)[0] ?? "";
}

function isNative(exported: unknown): exported is Native {
  if (typeof exported !== "object" || exported === null || !("layout" in exported)) return false;
  const { layout } = exported;
  if (typeof layout !== "function") return false;
  const numbers: unknown = layout();
  return (
    numbers instanceof Int32Array &&
    numbers.length === ROW_LAYOUT.length &&
    numbers.every((value, index) => value === ROW_LAYOUT[index])
  );
}
