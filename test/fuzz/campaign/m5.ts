/**
 * FAULTS M5: seeded random mutations of valid datagrams, each of which would be accepted as it is.
 *
 * Every mutated one must be dropped and counted once, draw nothing, deliver nothing and leave the state as it was. At
 * the end the genuine ones are offered, and are accepted: so it was the mutation that was refused.
 */
import { concat } from "../../helpers/packet-builder.ts";
import { pingPacket, udpPacket } from "../../helpers/packets.ts";
import { Random } from "../../helpers/random.ts";
import { PLAINTEXTS } from "../targets/plaintexts.ts";
import {
  fromDevice,
  offer,
  offerRun,
  RealPair,
  type RealSide,
  ROWS,
  sentBy,
  snapshotOf,
} from "./real-pair.ts";

const TYPE = { RESP: 2, CHALLENGE: 3 } as const;
const RUN_DATAGRAMS = 20;

/** Valid datagrams that a side waits for. */
interface Held {
  readonly name: string;
  readonly to: RealSide;
  readonly genuine: readonly Uint8Array[];
}

/** Offers `count` mutated datagrams; returns how many of each kind, by name. */
export async function mutateDatagrams(count: number, seed: number): Promise<Map<string, number>> {
  const random = new Random(seed);
  const held = [await heldInit(), ...(await heldAnswers()), ...(await heldData())];
  const others = held.flatMap(({ genuine }) => genuine);
  const done = new Map<string, number>();
  let left = count;
  for (let turn = 0; left > 0; turn += 1) {
    const kind = held[turn % held.length];
    if (kind === undefined) throw new Error("nothing to mutate");
    const size = Math.min(ROWS, left);
    const offered =
      kind.name === "run" ? mutateRun(kind, random) : mutateOnce(kind, others, size, random);
    left -= offered;
    done.set(kind.name, (done.get(kind.name) ?? 0) + offered);
  }
  for (const kind of held) expectAccepted(kind);
  return done;
}

/** A batch of mutations of one kind; each row is another. */
function mutateOnce(
  kind: Held,
  others: readonly Uint8Array[],
  size: number,
  random: Random,
): number {
  const batch = Array.from({ length: size }, () =>
    mutated(pick(kind.genuine, random), others, random),
  );
  expectRefused(kind, size, () => offer(kind.to, batch));
  return size;
}

/** One message of datagrams that count on, so that they are opened as a run; each has another byte behind its header. */
function mutateRun(kind: Held, random: Random): number {
  const run = concat(...kind.genuine);
  const size = run.length / kind.genuine.length;
  for (let at = 0; at < run.length; at += size) {
    for (let times = 1 + random.below(3); times > 0; times -= 1) {
      const index = at + 16 + random.below(size - 16);
      run[index] = (run[index] ?? 0) ^ (1 << random.below(8));
    }
    // Three flips can be one.
    const genuine = kind.genuine[at / size];
    if (genuine !== undefined && isSame(run.subarray(at, at + size), genuine)) {
      run[at + 16] = (run[at + 16] ?? 0) ^ 1;
    }
  }
  expectRefused(kind, kind.genuine.length, () => offerRun(kind.to, run, size));
  return kind.genuine.length;
}

function expectRefused({ name, to }: Held, count: number, offerAll: () => void): void {
  const before = look(to);
  offerAll();
  const after = look(to);
  const delivered = to.tunnel.buffers.delivered.count;
  const problem =
    after.drops - before.drops !== count
      ? `${after.drops - before.drops} drops of ${count}`
      : after.digest !== before.digest
        ? "another state"
        : delivered > 0
          ? `${delivered} packets delivered`
          : sentBy(to).length > 0
            ? "an answer"
            : undefined;
  if (problem !== undefined) throw new Error(`mutations of ${name}: ${problem}`);
}

