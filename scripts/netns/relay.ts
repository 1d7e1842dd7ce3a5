/**
 * The lab's side of relay.c: a third host on the path between two sites. Node's own clocks and timers are too
 * coarse for what measures delays, so the relay is a C program, compiled for each lab.
 *
 *   left eth0 192.0.2.1 ---- 192.0.2.2 eth0 [relay] eth1 203.0.113.1 ---- 203.0.113.2 eth0 right
 *
 * The left site is given the relay's address as its endpoint, as a site behind NAT would be.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { makeKey } from "./daemon.ts";
import { type Host, type Lab, wire } from "./lab.ts";
import { type Child, ROOT, runNow } from "./process.ts";
import { ADDRESSES, bringUp, type Pair, type PairOptions, PORT, sideDaemon } from "./topology.ts";

/** From the left site to the right one, or back. */
type Direction = "forward" | "backward";

/** What the relay does to each datagram. */
export interface Disturbance {
  /** Share lost, 0 to 1. */
  readonly loss: number;
  /** The direction that loses; both unless told. */
  readonly lossy?: Direction;
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
  | { readonly kind: "replay"; readonly direction: Direction }
  | { readonly kind: "report" };

/** Datagrams until now. */
export interface RelayReport {
  /** From the left site, and from the right one. */
  readonly forward: number;
  readonly backward: number;
  /** Of those, what it did not send on. */
  readonly lostForward: number;
  readonly lostBackward: number;
  /**
   * From a datagram's arrival in the kernel to the end of its send, there and back together, of all that were sent
   * on since the last disturbance was ordered; milliseconds, 0 where there were none.
   */
  readonly meanDelayMs: number;
  readonly leastDelayMs: number;
  /** Recorded datagrams by message type. */
  readonly recordedForward: Readonly<Record<number, number>>;
  readonly recordedBackward: Readonly<Record<number, number>>;
}

/** A running relay. */
export class Relay {
  readonly #child: Child;
  readonly #answers: AsyncIterator<string>;

  constructor(child: Child) {
    const { stdin, stdout } = child.process;
    if (stdin === null || stdout === null) throw new Error("a relay needs pipes");
    this.#child = child;
    this.#answers = createInterface(stdout)[Symbol.asyncIterator]();
    // One that has ended takes no order: the missing answer tells.
    stdin.on("error", () => undefined);
  }

  /** Carries out an order and returns the counters afterwards. */
  async order(order: RelayOrder): Promise<RelayReport> {
    this.#child.process.stdin?.write(`${orderLine(order)}\n`);
    return await this.answer();
  }

  /** The next answer; the first comes when the relay is ready. */
  async answer(): Promise<RelayReport> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error(`ended without an answer: ${this.#child.stderr}`);
    const { forward, backward } = JSON.parse(value) as Record<Direction, WayReport>;
    return {
      forward: forward.passed,
      backward: backward.passed,
      lostForward: forward.lost,
      lostBackward: backward.lost,
      meanDelayMs: forward.meanDelayMs + backward.meanDelayMs,
      leastDelayMs: forward.leastDelayMs + backward.leastDelayMs,
      recordedForward: forward.recorded,
      recordedBackward: backward.recorded,
    };
  }
}

/** What relay.c says of one direction. */
interface WayReport {
  readonly passed: number;
  readonly lost: number;
  readonly meanDelayMs: number;
  readonly leastDelayMs: number;
  readonly recorded: Readonly<Record<number, number>>;
}

function orderLine(order: RelayOrder): string {
  switch (order.kind) {
    case "disturb": {
      const { loss, lossy, delayMs, jitterMs, duplicate, seed } = order.disturbance;
      const losses = [lossy === "backward" ? 0 : loss, lossy === "forward" ? 0 : loss];
      return ["disturb", ...losses, delayMs, jitterMs, duplicate, seed].join(" ");
    }
    case "open":
      return order.isOpen ? "open" : "close";
    case "replay":
      return `replay ${order.direction}`;
    case "report":
      return "report";
    default:
      return order satisfies never;
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
  const path = [ADDRESSES.right.outer4, String(PORT), "203.0.113.1", "203.0.113.2", String(PORT)];
  const relay = new Relay(middle.start([compile(lab), ...path], { hasInput: true }));
  await relay.answer();
  return { left, middle, right, relay };
}

/** The program, in the lab's folder; with the compiler and the warnings of scripts/build-native. */
function compile(lab: Lab): string {
  const program = join(lab.dir, "relay-program");
  const warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"];
  const flags = ["-std=c17", "-O2", ...warnings, "-D_GNU_SOURCE", "-o", program];
  runNow([process.env["CC"] ?? "cc", ...flags, join(ROOT, "scripts/netns/relay.c")]);
  return program;
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
