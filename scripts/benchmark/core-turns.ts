/**
 * One batch through a tunnel as the engine moves it, with the timers and polls around it, timed.
 *
 * The same order of calls as engine/engine.ts, because cost that grows with the number of peers could
 * hide in any of them. System calls are left out; what they would fill is filled before the clock starts.
 */
import type { Tunnel } from "../../src/core/tunnel.ts";
import type { VirtualClock } from "./core-ends.ts";

/** Handles the `count` packets that lie in the batch; `outgoing` has what came of it. Returns milliseconds. */
export function turnOutbound(tunnel: Tunnel, clock: VirtualClock, count: number): number {
  clock.tick();
  const { now, wallMicros } = clock;
  const { packets } = tunnel.buffers;
  const started = performance.now();
  tunnel.setWallClock(wallMicros);
  tunnel.handleTimeout(now);
  tunnel.pollTransmit(now);
  packets.count = count;
  tunnel.handlePackets(now);
  tunnel.nextTimeout();
  const took = performance.now() - started;
  if (packets.count > 0) throw new Error("a batch must fit into one call");
  return took;
}

/** Handles the `count` datagrams that lie in the batch; `delivered` has what came of it. Returns milliseconds. */
export function turnInbound(tunnel: Tunnel, clock: VirtualClock, count: number): number {
  clock.tick();
  const { now, wallMicros } = clock;
  const started = performance.now();
  tunnel.setWallClock(wallMicros);
  tunnel.handleTimeout(now);
  tunnel.pollTransmit(now);
  tunnel.buffers.datagrams.count = count;
  tunnel.handleDatagrams(now);
  tunnel.pollTransmit(now);
  tunnel.nextTimeout();
  return performance.now() - started;
}

/** The frame of both, without a tunnel. */
export function noTurn(clock: VirtualClock): number {
  clock.tick();
  const { now, wallMicros } = clock;
  const started = performance.now();
  if (now > wallMicros) throw new Error("the clock is wrong");
  return performance.now() - started;
}
