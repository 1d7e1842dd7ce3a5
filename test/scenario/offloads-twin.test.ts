/**
 * A run of datagrams against its plain twin: the same datagrams, each as a message of its own.
 *
 * Two worlds of one seed live the same life; in one the right site gets runs (UDP_GRO) and joins packets, in
 * the other it does neither. Whatever the runs hold, both must drop, deliver, charge, answer and wake alike.
 */
import { expect, it } from "vitest";
import { udpPacket, viewPacket } from "../helpers/packets.ts";
import { Random, seeds } from "../helpers/random.ts";
import { DATA_OVERHEAD, flipBit, SIZE, TYPE } from "../helpers/wire-view.ts";
import { frame, marked, segments } from "../sim/forged-runs.ts";
import { connect, dropsOf, stateDigest } from "../sim/observe.ts";
import { INNER, LEFT, newClientPair, type Pair } from "../sim/pair.ts";

const PLACES = [
  LEFT,
  LEFT,
  LEFT,
  { ip: "203.0.113.5", port: 5_555 },
  { ip: "203.0.113.6", port: 6 },
];
/** Plaintext bytes of a run's datagrams; the second makes them as long as an INIT. */
const SIZES = [76, SIZE.INIT - DATA_OVERHEAD, 1_000];
const BATCHES = 25;

it.each(seeds(12))("what runs hold is judged as if each datagram came alone (seed %i)", (seed) => {
  const [withRuns, plain] = [life(seed, true), life(seed, false)];

  for (let batch = 0; batch < BATCHES; batch += 1) {
    expect(withRuns.step(), `batch ${batch}`).toEqual(plain.step());
  }
  expect(withRuns.runs()).toBeGreaterThan(BATCHES);
  expect(plain.runs()).toBe(0);
});

/** One of the two worlds, and what can be seen of it after each of its steps. */
function life(seed: number, hasRuns: boolean) {
  const roaming = (["validated", "on", "off"] as const)[seed % 3] ?? "on";
  const pair = newClientPair({
    seed,
    crypto: "stub",
    roaming,
    offloads: hasRuns ? "right" : "neither",
  });
  connect(pair);
  const source = new Source(pair, new Random(seed));
  const step = () => {
    const mark = pair.world.eve.mark();
    for (const run of source.batch()) {
      if (hasRuns) {
        pair.right.receiveRun(run.from, run.segment, concatenated(run.datagrams), run.tos);
      } else {
        for (const bytes of run.datagrams)
          pair.right.receive({
            at: pair.world.now,
            by: "eve",
            from: run.from,
            to: pair.right.address,
            bytes,
            tos: run.tos,
          });
      }
    }
    if (pair.right.isDue) pair.right.turn();
    const seen = observed(pair, mark);
    source.pass();
    return [seen, observed(pair, mark)];
  };
  return { step, runs: () => pair.right.batches.runs };
}

/** Everything that tells the worlds apart if they differ. */
function observed({ world, left, right }: Pair, mark: number) {
  const wire = world.eve.since(mark).map(({ at, by, to, bytes }) => {
    return `${at} ${by} ${to.ip} ${Buffer.from(bytes).toString("hex")}`;
  });
  const delivered: Record<string, string[]> = {};
  // Joined flows may overtake others, so each flow is compared alone.
  for (const { bytes } of right.delivered.splice(0)) {
    delivered[flowOf(bytes)] ??= [];
    delivered[flowOf(bytes)]?.push(Buffer.from(bytes).toString("hex"));
  }
  left.delivered.length = 0;
  const { sources } = right.snapshot();
  const events = right.events.map(({ event }) => event);
  return {
    ...{ wire, delivered, sources, events, drops: dropsOf(right) },
    ...{ digest: stateDigest(right), deadline: right.deadline },
  };
}

interface Run {
  readonly from: { readonly ip: string; readonly port: number };
  readonly segment: number;
  readonly datagrams: readonly Uint8Array[];
  /** Of the outer header of each. */
  readonly tos: number;
}

/** Makes the runs of one world; the same draws give the same runs in the other. */
class Source {
  readonly #pair: Pair;
  readonly #random: Random;
  /** Datagrams made before, to be replayed; those of an older session among them were never sent. */
  readonly #made: Uint8Array[] = [];
  #ahead = 100;
  #sequence = 0;
  #id = 0;

  constructor(pair: Pair, random: Random) {
    this.#pair = pair;
    this.#random = random;
  }

