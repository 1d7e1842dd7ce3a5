/**
 * Crypto-key routing: which value (peer) owns an inner address, by longest prefix.
 *
 * A path-compressed binary trie a family: a node holds a whole prefix, its two children continue with
 * a 0 or a 1 after it. A look-up visits the prefixes that cover the address and the forks between
 * them, at most 32 or 128 nodes and about log2(size) in practice; it allocates nothing. How many
 * prefixes there are is the caller's to bound.
 *
 *              10.0.0.0/8 peer A
 *             /                 \
 *     10.1.0.0/16 peer B     10.128.0.0/9 (a fork, no value)
 *                             /                        \
 *                     10.129.0.0/16 peer A       10.200.0.0/16 peer C
 *
 * The trap: a fork's bits must be compared too before its value or children count, because compression
 * skips bits that the address may differ in.
 */
import type { Prefix } from "../prefix.ts";

/** Prefixes with a value each. Values are compared by identity. */
export class RouteTable<T extends NonNullable<unknown>> {
  readonly #root4: Node<T> = new Node<T>(new Int32Array(4), 0);
  readonly #root6: Node<T> = new Node<T>(new Int32Array(4), 0);
  #size = 0;

  /** Prefixes in the table. */
  get size(): number {
    return this.#size;
  }

  /** Gives the prefix a value, in place of the one it had. */
  insert(prefix: Prefix, value: T): void {
    const node = place(this.#root(prefix.family), prefixWords(prefix), prefix.length);
    if (node.value === undefined) this.#size++;
    node.value = value;
  }

  /** Takes out exactly this prefix; false where it was not there. */
  remove(prefix: Prefix): boolean {
    const words = prefixWords(prefix);
    const size = this.#size;
    this.#prune(prefix.family, (node) => node.isPrefix(words, prefix.length), words);
    return this.#size < size;
  }

  /** Takes out every prefix that has this value; visits the whole table. */
  removeValue(value: T): void {
    this.#prune(4, (node) => node.value === value);
    this.#prune(6, (node) => node.value === value);
  }

  /** The value of the longest prefix that covers the 4 address bytes at `offset`. */
  lookup4(bytes: Uint8Array, offset: number): T | undefined {
    return find4(this.#root4, wordAt(bytes, offset));
  }

  /** The value of the longest prefix that covers the 16 address bytes at `offset`. */
  lookup6(bytes: Uint8Array, offset: number): T | undefined {
    return find6(
      this.#root6,
      wordAt(bytes, offset),
      wordAt(bytes, offset + 4),
      wordAt(bytes, offset + 8),
      wordAt(bytes, offset + 12),
    );
  }

  #root(family: 4 | 6): Node<T> {
    return family === 4 ? this.#root4 : this.#root6;
  }

  /** Clears the values that `isGone` names, along the path of `words` or everywhere; the roots stay. */
  #prune(family: 4 | 6, isGone: (node: Node<T>) => boolean, words?: Int32Array): void {
    const visit = (node: Node<T>): Node<T> | undefined => {
      if (node.value !== undefined && isGone(node)) {
        node.value = undefined;
        this.#size--;
      }
      const way = words === undefined ? undefined : bitAt(words, node.length);
      if (way !== 1) node.zero &&= visit(node.zero);
      if (way !== 0) node.one &&= visit(node.one);
      if (node.value !== undefined || (node.zero && node.one)) return node;
      return node.zero ?? node.one;
    };
    // The root itself stays, whatever `visit` would put in its place.
    visit(this.#root(family));
  }
}

/** A prefix of the trie as four words and their masks; without a value it is a mere fork. */
class Node<T> {
  readonly length: number;
  readonly word0: number;
  readonly word1: number;
  readonly word2: number;
  readonly word3: number;
  readonly mask0: number;
  readonly mask1: number;
  readonly mask2: number;
  readonly mask3: number;
  value: T | undefined = undefined;
  zero: Node<T> | undefined = undefined;
  one: Node<T> | undefined = undefined;

  constructor(words: Int32Array, length: number) {
    this.length = length;
    this.mask0 = wordMask(length);
    this.mask1 = wordMask(length - 32);
    this.mask2 = wordMask(length - 64);
    this.mask3 = wordMask(length - 96);
    this.word0 = (words[0] ?? 0) & this.mask0;
    this.word1 = (words[1] ?? 0) & this.mask1;
    this.word2 = (words[2] ?? 0) & this.mask2;
    this.word3 = (words[3] ?? 0) & this.mask3;
  }

