/**
 * An input of the engine: a program of operations, each a kind and some bytes that its target reads.
 *
 *     kind 1 | length 2, little-endian | length bytes | next operation ...
 *
 * Mutation knows this form: it moves, repeats, drops and mixes whole operations, and changes bytes inside of one;
 * so a change in one does not make the rest mean something else.
 */
import type { Random } from "../../helpers/random.ts";

/** One operation. */
export interface Operation {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

/** BOUNDED, so that a run is short. */
const MOST_OPERATIONS = 24;
const MOST_BYTES = 1_600;
/** Values at which code decides. */
const EDGES = [0, 1, 2, 3, 4, 8, 15, 16, 20, 31, 32, 40, 63, 64, 127, 128, 129, 254, 255];

/** Reads operations until the bytes end, `most` of them; one that is cut has what is there. */
export function decodeProgram(bytes: Uint8Array, most = MOST_OPERATIONS): Operation[] {
  const operations: Operation[] = [];
  for (let at = 0; at < bytes.length && operations.length < most; ) {
    const length = (bytes[at + 1] ?? 0) | ((bytes[at + 2] ?? 0) << 8);
    operations.push({ kind: bytes[at] ?? 0, bytes: bytes.slice(at + 3, at + 3 + length) });
    at += 3 + length;
  }
  return operations;
}

export function encodeProgram(operations: readonly Operation[]): Uint8Array {
  const size = operations.reduce((sum, { bytes }) => sum + 3 + bytes.length, 0);
  const encoded = new Uint8Array(size);
  let at = 0;
  for (const { kind, bytes } of operations) {
    encoded.set([kind, bytes.length & 0xff, bytes.length >> 8], at);
    encoded.set(bytes, at + 3);
    at += 3 + bytes.length;
  }
  return encoded;
}

/** A changed copy; `other` gives operations to mix in. */
export function mutateProgram(
  program: readonly Operation[],
  other: readonly Operation[],
  kinds: readonly number[],
  random: Random,
): Operation[] {
  let mutated = [...program];
  for (let times = 1 + random.below(4); times > 0; times -= 1) {
    mutated = mutateOnce(mutated, other, kinds, random);
  }
  return mutated.slice(0, MOST_OPERATIONS);
}

function mutateOnce(
  program: Operation[],
  other: readonly Operation[],
  kinds: readonly number[],
  random: Random,
): Operation[] {
  const at = random.below(program.length + 1);
  const chosen = program[at];
  const choice = random.below(16);
  if (chosen === undefined || choice === 0) {
    const length = random.below(random.chance(0.8) ? 14 : 80);
    return program.toSpliced(at, 0, { kind: any(kinds, random), bytes: random.bytes(length) });
  }
  if (choice === 1) return program.toSpliced(at, 1);
  if (choice === 2) return program.toSpliced(random.below(program.length + 1), 0, chosen);
  if (choice === 3) return mixed(program, at, other, random);
  if (choice === 4) return program.with(at, { ...chosen, kind: any(kinds, random) });
  return program.with(at, { ...chosen, bytes: mutateBytes(chosen.bytes, random) });
}

function any(kinds: readonly number[], random: Random): number {
  return kinds[random.below(kinds.length)] ?? 0;
}

/** Some of the other program's operations at `at`. */
function mixed(
  program: Operation[],
  at: number,
  other: readonly Operation[],
  random: Random,
): Operation[] {
  const from = random.below(other.length + 1);
  return program.toSpliced(at, random.below(2), ...other.slice(from, from + 1 + random.below(4)));
}

/** A copy with a few bytes changed, put in, taken out, or copied over others. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length + 1);
  const choice = random.below(8);
  if (choice === 0) return spliced(bytes, at, 0, random.bytes(1 + random.below(8)));
  if (choice === 1) return spliced(bytes, at, 1 + random.below(8), new Uint8Array(0));
  if (choice === 2) {
    const from = random.below(bytes.length + 1);
    return spliced(bytes, at, 0, bytes.slice(from, from + 1 + random.below(24)));
  }
  const copy = bytes.slice();
  for (let times = 1 + random.below(3); times > 0 && copy.length > 0; times -= 1) {
    const index = random.below(copy.length);
    copy[index] = changed(copy[index] ?? 0, random);
  }
  return copy;
}

function changed(byte: number, random: Random): number {
  const choice = random.below(4);
  if (choice === 0) return byte ^ (1 << random.below(8));
  if (choice === 1) return byte + random.below(17) - 8;
  if (choice === 2) return EDGES[random.below(EDGES.length)] ?? 0;
  return random.below(256);
}

function spliced(bytes: Uint8Array, at: number, count: number, piece: Uint8Array): Uint8Array {
  const room = Math.max(0, MOST_BYTES - bytes.length);
  const put = piece.subarray(0, room);
  const whole = new Uint8Array(at + put.length + Math.max(0, bytes.length - at - count));
  whole.set(bytes.subarray(0, at));
  whole.set(put, at);
  whole.set(bytes.subarray(Math.min(at + count, bytes.length)), at + put.length);
  return whole;
}

/** Reads an operation's bytes; behind their end are zeros. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    const value = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return value;
  }

  /** 16 bits. */
  short(): number {
    return this.byte() | (this.byte() << 8);
  }

  /** Up to `length` bytes, as many as there are. */
  bytes(length: number): Uint8Array {
    const bytes = this.#bytes.slice(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  /** All that is left. */
  rest(): Uint8Array {
    return this.bytes(this.#bytes.length);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }
}
