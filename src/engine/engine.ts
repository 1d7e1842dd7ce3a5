/**
 * The engine: one loop that moves batches between a TUN device and a UDP socket through the core.
 *
 * A turn has a fixed order: a first batch read from UDP, the clock, due timers, pending transmits, one
 * bounded turn of UDP, one of TUN (also when UDP brought it packets that are answered already), re-arm. It
 * decides nothing about a packet (core does) and knows no system call (io does). It never logs: it reports
 * counters and events. The trap: readiness is level-triggered, so a turn may stop
 * before a descriptor is empty, but must never return with an error state left to call again at once.
 */

import { keyBytes } from "../core/handshake/keys.ts";
import type { Instant } from "../core/time.ts";
import { datagramsInBatch, packetsInBatch } from "./batch-counts.ts";
import { applyChange, type ChangeTargets, nameKeys } from "./change.ts";
import type { EngineTunnel } from "./engine-tunnel.ts";
import { takeEvents } from "./events.ts";
import { type Change, type Command, type EngineCounters, keysOf, type Report } from "./messages.ts";
import { PacketTrace } from "./packet-trace.ts";
import type { EngineIo } from "./ports.ts";
import { order, type ProbingCommand, probeAnswers } from "./probing.ts";
import { Shield } from "./shield.ts";
import { WatchGuard } from "./watch-guard.ts";

/** Which descriptors a turn serves. */
export const READY = { NONE: 0, UDP: 1, TUN: 2 } as const;

/** Batches of each direction in one turn, so that neither direction nor a message waits for the other. */
export const BATCHES_PER_TURN = 2;

/** What the loop reports by itself; `ready` and other failures are the worker's to send. */
export type EngineReport = Exclude<Report, { readonly kind: "ready" | "loaded" }>;

