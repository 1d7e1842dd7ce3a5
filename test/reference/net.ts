/**
 * The network between stations on a virtual clock: paths that lose, delay, hold back and double; and Eve.
 *
 * It is a leaner World (test/sim/world.ts): nothing is put into words unless somebody traces. Everything a
 * host sends is kept, with what the model knows of it, so that Eve can replay any of it from anywhere.
 */

import type { Instant } from "../../src/core/time.ts";
import type { Random } from "../helpers/random.ts";
import { Schedule } from "../sim/schedule.ts";
import { type Address, addressText, ipOf } from "./model/address.ts";
import { remarked } from "./model/ecn.ts";
import type { Packet, Sent } from "./model/records.ts";
import type { Output } from "./rows.ts";
import type { Ground, Station } from "./station.ts";
import { Violation } from "./violation.ts";
import { WireWatch } from "./wire-watch.ts";

/** A datagram as it was sent, or as Eve made it. */
export interface Flight {
  readonly from: Address;
  readonly to: Address;
  readonly bytes: Uint8Array;
  readonly tos: number;
  readonly sent: Sent | undefined;
}

/** One direction between two stations; milliseconds and probabilities. */
export interface Path {
  loss: number;
  delay: number;
  jitter: number;
  double: number;
  hold: number;
  /** A message type that Eve takes out, and one that she holds back. */
  blocked: number | undefined;
  held: number | undefined;
  /** Where Eve lets answers to path challenges come from. */
  disguise: Address | undefined;
}

/** 2026-01-01 in microseconds since 1970. */
const WALL_START_MICROS = 1_767_225_600_000_000;
/** Steps of one schedule, and rounds at one instant, before it counts as endless. */
const STEPS = 200_000;
const ROUNDS_AT_INSTANT = 300;
/** A path response of 9 bytes as a datagram; a challenge and a configured keepalive are as long. */
const PATH_ANSWER_BYTES = 41;
/** How long a datagram that is held back waits, milliseconds. */
const HOLD_MS = 600;

export class Net implements Ground {
  readonly random: Random;
  readonly stations: Station[] = [];
  readonly watch: WireWatch;
  /** What hosts sent, oldest first; and what of it never arrived. */
  readonly seen: Flight[] = [];
  readonly lost: Flight[] = [];
  now = 0;
  hint = -1;
  steps = 0;
  /** Called for each packet that comes out of a tunnel. */
  onDelivered: (station: Station, packet: Packet) => void = () => {};
  readonly #queue = new Schedule<() => void>();
  readonly #paths = new Map<string, Path>();
  readonly #lines: string[] | undefined;

  constructor(random: Random, lines: string[] | undefined) {
    this.random = random;
    this.#lines = lines;
    this.watch = new WireWatch();
  }

  get wallMicros(): number {
    return WALL_START_MICROS + Math.round(this.now * 1_000);
  }

  /** The path from one station to another, to be changed at will. */
  path(from: Station, to: Station): Path {
    const key = `${from.name} ${to.name}`;
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    const path = {
      loss: 0,
      delay: 10,
      jitter: 0,
      double: 0,
      hold: 0,
      blocked: undefined,
      held: undefined,
      disguise: undefined,
    };
    this.#paths.set(key, path);
    return path;
  }

  get paths(): Iterable<Path> {
    return this.#paths.values();
  }

  in(ms: number, act: () => void): void {
    this.#queue.add((this.now + ms) as Instant, act);
  }

