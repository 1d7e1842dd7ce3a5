/**
 * One host of a schedule: the real tunnel and the model beside it, given the same things at the same time.
 *
 * A turn has the order that core/tunnel.ts prescribes. After each of its phases what the tunnel sent and
 * delivered must be what the model says, no more and no less, and so must what it remembers.
 */
import type { Peer as CorePeer } from "../../src/core/peers/peer.ts";
import { after, type Instant } from "../../src/core/time.ts";
import type { Tunnel } from "../../src/core/tunnel.ts";
import { compareAll, compareDrops, compareFloors } from "./compare.ts";
import { observe } from "./inside.ts";
import { type Address, addressOf, addressText, type Ip, ipText, portOf } from "./model/address.ts";
import { tosOf } from "./model/ecn.ts";
import { setOwn } from "./model/endpoint.ts";
import { receiveBatch } from "./model/receive.ts";
import type { Packet, Sent } from "./model/records.ts";
import type { Arrival, Expected, Model } from "./model/state.ts";
import {
  beginTurn,
  closeAll,
  flush,
  nextDue,
  rekey,
  sendPackets,
  setEndpoints,
} from "./model/turn.ts";
import { fillDatagrams, fillPackets, type Output, readDelivered, readOutputs } from "./rows.ts";
import type { Running } from "./running.ts";
import { Violation } from "./violation.ts";

/** What a station needs of the world. */
export interface Ground {
  readonly now: number;
  /** Microseconds since 1970 on a right clock. */
  readonly wallMicros: number;
  /** The hint of the key that all hosts have. */
  readonly hint: number;
  send(station: Station, from: Address, output: Output, sent: Sent): void;
  deliver(station: Station, packet: Packet): void;
  trace(line: () => string): void;
}

/** Datagrams that wait in the socket at most. */
const SOCKET_DATAGRAMS = 400;
/** Calls of one polling loop before it counts as endless. */
const LOOP_BOUND = 500;

export interface StationOptions {
  readonly name: string;
  readonly port: number;
  readonly own: readonly Ip[];
  /** The address in front of a translator; absent: there is none. */
  readonly outside?: Address;
  readonly bootMs: number;
  readonly boot: (station: Station) => Running;
}

export class Station {
  readonly name: string;
  readonly port: number;
  /** Addresses of the kernel; the tunnel may not know yet. */
  own: readonly Ip[];
  outside: Address | undefined;
  wallOffsetMicros = 0;
  isFrozen = false;
  running: Running | undefined;
  readonly #ground: Ground;
  readonly #options: StationOptions;
  #peers = new Set<CorePeer>();
  #inbox: Arrival[] = [];
  #device: Packet[] = [];
  #isTouched = false;
  /** Cached `nextTimeout` of the tunnel, on the world's clock. */
  #wakeAt = Number.POSITIVE_INFINITY;
  /** When something is due by the model, on this host's clock. */
  #dueAt = Number.NEGATIVE_INFINITY;

  constructor(ground: Ground, options: StationOptions) {
    this.#ground = ground;
    this.#options = options;
    this.name = options.name;
    this.port = options.port;
    this.own = options.own;
    this.outside = options.outside;
  }

