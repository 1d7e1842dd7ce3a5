/**
 * A fake world for the engine: a tunnel, a device and a socket that record calls in one journal.
 *
 * Not a simulation (test/sim has that): each call's answer is queued by the test, and the journal shows
 * in which order the loop did things. Time stands still until the test moves it.
 */

import {
  type MessageBatch,
  messageBatch,
  type PacketBatch,
  packetBatch,
} from "../../src/core/batch.ts";
import { dropCounters } from "../../src/core/drop-reason.ts";
import type {
  PingAnswer,
  PingRefusal,
  SpeedOptions,
  SpeedRefusal,
  SpeedSnapshot,
  TunnelEvent,
  TunnelSample,
  TunnelSnapshot,
} from "../../src/core/options.ts";
import { type Instant, NEVER } from "../../src/core/time.ts";
import { Engine, type EngineReport } from "../../src/engine/engine.ts";
import type { EngineTunnel } from "../../src/engine/engine-tunnel.ts";
import type {
  EngineClock,
  EngineIo,
  OnReady,
  TunPort,
  UdpPort,
  Watch,
} from "../../src/engine/ports.ts";

/** Rows of the fakes' batches: small, so that a full batch is easy to make. */
export const ROWS = 4;
const STRIDE = 128;

export class FakeWatch implements Watch {
  onReady: OnReady = () => undefined;
  isPaused = false;
  isClosed = false;
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  close(): void {
    this.isClosed = true;
  }
}

export class FakeUdp implements UdpPort {
  /** What happens while a batch is read. */
  onReceive: () => void = () => undefined;
  /** Rows that successive calls receive; 0 when none is left. */
  readonly reads: number[] = [];
  /** Whether successive receives end for want of room; absent: when every row is used. */
  readonly fullness: boolean[] = [];
  /** Datagrams that successive sends refuse. */
  readonly refusals: number[] = [];
  isClosed = false;
  readonly #journal: string[];
  constructor(journal: string[]) {
    this.#journal = journal;
  }
  receive(batch: MessageBatch): number {
    this.onReceive();
    batch.count = this.reads.shift() ?? 0;
    batch.isFull = this.fullness.shift() ?? batch.count === batch.capacity;
    this.#journal.push(`udp.receive=${batch.count}`);
    return batch.count;
  }
  send(batch: MessageBatch): number {
    this.#journal.push(`udp.send(${batch.count})`);
    return this.refusals.shift() ?? 0;
  }
  bindDevice(): void {
    this.#journal.push("udp.bindDevice");
  }
  setAgain(): void {
    this.#journal.push("udp.setAgain");
  }
  /** Why the kernel refuses a mark. */
  markFault: string | undefined;
  setMark(mark: number): string | undefined {
    this.#journal.push(`udp.setMark(${mark})`);
    return this.markFault;
  }
  errorCounts(): Readonly<Record<string, number>> {
    return { ECONNREFUSED: 3 };
  }
  unread = 0;
  setShield(isUp: boolean): boolean {
    this.#journal.push(`udp.setShield(${isUp})`);
    return true;
  }
  gsoFallbacks = 0;
  refusedRun: { remote: Uint8Array; errno: string } | undefined;
  plainRoutes(): number {
    return this.gsoFallbacks;
  }
  takeRefusedRun(): { remote: Uint8Array; errno: string } | undefined {
    const refused = this.refusedRun;
    this.refusedRun = undefined;
    return refused;
  }
  close(): void {
    this.isClosed = true;
  }
}

export class FakeTun implements TunPort {
  readonly name = "iptun0";
  state: TunPort["state"] = "up";
  readonly reads: number[] = [];
  /** Whether successive reads end for want of room; absent: when every row is used. */
  readonly fullness: boolean[] = [];
  readonly refusals: number[] = [];
  /** States after successive writes. */
  readonly states: TunPort["state"][] = [];
  isClosed = false;
  readonly #journal: string[];
  constructor(journal: string[]) {
    this.#journal = journal;
  }
  read(batch: PacketBatch): number {
    batch.count = this.reads.shift() ?? 0;
    batch.isFull = this.fullness.shift() ?? batch.count === batch.capacity;
    this.#journal.push(`tun.read=${batch.count}`);
    return batch.count;
  }
  write(batch: PacketBatch): number {
    this.#journal.push(`tun.write(${batch.count})`);
    this.state = this.states.shift() ?? this.state;
    return this.refusals.shift() ?? 0;
  }
  setAgain(): void {
    this.#journal.push("tun.setAgain");
  }
  close(): void {
    this.isClosed = true;
  }
}