/** Joins a tunnel and its io; runs from `start` until `stop` or a fatal report. */
export class Engine {
  readonly #tunnel: EngineTunnel;
  readonly #io: EngineIo;
  readonly #report: (report: EngineReport) => void;
  #trace: PacketTrace | undefined;
  readonly #targets: ChangeTargets;
  readonly #udpGuard: WatchGuard;
  readonly #tunGuard: WatchGuard;
  readonly #shield: Shield;
  #state: "running" | "paused" | "ended" = "running";
  #isLinkReportedUp = true;
  /** Whether the control side still has an `events` message to acknowledge. */
  #isEventPending = false;
  #armedFor = Number.POSITIVE_INFINITY;
  /** Made once: the timer is armed at every turn. */
  readonly #onTimer = (): void => {
    this.#counts.timerTurns += 1;
    this.#counts.timerLatenessMs += this.#io.clock.now() - this.#armedFor;
    this.turn(READY.NONE);
  };
  readonly #counts = {
    turns: 0,
    timerTurns: 0,
    timerLatenessMs: 0,
    datagramsReceived: 0,
    datagramsSent: 0,
    packetsRead: 0,
    packetsWritten: 0,
  };

  /** Watches both descriptors at once; nothing is read before the loop calls. */
  constructor(
    tunnel: EngineTunnel,
    io: EngineIo,
    options: { readonly isTracing: boolean },
    report: (report: EngineReport) => void,
  ) {
    this.#tunnel = tunnel;
    this.#io = io;
    this.#report = report;
    const setTracing = (isTracing: boolean) => {
      this.#trace = isTracing ? new PacketTrace() : undefined;
    };
    setTracing(options.isTracing);
    this.#targets = { tunnel, udp: io.udp, setTracing };
    this.#shield = new Shield(io.udp);
    this.#udpGuard = new WatchGuard(io.watchUdp((isBroken) => this.#ready(READY.UDP, isBroken)));
    this.#tunGuard = new WatchGuard(io.watchTun((isBroken) => this.#ready(READY.TUN, isBroken)));
  }

  /** One turn of the loop over the descriptors in `ready` (READY bits). */
  turn(ready: number): void {
    if (this.#state !== "running") return;
    this.#counts.turns += 1;
    const isUdpReady = (ready & READY.UDP) !== 0;
    // Before the clock is read: where this thread is held up in between, what comes meanwhile would be taken for
    // older than it is, and a path for quicker.
    const received = isUdpReady ? this.#receive() : 0;
    const now = this.#io.clock.now();
    this.#tunnel.setWallClock(this.#io.clock.wallMicros());
    this.#tunnel.handleTimeout(now);
    this.#udpGuard.handleTimeout(now);
    this.#tunGuard.handleTimeout(now);
    this.#transmit(now);
    const isTunReady = (ready & READY.TUN) !== 0;
    const written = this.#counts.packetsWritten;
    if (isUdpReady) this.#udpGuard.served(this.#turnUdp(received, now), now);
    // The kernel answers many packets (echo requests, TCP data) before the write returns: their answers
    // are read at once, which saves a wake-up.
    if (isTunReady || this.#counts.packetsWritten > written) {
      const rows = this.#turnTun(now);
      if (isTunReady || rows > 0) this.#tunGuard.served(rows, now);
    }
    this.#shield.look(this.#tunnel.malformed, now);
    this.#finishTurn();
  }

  /** Does what the control side asks. */
  handleCommand(command: Command): void {
    if (this.#state === "ended") return;
    switch (command.kind) {
      case "apply":
        this.#apply(command.changes);
        break;
      case "reconfigure":
        this.#reconfigure(command);
        break;
      case "rekey":
        this.#tunnel.setWallClock(this.#io.clock.wallMicros());
        this.#tunnel.rekey(command.peer, this.#io.clock.now());
        this.turn(READY.NONE);
        break;
      case "probe":
      case "speed":
        this.#probe(command);
        break;
      case "name-keys":
        this.#report({ ...nameKeys(this.#tunnel, command.peers), id: command.id });
        break;
      case "snapshot":
        this.#reportSnapshot(command.id);
        break;
      case "sample":
        this.#report({ kind: "sample", id: command.id, sample: this.#tunnel.sample() });
        break;
      case "ping":
        this.#report({ kind: "pong", id: command.id });
        break;
      case "trace":
        this.#reportTrace(command.id);
        break;
      case "acknowledge":
        this.#isEventPending = false;
        this.#reportEvents();
        break;
      case "pause":
        this.#pause();
        this.#report({ kind: "paused", id: command.id });
        break;
      case "resume":
        this.#resume();
        break;
      case "let-go":
        this.#end((now) => this.#tunnel.closeNodes(now));
        break;
      case "stop":
        this.#end((now) => this.#tunnel.close(now));
        break;
      case "begin":
        break;
      default:
        command satisfies never;
    }
  }

  #apply(changes: readonly Change[]): void {
    this.#tunnel.setWallClock(this.#io.clock.wallMicros());
    const now = this.#io.clock.now();
    for (const change of changes) applyChange(change, this.#targets, now);
    this.turn(READY.NONE);
  }

  /** All of it between two packets, or nothing. */
  #reconfigure({ id, mark, changes, keys }: Extract<Command, { kind: "reconfigure" }>): void {
    const fault = this.#io.udp.setMark(mark);
    if (fault === undefined) {
      if (keys === "keep") this.#tunnel.keepKeys();
      this.#apply(changes);
      if (keys === "wipe") this.#tunnel.wipeKeys();
    }
    for (const key of keyBytes(keysOf(changes))) key.fill(0);
    this.#report({ kind: "reconfigured", id, fault });
  }

  /** Wipes every key and releases both descriptors; nothing is sent. Harmless when repeated. */
  abandon(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#tunnel.wipe();
    this.#io.clock.disarmTimer();
    this.#udpGuard.close();
    this.#tunGuard.close();
    this.#io.udp.close();
    this.#io.tun.close();
  }

  #ready(bit: number, isBroken: boolean): void {
    // The watch has stopped itself: read once to learn why, and look again after a pause.
    if (isBroken) this.#guardOf(bit).pause(this.#io.clock.now());
    this.turn(bit);
  }

  #guardOf(bit: number): WatchGuard {
    return bit === READY.UDP ? this.#udpGuard : this.#tunGuard;
  }

  /** The next batch from the socket; returns its rows. */
  #receive(): number {
    const { datagrams, datagramStride } = this.#tunnel.buffers;
    return this.#io.udp.receive(datagrams, datagramStride);
  }

  /** Handles a batch of `received` rows and those after it; returns the datagrams in all of them. */
  #turnUdp(received: number, now: Instant): number {
    const { datagrams, delivered } = this.#tunnel.buffers;
    let total = 0;
    for (let batch = 1, rows = received; rows > 0; rows = this.#receive(), batch += 1) {
      total += datagramsInBatch(datagrams);
      this.#trace?.datagrams("inbound", datagrams);
      this.#tunnel.handleDatagrams(now);
      this.#trace?.packets("inbound", delivered);
      this.#write(delivered);
      this.#transmit(now);
      if (!datagrams.isFull || batch === BATCHES_PER_TURN) break;
    }
    this.#counts.datagramsReceived += total;
    return total;
  }

  /** Returns the packets read. */
  #turnTun(now: Instant): number {
    const { packets, packetRoom } = this.#tunnel.buffers;
    let total = 0;
    for (let batch = 0; batch < BATCHES_PER_TURN; batch += 1) {
      const count = this.#io.tun.read(packets, packetRoom);
      if (count === 0) break;
      total += count;
      this.#trace?.packets("outbound", packets);
      this.#sendPackets(now);
      // Waiting packets start handshakes: those must not wait for the next turn.
      this.#transmit(now);
      if (!packets.isFull) break;
    }
    this.#counts.packetsRead += total;
    return total;
  }

  /** Seals and sends the packets read, as much at a time as fits. */
  #sendPackets(now: Instant): void {
    const { packets, outgoing, replies } = this.#tunnel.buffers;
    do {
      this.#tunnel.handlePackets(now);
      this.#send(outgoing, now);
      this.#write(replies);
    } while (packets.count > 0);
  }

  /** Sends what timers and handshakes made, batch by batch, until none is left. */
  #transmit(now: Instant): void {
    const { outgoing, replies } = this.#tunnel.buffers;
    while (this.#tunnel.pollTransmit(now) > 0) {
      this.#send(outgoing, now);
      this.#write(replies);
    }
  }

  #send(batch: EngineTunnel["buffers"]["outgoing"], now: Instant): void {
    if (batch.count === 0) return;
    this.#trace?.datagrams("outbound", batch);
    const refused = this.#io.udp.send(batch, now);
    this.#counts.datagramsSent += datagramsInBatch(batch) - refused;
    batch.count = 0;
    if (refused > 0) this.#tunnel.countDrop("udp_send", refused);
  }

  #write(batch: EngineTunnel["buffers"]["delivered"]): void {
    if (batch.count === 0) return;
    const refused = this.#io.tun.write(batch);
    this.#counts.packetsWritten += packetsInBatch(batch) - refused;
    batch.count = 0;
    if (refused > 0) this.#tunnel.countDrop("tun_write", refused);
  }

  #finishTurn(): void {
    const { state, name } = this.#io.tun;
    if (state === "gone") {
      this.#fail(`TUN device ${name} is gone`);
      return;
    }
    this.#reportLink(state === "up");
    this.#rearm();
    this.#reportEvents();
    for (const answer of probeAnswers(this.#tunnel)) this.#report(answer);
    this.#reportRefusedRun();
  }

  #rearm(): void {
    const deadline = this.#tunnel.nextTimeout();
    const at = Math.min(
      deadline,
      this.#udpGuard.resumeAt,
      this.#tunGuard.resumeAt,
      this.#shield.lowersAt,
    ) as Instant;
    this.#armedFor = at;
    this.#io.clock.armTimer(at, this.#onTimer);
  }

  /** What arrives meanwhile waits in the kernel's queues, for us or for whoever takes the descriptors over. */
  #pause(): void {
    if (this.#state !== "running") return;
    this.#state = "paused";
    this.#io.clock.disarmTimer();
    this.#udpGuard.hold();
    this.#tunGuard.hold();
  }

  /** Whoever was to take the descriptors over may have set them otherwise, late ones after the resume. */
  #resume(): void {
    this.#io.udp.setAgain();
    this.#io.tun.setAgain();
    if (this.#state !== "paused") return;
    this.#state = "running";
    this.#udpGuard.release();
    this.#tunGuard.release();
    this.turn(READY.NONE);
  }

  /** Close frames leave before the keys that seal them are wiped. */
  #end(close: (now: Instant) => void): void {
    const now = this.#io.clock.now();
    this.#tunnel.setWallClock(this.#io.clock.wallMicros());
    close(now);
    this.#transmit(now);
    this.abandon();
    this.#report({ kind: "stopped" });
  }

  #fail(message: string): void {
    this.abandon();
    this.#report({ kind: "fatal", message, exitCode: 1, detail: undefined });
  }

  #reportLink(isUp: boolean): void {
    if (isUp === this.#isLinkReportedUp) return;
    this.#isLinkReportedUp = isUp;
    this.#report({ kind: "link", isUp });
  }

  #reportRefusedRun(): void {
    const refused = this.#io.udp.takeRefusedRun();
    if (refused !== undefined) this.#report({ kind: "gso-refused", ...refused });
  }

  #reportEvents(): void {
    const events = this.#isEventPending ? [] : takeEvents(this.#tunnel);
    if (events.length === 0) return;
    this.#isEventPending = true;
    this.#report({ kind: "events", events });
  }

  #probe(command: ProbingCommand): void {
    this.#tunnel.setWallClock(this.#io.clock.wallMicros());
    const report = order(this.#tunnel, command, this.#io.clock.now());
    if (report !== undefined) this.#report(report);
    this.turn(READY.NONE);
  }

  #reportSnapshot(id: number): void {
    const now = this.#io.clock.now();
    const counters: EngineCounters = {
      ...this.#counts,
      datagramsUnread: this.#io.udp.unread,
      shieldsRaised: this.#shield.raised,
      gsoFallbacks: this.#io.udp.gsoFallbacks,
      plainRoutes: this.#io.udp.plainRoutes(now),
      udpErrors: this.#io.udp.errorCounts(),
      isLinkUp: this.#io.tun.state === "up",
    };
    const snapshot = this.#tunnel.snapshot(now);
    this.#report({ kind: "snapshot", id, snapshot, counters });
  }

  #reportTrace(id: number): void {
    const drained = this.#trace?.drain() ?? { lines: [], suppressed: 0 };
    this.#report({ kind: "trace", id, ...drained });
  }
}