  get now(): Instant {
    return after(this.#ground.now as Instant, this.#options.bootMs);
  }

  get wallMicros(): number {
    return this.#ground.wallMicros + this.wallOffsetMicros;
  }

  /** Where datagrams reach it. */
  isAt(address: Address): boolean {
    if (this.outside !== undefined) return this.outside === address;
    return (
      portOf(address) === this.port && this.own.some((own) => addressOf(own, this.port) === address)
    );
  }

  /** Where it is reached, as its peers would configure it. */
  get door(): Address {
    return this.outside ?? addressOf(this.own[0] ?? 0, this.port);
  }

  start(): void {
    this.#peers = new Set();
    this.#inbox = [];
    this.#device = [];
    observe(this.#peers);
    this.running = this.#options.boot(this);
    observe(undefined);
    this.#touch();
    this.#ground.trace(() => `${this.name} starts`);
  }

  stop(): void {
    if (this.running !== undefined) {
      compareDrops(this.running, this.now);
      compareFloors(this.running, this.#peers);
    }
    this.running = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    this.#ground.trace(() => `${this.name} stops`);
  }

  /** A datagram arrives at the socket. */
  receive(arrival: Arrival): void {
    if (this.running !== undefined && this.#inbox.length < SOCKET_DATAGRAMS) {
      this.#inbox.push(arrival);
    }
  }

  /** A packet comes from the device. */
  send(packet: Packet): void {
    if (this.running !== undefined) this.#device.push(packet);
  }

  /** The kernel's addresses; whether the tunnel is told. */
  move(own: readonly Ip[], isTold: boolean): void {
    this.own = own;
    this.#ground.trace(() => `${this.name} moves to ${own.map(ipText).join(" ")}`);
    if (isTold) this.tell();
  }

  /** Tells the tunnel the addresses that the kernel has. */
  tell(): void {
    const { running, own } = this;
    if (running === undefined) return;
    running.tunnel.setOwnAddresses(own.map(ownBytes));
    setOwn(running.model, own);
  }

  rekey(): void {
    this.#order((running, now) => {
      running.tunnel.rekey(running.model.options.peer.kind, now);
      rekey(running.model);
    });
  }

  close(): void {
    this.#order((running, now) => {
      running.tunnel.close(now);
      closeAll(running.model);
    });
  }

  /** The configured name has other addresses. */
  resolve(addresses: readonly Address[]): void {
    this.#order((running, now) => {
      const { kind } = running.model.options.peer;
      running.tunnel.setEndpoints(kind, addresses.map(plainEndpoint), now);
      setEndpoints(running.model, addresses);
    });
  }

  /** The sessions in use count on as if so many packets had left, and none arrived. */
  skipCounters(count: number): void {
    for (const { current } of this.#peers) {
      const twin = current && this.running?.model.sessions.get(current.localIndex);
      if (current === undefined || twin === undefined) continue;
      current.takeCounters(count);
      twin.nextCounter += count;
    }
  }

  #order(act: (running: Running, now: Instant) => void): void {
    const { running } = this;
    if (running === undefined || this.isFrozen) return;
    this.#begin(running);
    act(running, this.now);
    observe(undefined);
    this.#touch();
  }

  #touch(): void {
    this.#isTouched = true;
    this.#dueAt = Number.NEGATIVE_INFINITY;
  }

  /** When it has something to do, on the world's clock. */
  get wakeAt(): number {
    if (this.running === undefined || this.isFrozen) return Number.POSITIVE_INFINITY;
    const isBusy = this.#isTouched || this.#inbox.length > 0 || this.#device.length > 0;
    return isBusy ? Number.NEGATIVE_INFINITY : this.#wakeAt;
  }

  /** One turn of the engine's loop. */
  turn(): void {
    const { running } = this;
    if (running === undefined) return;
    this.#isTouched = false;
    this.#begin(running);
    const { tunnel, model } = running;
    tunnel.setWallClock(this.wallMicros);
    model.wallMicros = this.wallMicros;
    tunnel.handleTimeout(this.now);
    // Before anything is due neither side has a thing to do; that the core did nothing shows below.
    if (this.now >= this.#dueAt) beginTurn(model, this.#ground.hint);
    else model.work = 0;
    this.#settle(running, this.#transmits(tunnel));
    while (this.#inbox.length > 0) this.#takeDatagrams(running);
    while (this.#device.length > 0) this.#takePackets(running);
    while (tunnel.pollEvent() !== undefined);
    observe(undefined);
    this.#checkWake(running);
  }

  #begin({ model }: Running): void {
    observe(this.#peers);
    model.now = this.now;
  }

  #takeDatagrams(running: Running): void {
    const { tunnel, model } = running;
    const batch = fillDatagrams(tunnel.buffers, this.#inbox);
    if (batch.length > tunnel.buffers.datagrams.count) model.tally.note("runOpened");
    tunnel.handleDatagrams(this.now);
    const delivered = readDelivered(tunnel.buffers.delivered);
    receiveBatch(model, batch, this.#ground.hint);
    const outputs = this.#transmits(tunnel);
    if (outputs.length > 0 && batch.every(({ sent }) => sent === undefined)) {
      throw new Violation("strangers", `${this.name} answers what nobody with the key has sent`);
    }
    this.#checkDelivered(model, delivered);
    this.#settle(running, outputs);
  }

  #checkDelivered(model: Model, delivered: readonly Uint8Array[]): void {
    const due = model.delivered.splice(0);
    if (delivered.length !== due.length) {
      throw new Violation("delivered", `${delivered.length} packets, by the rules ${due.length}`);
    }
    for (const [index, packet] of due.entries()) {
      if (Buffer.compare(delivered[index] ?? new Uint8Array(0), packet.bytes) !== 0) {
        throw new Violation("delivered", `packet ${packet.number} came out with other bytes`);
      }
      this.#ground.deliver(this, packet);
    }
  }

  #takePackets(running: Running): void {
    const { tunnel, model } = running;
    const packets = fillPackets(tunnel.buffers, this.#device);
    const outputs: Output[] = [];
    let rounds = 0;
    do {
      tunnel.handlePackets(this.now);
      readOutputs(tunnel.buffers.outgoing, outputs);
      rounds += 1;
    } while (tunnel.buffers.packets.count > 0 && rounds < LOOP_BOUND);
    sendPackets(model, packets);
    outputs.push(...this.#transmits(tunnel));
    this.#settle(running, outputs);
  }

  /** Drains `pollTransmit`. */
  #transmits(tunnel: Tunnel): Output[] {
    const outputs: Output[] = [];
    for (let round = 0; tunnel.pollTransmit(this.now) > 0; round += 1) {
      readOutputs(tunnel.buffers.outgoing, outputs);
      if (round > LOOP_BOUND) throw new Violation("endless", `${this.name} always has one more`);
    }
    return outputs;
  }

  /** What left must be what the model expects; then everything that is remembered is compared. */
  #settle(running: Running, outputs: readonly Output[]): void {
    const { model } = running;
    flush(model);
    const due = model.expected.splice(0);
    for (const output of outputs) this.#emit(output, takeFitting(due, output, this.name));
    const [missing] = due;
    if (missing !== undefined) {
      throw new Violation("outputs", `${this.name} does not send ${expectedText(missing)}`);
    }
    compareAll(running, this.#peers, this.name);
  }

  #emit(output: Output, expected: Expected): void {
    const { local, bytes } = output;
    expected.onSent?.(bytes);
    const isThere = this.own.includes(local);
    const from = this.outside ?? addressOf(isThere ? local : (this.own[0] ?? 0), this.port);
    this.#ground.send(this, from, output, expected.sent);
  }

  /** A timer that the model has and the core has not is one that never comes. */
  #checkWake({ tunnel, model }: Running): void {
    const wake = tunnel.nextTimeout();
    const due = nextDue(model);
    this.#dueAt = due;
    if (wake > due) {
      throw new Violation(
        "wake",
        `${this.name} sleeps for ${wake - this.now} ms, by the rules for ${due - this.now}`,
      );
    }
    this.#wakeAt = wake - this.#options.bootMs;
  }
}

