/**
 * The lab's side of relay-agent.ts: a third host on the path between two sites.
 *
 *   left eth0 192.0.2.1 ---- 192.0.2.2 eth0 [relay] eth1 203.0.113.1 ---- 203.0.113.2 eth0 right
 *
 * The left site is given the relay's address as its endpoint, as a site behind NAT would be.
 */
import { join } from "node:path";
import { makeKey } from "./daemon.ts";
import { type Host, type Lab, wire } from "./lab.ts";
import { type Child, nextMessage, ROOT } from "./process.ts";
import { ADDRESSES, bringUp, type Pair, type PairOptions, PORT, sideDaemon } from "./topology.ts";

/** What the relay does to each datagram. */
export interface Disturbance {
  /** Share lost, 0 to 1. */
  readonly loss: number;
  /** The direction that loses; both unless told. */
  readonly lossy?: "forward" | "backward";
  readonly delayMs: number;
  /** Up to so much more, even spread: reorders. */
  readonly jitterMs: number;
  /** Share sent twice, 0 to 1. */
  readonly duplicate: number;
  /** 32-bit number, not zero. */
  readonly seed: number;
}

export type RelayOrder =
  | { readonly kind: "disturb"; readonly disturbance: Disturbance }
  /** A closed relay still records, and sends nothing on. */
  | { readonly kind: "open"; readonly isOpen: boolean }
  | { readonly kind: "replay"; readonly direction: "forward" | "backward" }
  | { readonly kind: "report" };

/** Datagrams until now. */
export interface RelayReport {
  /** From the left site, and from the right one. */
  readonly forward: number;
  readonly backward: number;
  /** Of those, what it did not send on. */
  readonly lostForward: number;
  readonly lostBackward: number;
  /** What the delays there and back were in truth, together, milliseconds; 0 and infinite where there were none. */
  readonly meanDelayMs: number;
  readonly leastDelayMs: number;
  /** Recorded datagrams by message type. */
  readonly recordedForward: Readonly<Record<number, number>>;
  readonly recordedBackward: Readonly<Record<number, number>>;
}

/** A running relay. */
export class Relay {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  /** Carries out an order and returns the counters afterwards. */
  async order(order: RelayOrder): Promise<RelayReport> {
    const answer = nextMessage<RelayReport>(this.#child);
    this.#child.process.send(order);
    return await answer;
  }
}

/** Three hosts in a row; the middle one relays UDP port 1194. */
export async function relayedHosts(lab: Lab): Promise<{
  readonly left: Host;
  readonly middle: Host;
  readonly right: Host;
  readonly relay: Relay;
}> {
  const left = lab.addHost("left");
  const middle = lab.addHost("relay");
  const right = lab.addHost("right");
  wire(
    { host: left, device: "eth0", addresses: [`${ADDRESSES.left.outer4}/24`] },
    { host: middle, device: "eth0", addresses: [`${ADDRESSES.right.outer4}/24`] },
  );
  wire(
    { host: middle, device: "eth1", addresses: ["203.0.113.1/24"] },
    { host: right, device: "eth0", addresses: ["203.0.113.2/24"] },
  );
  const agent = join(ROOT, "scripts/netns/relay-agent.ts");
  const path = [ADDRESSES.right.outer4, String(PORT), "203.0.113.1", "203.0.113.2", String(PORT)];
  const command = [process.execPath, "--import", "tsx", agent, ...path];
  const child = middle.start(command, { hasChannel: true });
  await nextMessage<RelayReport>(child);
  return { left, middle, right, relay: new Relay(child) };
}

/** A tunnel through a relay, up; the right site learns the relay's address. */
export async function relayedPair(
  lab: Lab,
  options: Pick<PairOptions, "left" | "right"> & { readonly disturbance?: Disturbance } = {},
): Promise<{ readonly pair: Pair; readonly relay: Relay; readonly middle: Host }> {
  const hosts = await relayedHosts(lab);
  const { disturbance } = options;
  if (disturbance !== undefined) await hosts.relay.order({ kind: "disturb", disturbance });
  const keyFile = await makeKey(lab.dir);
  const pair: Pair = {
    left: sideDaemon(hosts.left, "left", keyFile, options.left),
    right: sideDaemon(hosts.right, "right", keyFile, options.right),
    keyFile,
  };
  await Promise.all([pair.left.start(), pair.right.start()]);
  await bringUp(pair);
  return { pair, relay: hosts.relay, middle: hosts.middle };
}
