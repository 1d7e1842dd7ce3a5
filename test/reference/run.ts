/**
 * One schedule from one seed: members, events by chance, and in the end a fair network in which all must heal.
 */
import { cpuUsage } from "node:process";
import { Random } from "../helpers/random.ts";
import { EVENTS, heal, moveHome, type Play, sendPacket } from "./events.ts";
import { Tally } from "./model/tally.ts";
import { Net } from "./net.ts";
import { type Member, newShape, type Shape, type ShapeOptions } from "./shape.ts";
import { Violation } from "./violation.ts";

/** What a schedule showed. */
export interface Outcome {
  readonly tally: Tally;
  /** Milliseconds of fair network until packets flow both ways between the hub and every site. */
  readonly recoveryMs: number;
  readonly virtualMs: number;
  readonly datagrams: number;
  readonly nonces: number;
}

export type Crypto = ShapeOptions["crypto"];

export interface RunOptions {
  readonly crypto?: Crypto;
  readonly replaced?: ShapeOptions["replaced"];
  /** Filled with what happened. */
  readonly lines?: string[];
}

/**
 * Within this time of fair network packets flow both ways, milliseconds: 15 s, for which a side goes on with a
 * session that the other does not have (rules 6 and 11); then at most three addresses in turn, one a slow retry of
 * 5 s and 20 % (rule 5); and a second for challenges and round trips.
 */
export const RECOVERY_MS = 34_000;
/** Between two packets each way while the network is fair. */
const PACING_MS = 500;

/** What became of a schedule; a failure is the rule that did not hold, or an exception. */
export interface Result {
  readonly outcome: Outcome | undefined;
  readonly failure: string | undefined;
  readonly cpuMs: number;
}

/** Plays the schedule of a seed and never throws. */
export function runSeed(seed: number, crypto: Crypto): Result {
  const start = cpuUsage();
  const spent = () => {
    const { user, system } = cpuUsage(start);
    return (user + system) / 1_000;
  };
  try {
    const outcome = runSchedule(seed, { crypto });
    return { outcome, failure: undefined, cpuMs: spent() };
  } catch (error) {
    const isViolation = error instanceof Violation;
    const failure = isViolation ? error.message : error instanceof Error ? error.stack : error;
    return { outcome: undefined, failure: String(failure), cpuMs: spent() };
  }
}

/** Plays the schedule of a seed; throws a Violation where a rule does not hold. */
export function runSchedule(seed: number, options: RunOptions = {}): Outcome {
  const { crypto = "stub", replaced, lines } = options;
  const tally = new Tally();
  const random = new Random(seed);
  const net = new Net(random, lines);
  const shape = newShape(net, { crypto, tally, ...(replaced && { replaced }) });
  const play: Play = { net, shape, random, isOn: true, packets: 0, pause: undefined };
  startAll(play);
  playEvents(play);
  const virtualMs = net.now;
  const recoveryMs = recover(play);
  net.advance(1_000);
  for (const { station } of membersOf(shape)) station.stop();
  const [repeat] = shape.ledger.repeats;
  if (repeat !== undefined) throw new Violation("nonce", `a nonce twice under one key: ${repeat}`);
  const { size: nonces } = shape.ledger;
  return { tally, recoveryMs, virtualMs, datagrams: net.seen.length, nonces };
}

function membersOf({ hub, sites }: Shape): readonly Member[] {
  return [hub, ...sites];
}

/** All at once, or one after another. */
function startAll({ net, random, shape }: Play): void {
  for (const { station } of shape.sites) {
    net.path(station, shape.hub.station);
    net.path(shape.hub.station, station);
  }
  const isAtOnce = random.chance(0.5);
  for (const { station } of membersOf(shape)) {
    if (isAtOnce) station.start();
    else net.in(random.between(0, 500), () => station.start());
  }
  net.advance(isAtOnce ? 0 : 500);
}

function playEvents(play: Play): void {
  const { net, random } = play;
  const events = EVENTS.filter(() => random.chance(0.6));
  const total = events.reduce((sum, [weight]) => sum + weight, 0);
  const count = 5 + random.below(10);
  for (let index = 0; index < count && total > 0; index += 1) {
    let at = random.between(0, total);
    const chosen = events.find(([weight]) => {
      at -= weight;
      return at < 0;
    });
    const name = chosen?.[1].name ?? "";
    net.trace(() => `-- ${name}`);
    chosen?.[1](play);
    net.advance(play.pause ?? gapMs(random));
    play.pause = undefined;
  }
}

/** Mostly short, sometimes long enough for sessions to age. */
function gapMs(random: Random): number {
  const choice = random.fraction();
  if (choice < 0.55) return random.between(0, 300);
  if (choice < 0.85) return random.between(300, 3_000);
  if (choice < 0.97) return random.between(3_000, 20_000);
  return random.between(20_000, 190_000);
}

/** The network is fair, everybody is there: how long until packets flow everywhere? */
function recover(play: Play): number {
  const { net, shape } = play;
  net.trace(() => "-- fair from here on");
  play.isOn = false;
  calm(play);
  const since = net.now;
  const due = new Set<string>();
  for (const { station } of shape.sites) due.add(`${station.name} out`).add(`${station.name} in`);
  const first = play.packets + 1;
  net.onDelivered = (station, packet) => {
    if (packet.number < first) return;
    const isAtHub = station === shape.hub.station;
    const site = shape.sites.find(({ inner }) => inner === (isAtHub ? packet.from : packet.to));
    if (site !== undefined) due.delete(`${site.station.name} ${isAtHub ? "out" : "in"}`);
  };
  for (let round = 0; round * PACING_MS < RECOVERY_MS; round += 1) {
    for (const site of shape.sites) {
      sendPacket(play, site, shape.hub);
      sendPacket(play, shape.hub, site);
    }
    if (net.until(() => due.size === 0, since + (round + 1) * PACING_MS)) return net.now - since;
  }
  throw new Violation("recovery", `not within ${RECOVERY_MS} ms: ${[...due].join(", ")}`);
}

/** Everybody runs, is where the others expect it, and is told so. */
function calm(play: Play): void {
  const { shape } = play;
  heal(play);
  for (const member of membersOf(shape)) {
    const { station } = member;
    station.isFrozen = false;
    moveHome(member);
    if (station.running === undefined) station.start();
    if (member.configured.length > 0) station.resolve(member.configured);
  }
}
