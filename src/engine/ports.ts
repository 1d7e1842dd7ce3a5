/**
 * What the engine's loop needs of the world: a device, a socket, readiness, clocks and one timer.
 *
 * `worker.ts` fills these with io; tests fill them with fakes. Nothing here blocks. Errors that pass are
 * counted behind these; an error that is a bug is thrown and ends the engine.
 */
import type { MessageBatch, PacketBatch } from "../core/batch.ts";
import type { Instant } from "../core/time.ts";

/** The TUN device; `io/tun.ts` has the real one. */
export interface TunPort {
  readonly name: string;
  /** What the last read or write met; "gone" is final. */
  readonly state: "up" | "down" | "gone";
  /** Fills rows from 0 with packets of up to `room` bytes. Returns rows, which is `batch.count`; 0: none waits. */
  read(batch: PacketBatch, room: number): number;
  /** Writes all rows. Returns how many rows the kernel refused, each a packet or a part of one. */
  write(batch: PacketBatch): number;
  /** Sets again what another process with the same device may have set. */
  setAgain(): void;
  close(): void;
}

/** The UDP socket; `io/udp.ts` has the real one. */
export interface UdpPort {
  /** Fills rows from 0, row i at i * `stride`. Returns rows, which is `batch.count`; 0: none waits. */
  receive(batch: MessageBatch, stride: number): number;
  /** Sends all rows. Returns how many datagrams the kernel refused. */
  send(batch: MessageBatch, now: Instant): number;
  /** Binds to the configured device anew, where there is one. */
  bindDevice(): void;
  /** Sets the firewall mark (SO_MARK; 0: none); why it could not, as the end of a sentence. */
  setMark(mark: number): string | undefined;
  /** Sets again what another process with the same socket may have set. */
  setAgain(): void;
  /** Lets the kernel drop what is no message, or no longer; false: it cannot. */
  setShield(isUp: boolean): boolean;
  /** Datagrams that the kernel dropped unread. */
  readonly unread: number;
  /** Runs that were taken apart because the kernel refused them. */
  readonly gsoFallbacks: number;
  /** Remote addresses that get single datagrams for a while. */
  plainRoutes(now: Instant): number;
  /** The last run that was refused since the last call. */
  takeRefusedRun(): { readonly remote: Uint8Array; readonly errno: string } | undefined;
  /** Errors met so far, by errno name. */
  errorCounts(): Readonly<Record<string, number>>;
  close(): void;
}

/** Readiness of one descriptor (level-triggered). */
export interface Watch {
  pause(): void;
  /** Also starts a watch anew that an error has stopped. */
  resume(): void;
  close(): void;
}

/** Calls while there is something to read; `isBroken`: the descriptor reports an error, the watch has stopped. */
export type OnReady = (isBroken: boolean) => void;

/** Clocks and the one timer; `io/clock.ts` has the real ones. */
export interface EngineClock {
  now(): Instant;
  /** Microseconds since 1970 by the wall clock. */
  wallMicros(): number;
  /** Calls once, at or after `at`, in place of what was armed before; `NEVER` only disarms. */
  armTimer(at: Instant, callback: () => void): void;
  disarmTimer(): void;
}

export interface EngineIo {
  readonly tun: TunPort;
  readonly udp: UdpPort;
  readonly clock: EngineClock;
  watchTun(onReady: OnReady): Watch;
  watchUdp(onReady: OnReady): Watch;
}
