/**
 * Who is told how a tunnel fares, beside the log: the service manager and the operator's programs.
 *
 * They only listen: whatever they do, packets and control side go on. One that throws is logged, and the others are told
 * all the same. At the stop each has a bounded time.
 */
import type { TunnelEvent, TunnelSnapshot } from "../core/options.ts";
import type { EngineFeatures } from "../engine/messages.ts";
import type { Log } from "../log.ts";
import { messageOf } from "./failure.ts";

/** A tunnel whose device has its addresses and routes. */
export interface ReadyTunnel {
  readonly engine: ObservedEngine;
  /** Of the device and the socket. */
  readonly descriptors: EngineFeatures["descriptors"];
  /** Bytes. */
  readonly mtu: number;
}

/** The part of the engine's link that is used. */
export interface ObservedEngine {
  ping(): Promise<void>;
  snapshot(): Promise<{ readonly snapshot: Pick<TunnelSnapshot, "peers"> }>;
}

/** One who is told. */
export interface Observer {
  ready(tunnel: ReadyTunnel): void;
  event(event: TunnelEvent): void;
  /** The configuration is read anew, or has been, whatever came of it. */
  reloading?(isUnderWay: boolean): void;
  /**
   * The tunnel ends, or goes on in another process; undefined where nothing has to be waited for, else resolves in
   * bounded time.
   */
  stopping(isHandedOver: boolean): Promise<void> | undefined;
}

/** All of them as one, which neither throws nor rejects. */
export function together(observers: readonly Observer[], log: Pick<Log, "error">): Observer {
  const failed = (error: unknown) => log.error(`telling of the tunnel failed: ${messageOf(error)}`);
  const guarded = <Result>(tell: () => Result): Result | undefined => {
    try {
      return tell();
    } catch (error) {
      failed(error);
      return undefined;
    }
  };
  const tellEach = (tell: (one: Observer) => void) => {
    for (const one of observers) guarded(() => tell(one));
  };
  return {
    ready: (tunnel) => tellEach((one) => one.ready(tunnel)),
    event: (event) => tellEach((one) => one.event(event)),
    reloading: (isUnderWay) => tellEach((one) => one.reloading?.(isUnderWay)),
    stopping: (isHandedOver) => {
      const waits = observers
        .map((one) => guarded(() => one.stopping(isHandedOver)))
        .filter(isWait)
        .map((wait) => wait.catch(failed));
      return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
    },
  };
}

function isWait(wait: Promise<void> | undefined): wait is Promise<void> {
  return wait !== undefined;
}