/** The expected datagram that the output is. */
function takeFitting(due: Expected[], output: Output, name: string): Expected {
  const index = due.findIndex((expected) => fits(expected, output));
  const [expected] = index < 0 ? [] : due.splice(index, 1);
  if (expected !== undefined) return expected;
  const text = due.map(expectedText).join(", ");
  throw new Violation(
    "outputs",
    `${name} sends ${outputText(output)}, by the rules ${text || "nothing"}`,
  );
}

function fits(expected: Expected, output: Output): boolean {
  const { type, to, length, receiverIndex, counter, sent } = expected;
  return (
    output.type === type &&
    output.to === to.remote &&
    output.local === to.local &&
    output.bytes.length === length &&
    output.tos === tosOf(sent) &&
    (receiverIndex === undefined || output.receiverIndex === receiverIndex) &&
    (counter === undefined || output.counter === counter)
  );
}

function outputText({ type, to, local, bytes, counter, tos }: Output): string {
  return `${datagramText(type, to, local, bytes.length, counter)} TOS ${tos}`;
}

function expectedText({ type, to, length, counter, sent }: Expected): string {
  return `${datagramText(type, to.remote, to.local, length, counter)} TOS ${tosOf(sent)}`;
}

function datagramText(
  type: number,
  to: Address,
  local: Ip,
  length: number,
  counter: number | undefined,
): string {
  const name = ["?", "INIT", "RESP", "CHALLENGE", "DATA"][type] ?? "?";
  const own = local === 0 ? "" : ` (as ${ipText(local)})`;
  return `${name} ${length}${type === 4 ? ` #${counter}` : ""} to ${addressText(to)}${own}`;
}

/** Own addresses as the core takes them. */
export function ownBytes(own: Ip): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  new DataView(bytes.buffer).setUint32(12, own, true);
  return bytes;
}

/** An endpoint as the core takes it. */
export function plainEndpoint(address: Address) {
  return { address: ownBytes(Math.floor(address / 65_536)), port: portOf(address), scope: 0 };
}
