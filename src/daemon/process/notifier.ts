/**
 * What the service manager is told (man 3 sd_notify): ready, status, reloading, stopping, alive.
 *
 * Without NOTIFY_SOCKET nothing is sent. "Alive" is said for the engine, which moves the packets: only after its loop
 * has answered since the last time, so that a manager restarts a tunnel whose engine hangs as well as one whose
 * control side does. The trap: the variables must not reach other programs, which would speak for this one.
 */
import type { TunnelEvent, TunnelSnapshot } from "../../core/options.ts";
import { SECOND_MS } from "../../core/time.ts";
import type { Native } from "../../io/native.ts";
import type { Log } from "../../log.ts";
import { messageOf } from "../failure.ts";
import type { ObservedEngine, Observer, ReadyTunnel } from "../observers.ts";
import { Repeats, type StartTimer } from "../repeats.ts";
import { KEPT_UDP_NAME } from "../succession/inherited.ts";

/** Milliseconds from a change to the status line that tells of it, and so between two of them. */
export const STATUS_GATHER_MS = 2 * SECOND_MS;
const MICROSECONDS_PER_MS = 1000;

/** Where the manager listens, and how often it wants to hear; taken out of the environment. */
export interface ServiceManager {
  readonly path: string;
  /** Milliseconds within which it must hear that the tunnel lives; undefined: it does not ask. */
  readonly watchdogMs: number | undefined;
}

/** What a notifier needs. */
export interface NotifierSetting {
  readonly manager: ServiceManager | undefined;
  readonly native: Pick<Native, "notify" | "errnoName">;
  readonly startTimer: StartTimer;
  /** CLOCK_MONOTONIC in microseconds. */
  readonly monotonicMicros: () => bigint;
  readonly log: Log;
}

/** The manager that `env` names for process `pid`; its variables are removed. undefined: none. */
export function takeServiceManager(
  env: Record<string, string | undefined>,
  pid: number,
): ServiceManager | undefined {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: micros, WATCHDOG_PID: watched } = env;
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete env[name];
  if (path === undefined || path === "") return undefined;
  const isAsked = watched === undefined || watched === String(pid);
  const watchdogMs = isAsked ? Math.floor(Number(micros) / MICROSECONDS_PER_MS) : 0;
  return { path, watchdogMs: watchdogMs > 0 ? watchdogMs : undefined };
}

/** Speaks with the service manager. */
export class Notifier implements Observer {
  readonly #setting: NotifierSetting;
  readonly #repeats: Repeats;
  #engine: ObservedEngine | undefined;
  #cancelStatus: (() => void) | undefined;
  #isSilent = false;

  constructor(setting: NotifierSetting) {
    this.#setting = setting;
    this.#repeats = new Repeats(setting.startTimer, (error) => this.#failed(error));
  }

  /** The tunnel is up: addresses and routes are on its device. The manager gets its descriptors to keep. */
  ready({ engine, descriptors }: ReadyTunnel): void {
    const { manager } = this.#setting;
    if (manager === undefined) return;
    this.#engine = engine;
    this.#keep(descriptors);
    this.#send("READY=1");
    this.#statusChanged();
    if (manager.watchdogMs === undefined) return;
    this.#repeats.every(manager.watchdogMs / 2, () => this.#alive(engine));
  }

  /** Takes what an event says of how many peers are up. */
  event({ kind }: TunnelEvent): void {
    if (kind === "session" || kind === "down" || kind === "lost") this.#statusChanged();
  }

  reloading(isUnderWay: boolean): void {
    const since = `RELOADING=1\nMONOTONIC_USEC=${this.#setting.monotonicMicros()}`;
    this.#send(isUnderWay ? since : "READY=1");
  }

  /** The tunnel ends: nothing is sent after that. */
  stopping(): undefined {
    this.#repeats.close();
    this.#cancelStatus?.();
    this.#engine = undefined;
    this.#send("STOPPING=1");
    this.#isSilent = true;
  }

  /** For the next process, if this one ends in whatever way (FDSTORE): the device and its routes then stay. */
  #keep({ tun, udp }: ReadyTunnel["descriptors"]): void {
    // A device that is down reports an error to whoever polls it: that is no reason to let it go.
    this.#send("FDSTORE=1\nFDPOLL=0\nFDNAME=iptun-tun", [tun]);
    this.#send(`FDSTORE=1\nFDPOLL=0\nFDNAME=${KEPT_UDP_NAME}`, [udp]);
  }

  /** Waits for the engine as long as that takes: meanwhile the manager hears nothing. */
  async #alive(engine: ObservedEngine): Promise<void> {
    await engine.ping();
    this.#send("WATCHDOG=1");
  }

  #statusChanged(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#cancelStatus ??= this.#setting.startTimer(STATUS_GATHER_MS, () => {
      this.#cancelStatus = undefined;
      this.#sendStatus(engine).catch((error: unknown) => this.#failed(error));
    });
  }

  async #sendStatus(engine: ObservedEngine): Promise<void> {
    const { snapshot } = await engine.snapshot();
    this.#send(`STATUS=${statusText(snapshot)}`);
  }

  #send(text: string, descriptors: readonly number[] = []): void {
    const { manager, native, log } = this.#setting;
    if (manager === undefined || this.#isSilent) return;
    const encoder = new TextEncoder();
    const status = native.notify(
      encoder.encode(manager.path),
      encoder.encode(text),
      Int32Array.from(descriptors),
    );
    if (status < 0) log.debug(`telling the service manager ${text}: ${native.errnoName(status)}`);
  }

  /** The engine's end refuses what waits for it; its reason is reported elsewhere. */
  #failed(error: unknown): void {
    this.#setting.log.debug(messageOf(error));
  }
}

function statusText({ peers }: Pick<TunnelSnapshot, "peers">): string {
  const hosts = peers.filter(({ kind }) => kind !== "group");
  const up = hosts.filter(({ state }) => state === "up").length;
  return `${up} of ${hosts.length} peers up`;
}
