/**
 * The control side's end of the messages: commands out, answers and events in.
 *
 * Answers are matched to requests by id. When the engine ends, by its own report or because its thread
 * died, every open request is refused, so nothing waits for ever. Events are acknowledged after they
 * were handled: a busy control side makes the engine keep them, not this queue grow.
 */
import type {
  SpeedOptions,
  SpeedRefusal,
  SpeedSnapshot,
  TunnelEvent,
  TunnelSample,
  TunnelSnapshot,
} from "../core/options.ts";
import type {
  Change,
  Command,
  EngineCounters,
  EngineFeatures,
  Inherited,
  KeyedPeer,
  LastEndpoint,
  PacketLine,
  PingOutcome,
  Report,
} from "../engine/messages.ts";
import type { EnginePort, LoopTime } from "../engine/spawn.ts";
import { DaemonError, EXIT } from "./failure.ts";
import type { StartTimer } from "./repeats.ts";

export interface EngineListener {
  readonly event: (event: TunnelEvent) => void;
  readonly link: (isUp: boolean) => void;
  /** The remote address (16 bytes) gets single datagrams for a while. */
  readonly runRefused: (remote: Uint8Array, errno: string) => void;
  /** The engine ended by itself; called at most once. `detail` is for debug level. */
  readonly ended: (error: DaemonError, detail: string | undefined) => void;
}

export interface EngineSnapshot {
  readonly snapshot: TunnelSnapshot;
  readonly counters: EngineCounters;
}

/** What a configuration that is read anew asks of the engine. */
export type Reconfiguration = Omit<Extract<Command, { kind: "reconfigure" }>, "kind" | "id">;

export interface Trace {
  readonly lines: readonly PacketLine[];
  readonly suppressed: number;
}

/** What is awaited: an answer to a request by its id, or one that comes once. */
type Key = number | "loaded" | "ready" | "stopped";

interface Pending {
  readonly resolve: (report: Report) => void;
  readonly reject: (error: Error) => void;
}

/** Speaks with one engine. */
export class EngineLink {
  readonly #port: EnginePort;
  readonly #listener: EngineListener;
  readonly #pending = new Map<Key, Pending>();
  #nextId = 1;
  #end: DaemonError | undefined;
  #snapshot: Promise<EngineSnapshot> | undefined;

  constructor(port: EnginePort, listener: EngineListener) {
    this.#port = port;
    this.#listener = listener;
    port.listen({
      report: (report) => this.#receive(report),
      died: (message, detail) => this.#ended(new DaemonError(message), detail),
    });
  }

  /** Resolves when an engine in standby has loaded everything. */
  async loaded(): Promise<void> {
    await this.#wait("loaded");
  }

  /** Lets an engine in standby go on; `ready` tells how that went. */
  begin(inherited: Inherited, endpoints: readonly LastEndpoint[], mark: number): void {
    this.#post({ kind: "begin", inherited, endpoints, mark });
  }

  /** Resolves when the engine reads and sends nothing any more. */
  async pause(): Promise<void> {
    await this.#ask((id) => ({ kind: "pause", id }));
  }

  resume(): void {
    this.#post({ kind: "resume" });
  }

  /** Resolves when device and socket are open; rejects with the reason where they cannot be. */
  async ready(): Promise<EngineFeatures> {
    const report = await this.#wait("ready");
    if (report.kind !== "ready") throw unexpected(report);
    return report.features;
  }

  /** How long the engine's event loop has waited and worked. */
  loop(): LoopTime {
    return this.#port.loop();
  }

