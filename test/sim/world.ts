/**
 * A world of hosts on a virtual clock: no sockets, no sleeping, the same run for the same seed.
 *
 * `step` drives every host until nothing is due at this instant, then jumps the clock to the next
 * deadline, arrival or planned action. A loop that never leaves one instant is a fault of the code under
 * test, so rounds at one instant are bounded and the failure says who kept it busy. Addresses without a
 * host swallow what is sent to them. Eve stands on the public side of every path.
 */
import { after, type Instant } from "../../src/core/time.ts";
import { type SocketAddress, socketText } from "../helpers/address.ts";
import { Random } from "../helpers/random.ts";
import { typeName } from "../helpers/wire-view.ts";
import { type Datagram, Eve } from "./eve.ts";
import { Host, type HostOptions } from "./host.ts";
import { Link, type LinkOptions } from "./link.ts";
import { SimLog } from "./log.ts";
import { Nat, type NatOptions } from "./nat.ts";
import { Schedule } from "./schedule.ts";
import { NonceLedger } from "./twin-aead.ts";

/** Rounds at one instant before the run counts as stuck. */
const ROUNDS_PER_INSTANT = 256;
/** Jumps inside one virtual millisecond before the run counts as stuck: deadlines must not creep. */
const STEPS_PER_MILLISECOND = 2_000;
/** 2026-01-01 in microseconds since 1970: the wall clock at instant 0. */
const WALL_START_MICROS = 1_767_225_600_000_000;

