/**
 * The lab's side of steady.c: legitimate traffic from one host to another, and what of it arrived at any time.
 */
import type { Host } from "../../scripts/netns/lab.ts";
import { type Child, expectSuccess, pause } from "../../scripts/netns/process.ts";
import { compiled } from "./compile.ts";

const PORT = 4000;
/** Headers of IPv4 and UDP inside. */
const HEADER_BYTES = 28;
const SLICES_PER_SECOND = 10;
/** Time for the last datagrams to arrive. */
const SETTLE_MS = 500;

export interface SteadyOptions {
  readonly packetsPerSecond: number;
  /** Length of each IP packet. */
  readonly packetBytes: number;
}

/** Now, on the clock by which slices are counted; seconds. */
export function steadyClock(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

/** Traffic that runs. */
export class Steady {
  readonly #sender: Child;
  readonly #receiver: Child;

  constructor(sender: Child, receiver: Child) {
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** Ends the traffic and tells what became of it. */
  async stop(): Promise<SteadyResult> {
    const sent = reportOf(expectSuccess(await this.#sender.stop(), this.#sender.command));
    await pause(SETTLE_MS);
    const arrived = reportOf(expectSuccess(await this.#receiver.stop(), this.#receiver.command));
    return new SteadyResult(sent, arrived);
  }
}

interface Slices {
  /** Number of the first slice since the clock began. */
  readonly first: number;
  readonly slices: readonly number[];
  readonly p99Ms: number;
}

/** What was sent and what of it arrived, by the time of sending. */
export class SteadyResult {
  readonly #sent: Slices;
  readonly #arrived: Slices;
  /** How long the slowest of 100 took, milliseconds. */
  readonly p99Ms: number;

  constructor(sent: Slices, arrived: Slices) {
    this.#sent = sent;
    this.#arrived = arrived;
    this.p99Ms = arrived.p99Ms;
  }

  /** Of what was sent between two times of `steadyClock`, whole slices only. */
  between(from: number, to: number): { readonly sent: number; readonly loss: number } {
    const [first, last] = [
      Math.ceil(from * SLICES_PER_SECOND),
      Math.floor(to * SLICES_PER_SECOND) - 1,
    ];
    const sent = sum(this.#sent, first, last);
    return { sent, loss: sent === 0 ? Number.NaN : 1 - sum(this.#arrived, first, last) / sent };
  }
}

/** Starts traffic from `from` to `address` of `to`. */
export async function startSteady(
  from: Host,
  to: Host,
  address: string,
  { packetsPerSecond, packetBytes }: SteadyOptions,
): Promise<Steady> {
  const program = compiled(from.lab, "steady");
  const receiver = to.start([program, "receive", address, String(PORT)]);
  await receiver.waitForOutput(/ready/);
  const payload = packetBytes - HEADER_BYTES;
  const words = [address, String(PORT), String(packetsPerSecond), String(payload)];
  const sender = from.start([program, "send", ...words]);
  await sender.waitForOutput(/ready/);
  return new Steady(sender, receiver);
}

function reportOf(output: string): Slices {
  return JSON.parse(output.slice(output.indexOf("{"))) as Slices;
}

function sum({ first, slices }: Slices, from: number, to: number): number {
  return slices
    .slice(Math.max(0, from - first), Math.max(0, to - first + 1))
    .reduce((total, count) => total + count, 0);
}