  /** A snapshot; callers that ask at the same time share one. */
  snapshot(): Promise<EngineSnapshot> {
    this.#snapshot ??= this.#askSnapshot().finally(() => {
      this.#snapshot = undefined;
    });
    return this.#snapshot;
  }

  /** Traffic and quality of every peer at this moment; cheap, unlike a snapshot. */
  async sample(): Promise<TunnelSample> {
    const report = await this.#ask((id) => ({ kind: "sample", id }));
    if (report.kind !== "sample") throw unexpected(report);
    return report.sample;
  }

  /** Takes the packet lines recorded since the last call. */
  async trace(): Promise<Trace> {
    const report = await this.#ask((id) => ({ kind: "trace", id }));
    if (report.kind !== "trace") throw unexpected(report);
    return { lines: report.lines, suppressed: report.suppressed };
  }

  /** Resolves when the engine's loop has come round to it. */
  async ping(): Promise<void> {
    await this.#ask((id) => ({ kind: "ping", id }));
  }

  /** Probes a peer; "lost" where no answer comes within `waitMs`. */
  async probe(peer: string, waitMs: number, startTimer: StartTimer): Promise<PingOutcome> {
    const id = this.#nextId;
    const answer = this.#ask(() => ({ kind: "probe", id, peer }));
    const cancel = startTimer(waitMs, () =>
      this.#settle(id, { kind: "probed", id, outcome: "lost" }),
    );
    const report = await answer.finally(cancel);
    if (report.kind !== "probed") throw unexpected(report);
    return report.outcome;
  }

  /** Gives an order about the speed test; what it is afterwards, or why it was not started. */
  async speed(
    order: SpeedOptions | "stop" | "look",
  ): Promise<SpeedSnapshot | SpeedRefusal | undefined> {
    const report = await this.#ask((id) => ({ kind: "speed", id, order }));
    if (report.kind !== "speed") throw unexpected(report);
    return report.speed;
  }

  apply(changes: readonly Change[]): void {
    this.#post({ kind: "apply", changes });
  }

  /** Starts a handshake with the peer. */
  rekey(peer: string): void {
    this.#post({ kind: "rekey", peer });
  }

  /** The fingerprints of each peer's keys. Takes the keys. */
  async nameKeys(peers: readonly KeyedPeer[]): Promise<readonly (readonly string[])[]> {
    const report = await this.#ask((id) => ({ kind: "name-keys", id, peers }));
    if (report.kind !== "key-names") throw unexpected(report);
    return report.names;
  }

  /** Applies a configuration's changes, all at once; why none was applied, or undefined. Takes the keys in them. */
  async reconfigure(request: Reconfiguration): Promise<string | undefined> {
    const report = await this.#ask((id) => ({ kind: "reconfigure", id, ...request }));
    if (report.kind !== "reconfigured") throw unexpected(report);
    return report.fault;
  }

  /**
   * Resolves when close frames are sent, keys wiped and descriptors closed. `let-go`: another process has the
   * descriptors too and goes on, so only nodes, which that process cannot call, are told.
   */
  async stop(how: "stop" | "let-go" = "stop"): Promise<void> {
    if (this.#end !== undefined) return;
    const stopped = this.#wait("stopped");
    this.#post({ kind: how });
    await stopped;
  }

  async #askSnapshot(): Promise<EngineSnapshot> {
    const report = await this.#ask((id) => ({ kind: "snapshot", id }));
    if (report.kind !== "snapshot") throw unexpected(report);
    return { snapshot: report.snapshot, counters: report.counters };
  }

  #ask(command: (id: number) => Command): Promise<Report> {
    const id = this.#nextId;
    this.#nextId += 1;
    const answer = this.#wait(id);
    this.#post(command(id));
    return answer;
  }

  #wait(key: Key): Promise<Report> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      this.#pending.set(key, { resolve, reject });
    });
  }

  #post(command: Command): void {
    if (this.#end === undefined) this.#port.post(command);
  }

  #receive(report: Report): void {
    switch (report.kind) {
      case "loaded":
      case "ready":
      case "stopped":
        this.#settle(report.kind, report);
        if (report.kind === "stopped") this.#refuse(new DaemonError("the engine has stopped"));
        break;
      case "snapshot":
      case "sample":
      case "trace":
      case "reconfigured":
      case "paused":
      case "pong":
      case "probed":
      case "speed":
      case "key-names":
        this.#settle(report.id, report);
        break;
      case "events":
        for (const event of report.events) this.#listener.event(event);
        this.#post({ kind: "acknowledge" });
        break;
      case "link":
        this.#listener.link(report.isUp);
        break;
      case "gso-refused":
        this.#listener.runRefused(report.remote, report.errno);
        break;
      case "fatal":
        this.#ended(new DaemonError(report.message, report.exitCode), report.detail);
        break;
      default:
        report satisfies never;
    }
  }

  #settle(key: Key, report: Report): void {
    this.#pending.get(key)?.resolve(report);
    this.#pending.delete(key);
  }

  #ended(error: DaemonError, detail: string | undefined): void {
    if (this.#end !== undefined) return;
    this.#refuse(error);
    this.#listener.ended(error, detail);
  }

  /** Nothing is answered any more. */
  #refuse(end: DaemonError): void {
    this.#end = end;
    for (const { reject } of this.#pending.values()) reject(end);
    this.#pending.clear();
  }
}

function unexpected(report: Report): DaemonError {
  return new DaemonError(`the engine answered '${report.kind}' out of turn`, EXIT.FAILURE);
}