/** A clock that the test moves, with the engine's one timer. */
export class FakeClock implements EngineClock {
  time = 1_000 as Instant;
  armedFor: Instant | undefined;
  #callback: () => void = () => undefined;
  now(): Instant {
    return this.time;
  }
  wallMicros(): number {
    return 7;
  }
  armTimer(at: Instant, callback: () => void): void {
    this.armedFor = at;
    this.#callback = callback;
  }
  disarmTimer(): void {
    this.armedFor = undefined;
  }
  /** Moves to the armed instant, or past it, and calls back. */
  fire(lateMs = 0): void {
    if (this.armedFor === undefined || this.armedFor === NEVER)
      throw new Error("no timer is armed");
    this.time = (this.armedFor + lateMs) as Instant;
    this.armedFor = undefined;
    this.#callback();
  }
}

/** A tunnel that moves nothing by itself: the test says how many rows each call leaves. */
export class FakeTunnel implements EngineTunnel {
  readonly buffers: EngineTunnel["buffers"];
  /** Datagrams that successive `pollTransmit` calls leave. */
  readonly transmits: number[] = [];
  /** Rows that each `handleDatagrams` and `handlePackets` leaves. */
  delivered = 0;
  outgoing = 0;
  replies = 0;
  /** Packet rows that successive `handlePackets` calls leave for the next. */
  readonly leftovers: number[] = [];
  deadline: Instant | undefined;
  readonly events: TunnelEvent[] = [];
  readonly answers: PingAnswer[] = [];
  refusal: PingRefusal | undefined;
  speed: SpeedSnapshot | undefined;
  readonly drops: string[] = [];
  /** The time of each batch of datagrams. */
  readonly datagramsAt: Instant[] = [];
  readonly applied: unknown[] = [];
  isWiped = false;
  readonly #journal: string[];

