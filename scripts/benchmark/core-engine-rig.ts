/**
 * Two whole engines in memory: loop, device, socket and clock of the product, over system calls that are
 * not there.
 *
 * In the place of the addon's I/O stand a few functions that hand over rows; bytes stay where they are, as
 * in core-pair-rig.ts. It is for counting what a packet allocates on its whole way through TypeScript.
 */

import {
  at,
  MESSAGE,
  MESSAGE_FIELDS,
  PACKET,
  PACKET_FIELDS,
  PACKET_PART,
} from "../../src/core/rows.ts";
import type { EngineIo, Watch } from "../../src/engine/ports.ts";
import type { Native } from "../../src/io/native.ts";
import type { End, VirtualClock } from "./core-ends.ts";
import { type InnerPacket, layPackets } from "./core-packets.ts";
import { handOver, makePair } from "./core-pair-rig.ts";
import type { Product } from "./core-product.ts";

const EAGAIN = -11;
const UDP_INFO = Int32Array.of(1194, 6, 0, 0);
const WATCH: Watch = { pause: () => {}, resume: () => {}, close: () => {} };

/** The system calls that a running engine makes. */
type Calls = Pick<
  Native,
  "tunRead" | "tunWrite" | "udpReceive" | "udpSend" | "errnoName" | "clock" | "close"
>;

type RunningEngine = InstanceType<Product["Engine"]>;

/** Both engines, and batches from left to right. */
export class EngineRig {
  readonly packets: number;
  readonly #clock: VirtualClock;
  readonly #left: End;
  readonly #right: End;
  readonly #batch: readonly InnerPacket[];
  readonly #bytes: Uint8Array;
  readonly #sender: RunningEngine;
  readonly #receiver: RunningEngine;
  readonly #ready: Product["READY"];
  /** Rows that wait to be read from the left device, and messages that wait at the right socket. */
  #rowsWaiting = 0;
  #messagesWaiting = 0;

  constructor(
    product: Product,
    clock: VirtualClock,
    batch: readonly InnerPacket[],
    hasOffloads: boolean,
  ) {
    this.packets = batch.reduce((sum, { segments }) => sum + segments, 0);
    this.#clock = clock;
    this.#batch = batch;
    const { left, right } = makePair(product, clock, hasOffloads);
    this.#left = left;
    this.#right = right;
    const { packets } = left.tunnel.buffers;
    layPackets(packets, batch);
    packets.count = 0;
    this.#bytes = packets.arena.slice();
    this.#ready = product.READY;
    this.#sender = engineOf(product, left, this.#leftCalls());
    this.#receiver = engineOf(product, right, this.#rightCalls());
    this.check();
  }

  /** So many batches, from device to device. */
  carry(batches: number): void {
    for (let batch = 0; batch < batches; batch++) {
      this.#prepare();
      this.#sender.turn(this.#ready.TUN);
      this.#receiver.turn(this.#ready.UDP);
    }
  }

  /** The same without engines. */
  nothing(batches: number): void {
    for (let batch = 0; batch < batches; batch++) this.#prepare();
  }

  /** Ends both engines; their timers would keep the process alive. */
  close(): void {
    this.#sender.abandon();
    this.#receiver.abandon();
  }

  /** Throws unless a batch arrives whole. */
  check(): void {
    const arrived = () =>
      this.#right.tunnel.snapshot(this.#clock.now).peers[0]?.counters.inboundPackets ?? 0;
    const before = arrived();
    this.carry(1);
    if (arrived() - before !== this.packets) throw new Error("a batch does not arrive whole");
  }

  #prepare(): void {
    this.#left.tunnel.buffers.packets.arena.set(this.#bytes);
    this.#clock.tick();
    this.#rowsWaiting = this.#batch.length;
  }

  #leftCalls(): Calls {
    return {
      ...noCalls(this.#clock),
      tunRead: () => {
        const rows = this.#rowsWaiting;
        this.#rowsWaiting = 0;
        return rows === 0 ? EAGAIN : rows;
      },
      udpSend: (_fd, _arena, rows, count) => {
        for (let row = 0; row < count; row++) rows[row * MESSAGE_FIELDS + MESSAGE.STATUS] = 0;
        this.#messagesWaiting = count;
        return count;
      },
    };
  }

  #rightCalls(): Calls {
    return {
      ...noCalls(this.#clock),
      udpReceive: () => {
        if (this.#messagesWaiting === 0) return EAGAIN;
        const { rows } = this.#left.tunnel.buffers.outgoing;
        const messages = handOver(rows, this.#messagesWaiting, this.#left, this.#right);
        this.#messagesWaiting = 0;
        return messages;
      },
      tunWrite: (_fd, _arena, rows, count) => {
        let written = 0;
        for (let row = 0; row < count; row++) {
          const base = row * PACKET_FIELDS;
          rows[base + PACKET.STATUS] = 0;
          if ((at(rows, base + PACKET.FLAGS) & PACKET_PART) === 0) written += 1;
        }
        return written;
      },
    };
  }
}

/** A device and a socket that have nothing, and the virtual clock. */
function noCalls(clock: VirtualClock): Calls {
  return {
    tunRead: () => EAGAIN,
    tunWrite: (_fd, _arena, _rows, count) => count,
    udpReceive: () => EAGAIN,
    udpSend: (_fd, _arena, _rows, count) => count,
    errnoName: () => "EAGAIN",
    clock: () => clock.now,
    close: () => 0,
  };
}

function engineOf(product: Product, { tunnel }: End, calls: Calls): RunningEngine {
  // Device and socket are open already, as far as they know: no other call is made of them.
  const native = calls as Native;
  const io: EngineIo = {
    tun: new product.TunDevice(native, 0, "none"),
    udp: new product.UdpSocket(native, 0, UDP_INFO),
    clock: product.createClock(calls),
    watchTun: () => WATCH,
    watchUdp: () => WATCH,
  };
  return new product.Engine(tunnel, io, { isTracing: false }, () => {});
}
