/**
 * A tunnel under attack beside legitimate traffic, and what the attack did to it.
 *
 *      left  ---- steady traffic, 8,000 packets of 1,400 bytes a second ---->  right  ---- attacker
 *
 * The right site is attacked. The traffic runs before, during and after, so that what it loses is compared with
 * what it loses without attack a moment before and after.
 */
import type { Daemon } from "../../scripts/netns/daemon.ts";
import type { Host, Lab } from "../../scripts/netns/lab.ts";
import { residentMiB } from "../../scripts/netns/proc.ts";
import { pause, until } from "../../scripts/netns/process.ts";
import type { Status } from "../../scripts/netns/status.ts";
import {
  ADDRESSES,
  addStranger,
  type Pair,
  type PairOptions,
  startPair,
} from "../../scripts/netns/topology.ts";
import { askRekey } from "../../src/daemon/control/control-client.ts";
import { DaemonError } from "../../src/daemon/failure.ts";
import { amount } from "../helpers/full.ts";
import { type FloodOrder, type FloodReport, flood, leadAnswersTo } from "./flood.ts";
import { startSteady, steadyClock } from "./steady.ts";

/** How long an attack lasts. */
export const SECONDS = amount({ quick: 2, short: 6, full: 60 });
const QUIET_MS = amount({ quick: 500, short: 2_000, full: 10_000 });
/** So long after an attack all is to be as before. */
const RECOVERY_SECONDS = amount({ quick: 0.5, short: 2, full: 2 });
const AFTER_SECONDS = amount({ quick: 0.5, short: 1, full: 1 });
export const TRAFFIC = { packetsPerSecond: 8_000, packetBytes: 1_400 } as const;
const REKEY_MS = 15_000;
const REST_MS = 5_000;

export interface FloodLab {
  readonly pair: Pair;
  readonly attacker: Host;
}

/** A tunnel that is up, and an attacker who gets every answer that has no other way. */
export async function openFloodLab(lab: Lab, options: PairOptions = {}): Promise<FloodLab> {
  const pair = await startPair(lab, options);
  const attacker = addStranger(pair.right.host);
  leadAnswersTo(pair.right.host);
  return { pair, attacker };
}

/** What an attack did. */
export interface Outcome {
  readonly reports: readonly FloodReport[];
  /** Share of the traffic that was lost: without attack, under it, and from two seconds after it on. */
  readonly lossQuiet: number;
  readonly loss: number;
  readonly lossAfter: number;
  /** What the slowest of 100 packets took, all in all. */
  readonly p99Ms: number;
  readonly grownMiB: number;
  /** Of the attacked site, before and after. */
  readonly before: Status;
  readonly after: Status;
}

/** Runs an attack beside the traffic. */
export async function besiege(
  { pair }: FloodLab,
  attack: () => Promise<readonly FloodReport[]>,
): Promise<Outcome> {
  const { left, right } = pair;
  const steady = await startSteady(left.host, right.host, ADDRESSES.right.inner4, TRAFFIC);
  const start = steadyClock();
  await pause(QUIET_MS);
  const before = await statusOf(right);
  const memory = residentMiB(right.child.pid);
  const from = steadyClock();
  const reports = await attack();
  const to = steadyClock();
  const grownMiB = residentMiB(right.child.pid) - memory;
  const after = await statusOf(right);
  await pause((to + RECOVERY_SECONDS + AFTER_SECONDS - steadyClock()) * 1_000);
  const traffic = await steady.stop();
  const back = to + RECOVERY_SECONDS;
  return {
    reports,
    lossQuiet: traffic.between(start, from).loss,
    // The attacker waits for its last answers.
    loss: traffic.between(from, to - 0.3).loss,
    lossAfter: traffic.between(back, back + AFTER_SECONDS).loss,
    p99Ms: traffic.p99Ms,
    grownMiB,
    before,
    after,
  };
}

/** One flood beside the traffic. */
export async function besiegeWith(lab: FloodLab, order: FloodOrder): Promise<Outcome> {
  return await besiege(lab, async () => [await flood(lab.attacker, lab.pair.right.host, order)]);
}

/** Starts a new session from the left and waits for it; returns the milliseconds that took. */
export async function rekey(pair: Pair): Promise<number> {
  const { sessions } = firstPeer(await statusOf(pair.left)).counters;
  const start = await until("a rested daemon", REST_MS, async () => {
    const asked = performance.now();
    const isTaken = await askRekey(pair.left.socketPath, "right").catch(refusedForNow);
    return isTaken === undefined ? undefined : asked;
  });
  const isNew = (status: Status) => firstPeer(status).counters.sessions > sessions;
  await pair.left.waitForStatus("a new session", isNew, REKEY_MS);
  return performance.now() - start;
}

/** A daemon takes one order a second for a peer. */
function refusedForNow(error: unknown): undefined {
  if (!(error instanceof DaemonError)) throw error;
}

/** Asks the control socket, without the start of a process. */
export async function statusOf(daemon: Daemon): Promise<Status> {
  return await daemon.waitForStatus("status", () => true);
}

export function firstPeer(status: Status): Status["peers"][number] {
  const [peer] = status.peers;
  if (peer === undefined) throw new Error("status has no peer");
  return peer;
}

/** Datagrams a second, and what came back. */
export function sentOf(reports: readonly FloodReport[]): {
  readonly kpps: number;
  readonly sent: number;
  readonly answers: number;
} {
  const sum = (pick: (report: FloodReport) => number) =>
    reports.reduce((total, report) => total + pick(report), 0);
  const sent = sum(({ sent }) => sent);
  return {
    kpps: sent / sum(({ seconds }) => seconds) / 1_000,
    sent,
    answers: sum((r) => r.answers),
  };
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

/** What was measured, in words. */
export function outcomeText(outcome: Outcome): string {
  const { kpps, answers } = sentOf(outcome.reports);
  const { loss, lossQuiet, lossAfter, grownMiB, before, after } = outcome;
  const computations = after.handshakeComputations - before.handshakeComputations;
  return [
    `${kpps.toFixed(0)} kpps: loss ${percent(loss)} (without ${percent(lossQuiet)}, after ${percent(lossAfter)})`,
    `${answers} answers`,
    `${computations} DH`,
    `RSS ${grownMiB >= 0 ? "+" : ""}${grownMiB.toFixed(1)} MB`,
  ].join(", ");
}