  batch(): readonly Run[] {
    return Array.from({ length: 1 + this.#random.below(4) }, () => this.#run());
  }

  /** Lets time pass, and now and then starts a new session. */
  pass(): void {
    const { left, world } = this.#pair;
    if (this.#random.chance(0.15)) {
      // Of the session that ends here: to be sent behind it.
      for (let count = 0; count < 3; count += 1) this.#made.push(this.#sealed(this.#packet(76)));
      left.act((tunnel, now) => tunnel.rekey("right", now));
    }
    world.advance([0, 100, 1_000, 11_000, 16_000][this.#random.below(5)] ?? 0);
  }

  #run(): Run {
    const size = SIZES[this.#random.below(SIZES.length)] ?? 76;
    const count = 1 + this.#random.below(8);
    const datagrams = Array.from({ length: count }, () => this.#datagram(size));
    const shuffled = this.#random.chance(0.3) ? datagrams.reverse() : datagrams;
    if (this.#random.chance(0.4)) shuffled.push(this.#tail());
    const from = PLACES[this.#random.below(PLACES.length)] ?? LEFT;
    const tos = this.#random.chance(0.5) ? 0 : this.#random.below(4);
    return { from, segment: size + DATA_OVERHEAD, datagrams: shuffled, tos };
  }

  #datagram(size: number): Uint8Array {
    const random = this.#random;
    const choice = random.below(12);
    const bytes = size + DATA_OVERHEAD;
    if (choice === 0) return this.#sealed(frame(9, size));
    if (choice === 1) return this.#sealed(frame(4, size));
    if (choice === 2)
      return flipBit(this.#sealed(this.#packet(size)), 8 * 30 + random.below(8 * 60));
    if (choice === 3) return flipBit(this.#sealed(this.#packet(size)), random.below(8 * 16));
    if (choice === 4) return this.#again(bytes) ?? random.bytes(bytes);
    if (choice === 5 && bytes === SIZE.INIT) return this.#init();
    if (choice === 6) return this.#sealed(this.#packet(size, "10.2.0.9"));
    if (choice === 7) return this.#sealed(this.#packet(size, INNER.left6));
    if (choice < 10) return this.#sealed(this.#segment(size));
    return this.#sealed(this.#packet(size));
  }

  /** The last of a run, shorter than the others. */
  #tail(): Uint8Array {
    const choice = this.#random.below(12);
    if (choice === 0) return this.#sealed(frame(3, 2));
    if (choice < 3) return this.#sealed(frame(1, 9));
    if (choice < 5) return this.#sealed(frame(4, 9));
    if (choice < 7) return this.#random.bytes(1 + this.#random.below(31));
    return this.#sealed(new Uint8Array(0));
  }

  /** Seldom an INIT that was seen before, else one with a wrong mac. */
  #init(): Uint8Array {
    const { bytes } = this.#pair.world.eve.last("left", TYPE.INIT);
    return this.#random.chance(0.5) ? bytes.slice() : flipBit(bytes, 8 * 100);
  }

  #again(bytes: number): Uint8Array | undefined {
    const fitting = this.#made.filter(({ length }) => length === bytes);
    return fitting[this.#random.below(fitting.length)];
  }

  #sealed(plaintext: Uint8Array): Uint8Array {
    this.#ahead += 1;
    const datagram = this.#pair.leftSite.aead().forge(plaintext, this.#ahead);
    this.#made.push(datagram);
    return datagram;
  }

  #packet(size: number, source: string = INNER.left): Uint8Array {
    const isV6 = source.includes(":");
    const payload = this.#random.bytes(size - (isV6 ? 48 : 28));
    return udpPacket(source, isV6 ? INNER.right6 : INNER.right, payload);
  }

  /** The next of one TCP flow; joined with its neighbours, if they are. */
  #segment(size: number): Uint8Array {
    const sequence = this.#sequence;
    this.#sequence += size - 40;
    const [segment = new Uint8Array(0)] = segments(1, size - 40, {
      sequence,
      id: this.#id++ & 0xffff,
      payload: this.#random.bytes(size - 40),
      trafficClass: this.#random.chance(0.2) ? this.#random.below(4) : 2,
    });
    return this.#random.chance(0.9) ? segment : marked(this.#packet(size));
  }
}

function flowOf(packet: Uint8Array): string {
  const { source, destination, protocol } = viewPacket(packet);
  return `${source} ${destination} ${protocol}`;
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
