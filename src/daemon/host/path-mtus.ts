/**
 * The MTU of the device and of the routes into it, from what the path of each peer carries.
 *
 * The device gets the least of all peers, because a packet for any of them may leave by it; a route into it
 * has the MTU of its own peer where that is larger. Sites of a group share their hub's routes, so they count
 * for the device only, and only while they are there. Peers come up together, so changes are gathered a moment.
 */

import { LEAST_INNER_MTU } from "../../core/constants.ts";
import type { TunnelEvent } from "../../core/options.ts";
import { formatPrefix, type Prefix } from "../../core/prefix.ts";
import type { StartTimer } from "../repeats.ts";
import type { DeviceMtu } from "./network-plan.ts";

/** Milliseconds for which changes are gathered. */
export const GATHER_MS = 20;

/** A configured peer with the prefixes that are routed to it. */
export interface RoutedPeer {
  readonly name: string;
  readonly allowedIps: readonly Prefix[];
}

/** What is known of every path. */
export class PathMtus {
  #peers: readonly RoutedPeer[];
  readonly #mtus = new Map<string, number>();
  readonly #startTimer: StartTimer;
  readonly #changed: (mtu: DeviceMtu) => void;
  #cancel: (() => void) | undefined;

  /** `changed` is called with what is wanted from then on, which may be what was wanted before. */
  constructor(
    peers: readonly RoutedPeer[],
    startTimer: StartTimer,
    changed: (mtu: DeviceMtu) => void,
  ) {
    this.#peers = peers;
    this.#startTimer = startTimer;
    this.#changed = changed;
  }

  /** Takes what an event says of a path. */
  event(event: TunnelEvent): void {
    if (event.kind === "mtu") this.#mtus.set(event.peer, event.mtu);
    // A configured peer comes back by the same path, as far as one can know.
    else if (event.kind !== "down" || this.#isConfigured(event.peer)) return;
    else if (!this.#mtus.delete(event.peer)) return;
    this.#cancel ??= this.#startTimer(GATHER_MS, () => {
      this.#cancel = undefined;
      this.#changed(this.wanted());
    });
  }

  /** Other peers, or prefixes of them; `isKept`: what is known of the paths of those that stay still holds. */
  setPeers(peers: readonly RoutedPeer[], isKept: boolean): void {
    this.#peers = peers;
    for (const name of this.#mtus.keys()) {
      // Sites of a group are no peers of the configuration: "group/site".
      const entry = name.split("/", 1)[0] ?? name;
      if (!isKept || !this.#isConfigured(entry)) this.#mtus.delete(name);
    }
  }

  /** Nothing is told any more. */
  close(): void {
    this.#cancel?.();
  }

  /** What the device and the routes into it are to have. */
  wanted(): DeviceMtu {
    const mtu = this.#mtus.size === 0 ? LEAST_INNER_MTU : Math.min(...this.#mtus.values());
    const routes = this.#peers.flatMap(({ name, allowedIps }) => {
      const own = this.#mtus.get(name) ?? mtu;
      return own === mtu ? [] : allowedIps.map((prefix) => [formatPrefix(prefix), own] as const);
    });
    return { mtu, routeMtus: new Map(routes) };
  }

  #isConfigured(peer: string): boolean {
    return this.#peers.some(({ name }) => name === peer);
  }
}