  constructor(journal: string[]) {
    this.#journal = journal;
    const arena = new Uint8Array(ROWS * STRIDE);
    this.buffers = {
      ...{ datagramStride: STRIDE, packetRoom: STRIDE },
      datagrams: messageBatch(arena, ROWS),
      packets: packetBatch(new Uint8Array(ROWS * STRIDE), ROWS),
      outgoing: messageBatch(new Uint8Array(ROWS * STRIDE), ROWS),
      delivered: packetBatch(arena, ROWS),
      replies: packetBatch(new Uint8Array(ROWS * STRIDE), ROWS),
    };
  }
  malformed = 0;
  setWallClock(micros: number): void {
    this.#journal.push(`wall=${micros}`);
  }
  handleTimeout(): void {
    this.#journal.push("timeout");
  }
  pollTransmit(): number {
    const count = this.transmits.shift() ?? 0;
    this.buffers.outgoing.count = count;
    if (count > 0) this.#journal.push(`transmit=${count}`);
    return count;
  }
  handleDatagrams(now: Instant): void {
    this.datagramsAt.push(now);
    this.#journal.push(`datagrams(${this.buffers.datagrams.count})`);
    this.buffers.delivered.count = this.delivered;
  }
  handlePackets(): void {
    this.#journal.push(`packets(${this.buffers.packets.count})`);
    this.buffers.outgoing.count = this.outgoing;
    this.buffers.replies.count = this.replies;
    this.buffers.packets.count = this.leftovers.shift() ?? 0;
  }
  nextTimeout(): Instant {
    this.#journal.push("poll");
    return this.deadline ?? NEVER;
  }
  pollEvent(): TunnelEvent | undefined {
    return this.events.shift();
  }
  addPeer(options: unknown): void {
    this.applied.push({ addPeer: options });
  }
  removePeer(name: string): void {
    this.applied.push({ removePeer: name });
  }
  setEndpoints(name: string, endpoints: unknown): void {
    this.applied.push({ setEndpoints: name, endpoints });
  }
  updatePeer(update: unknown): void {
    this.applied.push({ updatePeer: update });
  }
  setLimits(limits: unknown): void {
    this.applied.push({ setLimits: limits });
  }
  setInnerAddresses(addresses: unknown): void {
    this.applied.push({ setInnerAddresses: addresses });
  }
  setMtu(mtu: number, pathMtu: unknown): void {
    this.applied.push({ setMtu: mtu, pathMtu });
  }
  setCopyDscp(isCopied: boolean): void {
    this.applied.push({ setCopyDscp: isCopied });
  }
  fingerprintOf(key: Uint8Array, kind: string): string {
    return `${kind}-${key[0]}`;
  }
  keepKeys(): void {
    this.applied.push("keepKeys");
  }
  wipeKeys(): void {
    this.applied.push("wipeKeys");
  }
  setOwnAddresses(addresses: unknown): void {
    this.applied.push({ setOwnAddresses: addresses });
  }
  setLinkMtu(linkMtu: number): void {
    this.applied.push({ setLinkMtu: linkMtu });
  }
  announce(): void {
    this.applied.push("announce");
  }
  ping(name: string, tag: number): PingRefusal | undefined {
    this.applied.push({ ping: name, tag });
    return this.refusal;
  }
  pollAnswer(): PingAnswer | undefined {
    return this.answers.shift();
  }
  startSpeedTest(options: SpeedOptions): SpeedRefusal | undefined {
    this.applied.push({ speed: options });
    return this.refusal;
  }
  stopSpeedTest(): void {
    this.applied.push("stop speed test");
  }
  speedTest(): SpeedSnapshot | undefined {
    return this.speed;
  }
  rekey(name: string): void {
    this.applied.push({ rekey: name });
  }
  closeNodes(): void {
    this.#journal.push("close nodes");
  }

  close(): void {
    this.#journal.push("close");
  }
  wipe(): void {
    this.#journal.push("wipe");
    this.isWiped = true;
  }
  snapshot(): TunnelSnapshot {
    return {
      peers: [],
      drops: dropCounters(),
      refusedDestination: undefined,
      handshakeComputations: 0,
      sources: [],
      sessions: 0,
    };
  }
  sample(): TunnelSample {
    return { names: ["b"], figures: Float64Array.of(1, 2, 3, 0.5, Number.NaN) };
  }
  countDrop(reason: string, count: number): void {
    this.drops.push(`${reason} ${count}`);
  }
}

/** An engine with its fakes. */
export interface Rig {
  readonly engine: Engine;
  readonly tunnel: FakeTunnel;
  readonly tun: FakeTun;
  readonly udp: FakeUdp;
  readonly clock: FakeClock;
  readonly tunWatch: FakeWatch;
  readonly udpWatch: FakeWatch;
  /** What the loop did, in order. */
  readonly journal: string[];
  readonly reports: EngineReport[];
}

/** An engine over fakes, before its first turn. */
export function rig(options: { readonly isTracing?: boolean } = {}): Rig {
  const journal: string[] = [];
  const reports: EngineReport[] = [];
  const tunnel = new FakeTunnel(journal);
  const tun = new FakeTun(journal);
  const udp = new FakeUdp(journal);
  const clock = new FakeClock();
  const tunWatch = new FakeWatch();
  const udpWatch = new FakeWatch();
  const io: EngineIo = {
    tun,
    udp,
    clock,
    watchTun: (onReady) => Object.assign(tunWatch, { onReady }),
    watchUdp: (onReady) => Object.assign(udpWatch, { onReady }),
  };
  const settings = { isTracing: options.isTracing ?? false };
  const engine = new Engine(tunnel, io, settings, (report) => reports.push(report));
  return { engine, tunnel, tun, udp, clock, tunWatch, udpWatch, journal, reports };
}