  covers(word0: number, word1: number, word2: number, word3: number): boolean {
    return (
      (((word0 ^ this.word0) & this.mask0) |
        ((word1 ^ this.word1) & this.mask1) |
        ((word2 ^ this.word2) & this.mask2) |
        ((word3 ^ this.word3) & this.mask3)) ===
      0
    );
  }

  /** Leading bits, at most the node's own, that it has in common with `words`. */
  commonBits(words: Int32Array): number {
    const own = [this.word0, this.word1, this.word2, this.word3];
    let bits = 0;
    for (const [index, word] of own.entries()) {
      const equal = Math.clz32(word ^ (words[index] ?? 0));
      bits += equal;
      if (equal < 32) break;
    }
    return Math.min(bits, this.length);
  }

  isPrefix(words: Int32Array, length: number): boolean {
    return this.length === length && this.commonBits(words) === length;
  }

  words(): Int32Array {
    return Int32Array.of(this.word0, this.word1, this.word2, this.word3);
  }

  attach(child: Node<T>): void {
    if (bitAt(child.words(), this.length) === 0) this.zero = child;
    else this.one = child;
  }
}

/** The look-up on one word: all of an IPv4 prefix is in the first. */
function find4<T>(root: Node<T>, word: number): T | undefined {
  let best: T | undefined;
  let node: Node<T> | undefined = root;
  while (node !== undefined && ((word ^ node.word0) & node.mask0) === 0) {
    best = node.value ?? best;
    // A full-length node has no children, whatever bit this is.
    node = word << node.length < 0 ? node.one : node.zero;
  }
  return best;
}

/** The same on four words. */
function find6<T>(
  root: Node<T>,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
): T | undefined {
  let best: T | undefined;
  let node: Node<T> | undefined = root;
  while (node?.covers(word0, word1, word2, word3)) {
    best = node.value ?? best;
    const length: number = node.length;
    const word: number = length < 32 ? word0 : length < 64 ? word1 : length < 96 ? word2 : word3;
    // The next bit as the sign; a shift counts modulo 32.
    node = word << length < 0 ? node.one : node.zero;
  }
  return best;
}

/** The node of exactly this prefix, made and hung in where it is missing. */
function place<T>(root: Node<T>, words: Int32Array, length: number): Node<T> {
  let node = root;
  // INVARIANT: `node` covers the prefix.
  while (node.length < length) {
    const child = bitAt(words, node.length) === 0 ? node.zero : node.one;
    if (child !== undefined && child.length <= length && child.commonBits(words) === child.length) {
      node = child;
      continue;
    }
    const added = new Node<T>(words, length);
    node.attach(child === undefined ? added : joined(child, added));
    return added;
  }
  return node;
}

/** `child` and `added` under one node: `added` itself where it covers `child`, else a fork where they part. */
function joined<T>(child: Node<T>, added: Node<T>): Node<T> {
  const common = Math.min(child.commonBits(added.words()), added.length);
  if (common === added.length) {
    added.attach(child);
    return added;
  }
  const fork = new Node<T>(added.words(), common);
  fork.attach(child);
  fork.attach(added);
  return fork;
}

function prefixWords(prefix: Prefix): Int32Array {
  return Int32Array.from({ length: 4 }, (_, index) => wordAt(prefix.bytes, index * 4));
}

/** Four bytes in network order as an Int32; bytes past the end are zero. */
function wordAt(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] ?? 0) << 24) |
    ((bytes[offset + 1] ?? 0) << 16) |
    ((bytes[offset + 2] ?? 0) << 8) |
    (bytes[offset + 3] ?? 0)
  );
}

function bitAt(words: Int32Array, index: number): 0 | 1 {
  return (((words[index >> 5] ?? 0) >>> (31 - (index & 31))) & 1) === 0 ? 0 : 1;
}

/** The mask of a word of which the first `bits` count; below 0 and above 32 as 0 and 32. */
function wordMask(bits: number): number {
  // A shift by 32 is a shift by 0, so the two ends stand apart.
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}