/** The genuine datagrams, each on its own, change the state and are not dropped. */
function expectAccepted({ name, to, genuine }: Held): void {
  for (const datagram of genuine) {
    const before = look(to);
    offer(to, [datagram]);
    const after = look(to);
    // An INIT from an unknown node is counted as challenged, which is its acceptance.
    const isAnswered = sentBy(to).length > 0;
    if (after.digest === before.digest && !isAnswered) {
      throw new Error(`a genuine ${name} was refused`);
    }
  }
}

function look(side: RealSide): { readonly drops: number; readonly digest: string } {
  const { drops, peers, sessions, handshakeComputations } = snapshotOf(side);
  return {
    drops: Object.values(drops).reduce((sum, count) => sum + count, 0),
    digest: JSON.stringify([peers, sessions, handshakeComputations]),
  };
}

// --- What is held. ---

async function heldInit(): Promise<Held> {
  const { left, right } = await RealPair.start();
  return { name: "INIT", to: right, genuine: sentBy(left).slice(0, 1) };
}

/** A pair each, halfway through its handshake. */
async function heldAnswers(): Promise<readonly Held[]> {
  const held: Held[] = [];
  for (const [name, type] of Object.entries(TYPE)) {
    const pair = await RealPair.start();
    const datagram = pair.settle((bytes) => bytes[0] === type);
    if (datagram === undefined) throw new Error(`no ${name} was sent`);
    held.push({ name, to: pair.left, genuine: [datagram] });
  }
  return held;
}

/** Pairs with a session: data of every kind, and a run. */
async function heldData(): Promise<readonly Held[]> {
  const pair = await RealPair.start();
  pair.settle();
  fromDevice(pair.left, [pingPacket("10.1.0.1", "10.2.0.1")]);
  const texts = [
    ...PLAINTEXTS.filter((text) => text[0] !== 3 && text[0] !== 0 && text[0] !== 16),
    udpPacket("10.1.0.1", "10.2.0.1", new Uint8Array(1_392)),
  ];
  const data = pair.left.holder.forge(texts);
  const runs = await RealPair.start();
  runs.settle();
  fromDevice(runs.left, [pingPacket("10.1.0.1", "10.2.0.1")]);
  const same = new Array<Uint8Array>(RUN_DATAGRAMS).fill(
    udpPacket("10.1.0.1", "10.2.0.1", new Uint8Array(200)),
  );
  return [
    { name: "DATA", to: pair.right, genuine: data },
    { name: "run", to: runs.right, genuine: runs.left.holder.forge(same) },
  ];
}

// --- Mutation. ---

/** A changed copy, never equal to a datagram that is held. */
function mutated(genuine: Uint8Array, others: readonly Uint8Array[], random: Random): Uint8Array {
  for (;;) {
    let bytes = genuine.slice();
    for (let times = 1 + random.below(3); times > 0; times -= 1)
      bytes = change(bytes, others, random);
    if (!others.some((other) => isSame(other, bytes))) return bytes;
  }
}

function change(
  bytes: Uint8Array,
  others: readonly Uint8Array[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes);
  const { length } = copy;
  const at = random.below(Math.max(1, length));
  const choice = random.below(16);
  if (choice < 6 && length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  else if (choice < 9 && length > 0) copy[at] = random.below(256);
  // The header decides most.
  else if (choice < 11 && length > 0) copy[random.below(Math.min(16, length))] = random.below(256);
  else if (choice === 11) return copy.slice(0, at);
  else if (choice === 12) return Uint8Array.from(concat(copy, random.bytes(1 + random.below(64))));
  else if (choice === 13) return spliced(copy, pick(others, random), at);
  else if (choice === 14) copy.copyWithin(at, random.below(Math.max(1, length)));
  else return Uint8Array.from(random.bytes(length));
  return copy;
}

function spliced(bytes: Uint8Array, other: Uint8Array, at: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(concat(bytes.subarray(0, at), other.subarray(at)));
}

function pick(list: readonly Uint8Array[], random: Random): Uint8Array {
  return list[random.below(list.length)] ?? new Uint8Array(0);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