  send(station: Station, from: Address, { to, bytes, tos }: Output, sent: Sent): void {
    if (sent.kind === "init") this.hint = (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8);
    this.watch.sent(this.now, station.running ?? station, bytes, sent);
    const flight = { from, to, bytes, tos, sent };
    this.seen.push(flight);
    const receiver = this.stations.find((other) => other !== station && other.isAt(to));
    this.trace(() => `${station.name} ${flightText(flight)}${receiver ? "" : " (nobody there)"}`);
    if (receiver === undefined) return;
    const { random } = this;
    const path = this.path(station, receiver);
    if (path.blocked === bytes[0] || random.chance(path.loss)) {
      this.trace(() => "  lost");
      this.lost.push(flight);
      return;
    }
    const isDisguised = path.disguise !== undefined && bytes.length === PATH_ANSWER_BYTES;
    const source = isDisguised ? (path.disguise ?? from) : from;
    const arriving = { ...flight, from: source, tos: remarked(tos, bytes) };
    const copies = random.chance(path.double) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const isHeld = path.held === bytes[0] || random.chance(path.hold);
      const held = isHeld ? HOLD_MS : 0;
      const jitter = path.jitter > 0 ? random.between(0, path.jitter) : 0;
      this.in(path.delay + jitter + held, () => this.arrive(arriving));
    }
  }

  /** A datagram reaches its destination address. */
  arrive(flight: Flight): void {
    const station = this.stations.find((one) => one.isAt(flight.to));
    if (station === undefined) return;
    const { from, to, bytes, tos, sent } = flight;
    const local = station.outside === undefined ? ipOf(to) : (station.own[0] ?? 0);
    station.receive({ from, local, bytes, tos, sent });
  }

  deliver(station: Station, packet: Packet): void {
    this.watch.delivered(station.name, packet);
    this.trace(() => `${station.name} delivers packet ${packet.number}`);
    this.onDelivered(station, packet);
  }

  trace(line: () => string): void {
    this.#lines?.push(`${(this.now / 1_000).toFixed(4).padStart(10)}  ${line()}`);
  }

  /** Lets `ms` milliseconds pass. */
  advance(ms: number): void {
    const end = this.now + ms;
    this.until(() => false, end);
  }

  /** Steps until the predicate holds, asked between instants, or the clock reaches `end`. */
  until(isDone: () => boolean, end: number): boolean {
    for (;;) {
      this.#settle();
      if (isDone()) return true;
      const next = this.#next();
      if (next > end) {
        this.now = end;
        return false;
      }
      this.now = Math.max(next, this.now);
      this.steps += 1;
      if (this.steps > STEPS) throw new Violation("endless", `${STEPS} steps`);
    }
  }

  /** Drives the stations until nothing is due at this instant. */
  #settle(): void {
    for (let round = 0; this.#runDue(); round += 1) {
      if (round > ROUNDS_AT_INSTANT) throw new Violation("endless", "never leaves one instant");
    }
  }

  #runDue(): boolean {
    let isBusy = false;
    for (
      let act = this.#queue.take(this.now as Instant);
      act;
      act = this.#queue.take(this.now as Instant)
    ) {
      act();
      isBusy = true;
    }
    for (const station of this.stations) {
      if (station.wakeAt > this.now) continue;
      station.turn();
      isBusy = true;
    }
    return isBusy;
  }

  #next(): number {
    let next: number = this.#queue.next ?? Number.POSITIVE_INFINITY;
    for (const station of this.stations) next = Math.min(next, station.wakeAt);
    return next;
  }
}

/** For traces. */
export function flightText({ from, to, bytes, sent }: Flight): string {
  const name = sent === undefined ? "junk" : sentText(sent);
  return `${addressText(from)} -> ${addressText(to)} ${name} ${bytes.length}`;
}

function sentText(sent: Sent): string {
  const hex = (index: number) => index.toString(16);
  switch (sent.kind) {
    case "init":
      return `INIT ${hex(sent.index)} stamp ${sent.stamp}${sent.cookie === undefined ? "" : " with cookie"}`;
    case "resp":
      return `RESP ${hex(sent.index)} to ${hex(sent.init.index)}`;
    case "challenge":
      return `CHALLENGE to ${hex(sent.init.index)}`;
    case "data": {
      const { session, isByInitiator, counter, content } = sent;
      const number = content.kind === "packet" ? ` ${content.packet.number}` : "";
      const to = isByInitiator ? session.index : session.init.index;
      return `DATA ${hex(to)} #${counter} ${content.kind}${number}`;
    }
  }
}