/** The network, its hosts, and time. */
export class World {
  readonly seed: number;
  readonly random: Random;
  readonly eve: Eve;
  /** The TOS that a datagram arrives with, by routers on its way, behind Eve; the one it was sent with by default. */
  remark: (datagram: Datagram) => number = ({ tos }) => tos ?? 0;
  readonly ledger = new NonceLedger();
  readonly hosts: Host[] = [];
  readonly #nats: Nat[] = [];
  readonly #links = new Map<string, Link>();
  readonly #linkRandom: Random;
  readonly #schedule = new Schedule<() => void>();
  readonly #log = new SimLog();
  #defaultLink: Partial<LinkOptions> = {};
  #now = 0 as Instant;
  #stepsThisMillisecond = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new Random(seed);
    this.#linkRandom = this.random.fork();
    this.eve = new Eve(this);
  }

  /** Milliseconds since the world began. */
  get now(): Instant {
    return this.#now;
  }

  /** Microseconds since 1970 on a right wall clock. */
  get wallMicros(): number {
    return WALL_START_MICROS + Math.round(this.#now * 1000);
  }

  /** Adds a host and starts it. */
  host(options: Omit<HostOptions, "bootMs">): Host {
    const host = new Host(this, { ...options, bootMs: Math.floor(this.random.between(1e3, 1e9)) });
    this.hosts.push(host);
    return host;
  }

  nat(options: Partial<NatOptions> & Pick<NatOptions, "ip">): Nat {
    const nat = new Nat(options);
    this.#nats.push(nat);
    return nat;
  }

  /** Sets what every path does, those in use already included; earlier settings of single paths go. */
  network(options: Partial<LinkOptions>): void {
    this.#defaultLink = options;
    this.#links.clear();
  }

  /** Sets what one direction between two hosts does, and returns it for its counts. */
  link(from: Host, to: Host, options: Partial<LinkOptions> = {}): Link {
    const link = new Link(this.#linkRandom.fork(), { ...this.#defaultLink, ...options });
    this.#links.set(`${from.name} ${to.name}`, link);
    return link;
  }

  /** Plans an action `ms` milliseconds from this instant. */
  in(ms: number, action: () => void): void {
    this.#schedule.add(after(this.#now, ms), action);
  }

  /** Repeats an action every `ms` milliseconds, first at once; returns what stops it. */
  every(ms: number, action: (index: number) => void): () => void {
    let isOn = true;
    const run = (index: number): void => {
      if (!isOn) return;
      action(index);
      this.in(ms, () => run(index + 1));
    };
    run(0);
    return () => {
      isOn = false;
    };
  }

  /** A host sends a datagram: through its NAT, past Eve, over the link. */
  transmit(host: Host, inner: Datagram): void {
    const from = host.nat?.outbound(inner.from, inner.to, this.#now) ?? inner.from;
    const datagram = { ...inner, from };
    const isThrough = this.eve.pass(datagram);
    const { to, bytes } = datagram;
    const delays = isThrough
      ? this.#linkFor(host, to).delays(bytes.length, to.ip.includes(":"), this.#now)
      : [];
    this.log(() => {
      const fate = isThrough ? `${delays.length} copies` : "withheld";
      const note = delays.length === 1 ? "" : ` (${fate})`;
      return `${host.name} ${socketText(from)} -> ${socketText(to)} ${typeName(bytes)} ${bytes.length}${note}`;
    });
    const arriving = { ...datagram, tos: this.remark(datagram) };
    for (const delay of delays) this.in(delay, () => this.arrive(arriving));
  }

  /** A datagram reaches its destination address at this instant. */
  arrive(datagram: Datagram): void {
    const { from, to } = datagram;
    const nat = this.#nats.find(({ options }) => options.ip === to.ip);
    const inside = nat === undefined ? to : nat.inbound(from, to.port, this.#now);
    if (inside === undefined) return;
    const host = this.hosts.find(
      (candidate) => candidate.nat === nat && candidate.addresses.includes(inside.ip),
    );
    if (host === undefined || host.port !== inside.port) return;
    host.receive(nat === undefined ? datagram : { ...datagram, to: inside });
  }

  /** Drives the hosts at this instant, then jumps to the next one not after `limit`; false: there is none. */
  step(limit = Number.POSITIVE_INFINITY): boolean {
    this.settle();
    const next = this.#next();
    if (next > limit || next === Number.POSITIVE_INFINITY) return false;
    this.#countStep(next);
    this.#now = next;
    return true;
  }

  /** Lets `ms` milliseconds pass. */
  advance(ms: number): void {
    const end = after(this.#now, ms);
    while (this.step(end));
    this.#now = end;
    this.settle();
  }

  /** Steps until the predicate holds, checked between instants; returns the milliseconds that took, or fails after `limitMs`. */
  until(what: string, predicate: () => boolean, limitMs: number): number {
    const start = this.#now;
    const end = after(start, limitMs);
    this.settle();
    while (!predicate()) {
      if (!this.step(end)) throw new Error(`${what}: not within ${limitMs} ms (seed ${this.seed})`);
      this.settle();
    }
    return this.#now - start;
  }

  /** Drives the hosts until nothing is due at this instant. */
  settle(): void {
    for (let round = 0; this.#runDue(); round += 1) {
      if (round >= ROUNDS_PER_INSTANT) throw new Error(this.#stuck());
    }
  }

  log(line: () => string): void {
    this.#log.add(this.#now, line);
  }

  /** Seed and last log lines, for a failing test. */
  report(lines = 60): string {
    return `seed ${this.seed} at ${(this.#now / 1000).toFixed(4)} s\n${this.#log.tail(lines)}`;
  }

  #countStep(next: Instant): void {
    const isSame = Math.floor(next) === Math.floor(this.#now);
    this.#stepsThisMillisecond = isSame ? this.#stepsThisMillisecond + 1 : 0;
    if (this.#stepsThisMillisecond > STEPS_PER_MILLISECOND) throw new Error(this.#stuck());
  }

  #runDue(): boolean {
    let isBusy = false;
    for (
      let action = this.#schedule.take(this.#now);
      action;
      action = this.#schedule.take(this.#now)
    ) {
      action();
      isBusy = true;
    }
    for (const host of this.hosts) {
      if (!host.isDue) continue;
      host.turn();
      isBusy = true;
    }
    return isBusy;
  }

  #next(): Instant {
    const deadlines = this.hosts.map((host) => host.deadline?.at ?? Number.POSITIVE_INFINITY);
    return Math.min(this.#schedule.next ?? Number.POSITIVE_INFINITY, ...deadlines) as Instant;
  }

  #stuck(): string {
    const reasons = this.hosts
      .filter((host) => host.isDue)
      .map((host) => `${host.name} (${host.deadline?.reason ?? "no deadline"})`);
    return `stuck at one instant, busy: ${reasons.join(", ")}; seed ${this.seed}\n${this.#log.tail(20)}`;
  }

  #linkFor(host: Host, to: SocketAddress): Link {
    const owner = this.hosts.find(
      (other) =>
        (other.nat?.options.ip ?? other.addresses[0]) === to.ip ||
        (other.nat === undefined && other.addresses.includes(to.ip)),
    );
    const key = `${host.name} ${owner?.name ?? ""}`;
    const known = this.#links.get(key);
    if (known !== undefined) return known;
    const link = new Link(this.#linkRandom.fork(), this.#defaultLink);
    this.#links.set(key, link);
    return link;
  }
}
