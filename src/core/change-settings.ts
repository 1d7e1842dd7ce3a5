/**
 * What holds for all peers, changed while the tunnel runs: limits, inner addresses, the MTU.
 *
 * Sessions stay. Budgets begin full, as at the start; a table of sources of another size begins empty.
 */

import { LEAST_INNER_MTU } from "./constants.ts";
import { SourceLimiter } from "./inbound/limiter.ts";
import type { LimitOptions, PathMtuOptions } from "./options.ts";
import { Path } from "./path/path.ts";
import { searchPath } from "./path/path-mtu.ts";
import { releaseStrange } from "./peers/claims.ts";
import { everyPeer } from "./peers/members.ts";
import { sendConfirmation } from "./session/control.ts";
import { handshakeBudgets, type State } from "./state.ts";
import { after, type Instant } from "./time.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Sets what strangers and peers may cause. */
export function setLimits(state: State, limits: LimitOptions, now: Instant): void {
  const { handshakesPerSecond: rate, handshakeBurst: burst } = limits;
  state.limits = limits;
  state.sources = new SourceLimiter(limits, state.crypto.random(16));
  state.handshakes = handshakeBudgets(limits, now);
  for (const peer of everyPeer(state)) {
    if (peer.kind !== "group") peer.handshakeBudget = new TokenBucket(rate, burst, now);
    peer.reservedLane = new TokenBucket(rate, burst, now);
  }
}

/** Sets the own inner addresses; a hub is told of them, and no site keeps one of them. */
export function setInnerAddresses(
  state: State,
  addresses: readonly Uint8Array[],
  now: Instant,
): void {
  state.innerAddresses = addresses;
  for (const peer of state.peers.values()) {
    const { kind, current, endpoint, group } = peer;
    if (group !== undefined) releaseStrange(state, group);
    if (kind !== "hub" || current === undefined || endpoint === undefined) continue;
    sendConfirmation(state, current, endpoint, now);
  }
}

/** Sets a fixed MTU for every peer, or with `pathMtu` has each path asked anew, up to `mtu`. */
export function setMtu(
  state: State,
  mtu: number,
  pathMtu: PathMtuOptions | undefined,
  now: Instant,
): void {
  const wasAuto = state.pathMtu.isAuto;
  state.mtu = mtu;
  state.pathMtu.isAuto = pathMtu !== undefined;
  state.pathMtu.linkMtu = pathMtu?.linkMtu ?? Number.POSITIVE_INFINITY;
  state.pathMtu.raiseMs = pathMtu?.raiseMs ?? Number.POSITIVE_INFINITY;
  for (const peer of everyPeer(state)) {
    const { timers } = peer;
    if (wasAuto && pathMtu !== undefined) {
      if (timers.isSet("raise")) timers.set("raise", after(now, pathMtu.raiseMs));
      continue;
    }
    peer.path = pathMtu === undefined ? undefined : new Path();
    peer.mtu = pathMtu === undefined ? mtu : LEAST_INNER_MTU;
    peer.carries = peer.mtu;
    timers.clear("path");
    timers.clear("raise");
    if (peer.current !== undefined) searchPath(peer, now);
  }
}
