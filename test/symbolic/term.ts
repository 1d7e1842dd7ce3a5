/**
 * Symbolic terms: what datagrams, keys and secrets are made of in the model of the handshake.
 *
 * A term is a number that names a node in one table, and equal terms have equal numbers, so comparing is
 * free. Cryptography is perfect: a one-way function has no inverse and no collision, a sealed text opens
 * under its key alone. Powers of the group's generator are sets of exponents, so g^xy is g^yx.
 */

/** A node of the table. */
export type Term = number & { readonly __term: true };

type Kind =
  /** Known to everybody from the start. */
  | "public"
  /** A random value of one host; it is known to whom it was sent. */
  | "fresh"
  /** The generator to the power of all parts, sorted. */
  | "power"
  /** Parts one behind another, to be taken apart by anybody. */
  | "join"
  /** A hash, mac or derived key of its parts; the label says which. */
  | "oneWay"
  /** Key, nonce, associated data, plaintext; the label names the cipher. */
  | "sealed";

interface TermNode {
  readonly kind: Kind;
  readonly label: string;
  readonly parts: readonly Term[];
}

const nodes: TermNode[] = [];
const numbers = new Map<number, Term>();

export function publicName(label: string): Term {
  return intern("public", label, []);
}

export function fresh(label: string): Term {
  return intern("fresh", label, []);
}

/** The generator to the power of `exponents`, in whatever order. */
export function power(...exponents: Term[]): Term {
  return intern(
    "power",
    "g",
    exponents.toSorted((a, b) => a - b),
  );
}

export function join(label: string, ...parts: Term[]): Term {
  return intern("join", label, parts);
}

export function oneWay(label: string, ...parts: Term[]): Term {
  return intern("oneWay", label, parts);
}

export function sealed(cipher: string, key: Term, nonce: Term, data: Term, text: Term): Term {
  return intern("sealed", cipher, [key, nonce, data, text]);
}

/** What a term is made of. */
export function nodeOf(term: Term): TermNode {
  const node = nodes[term];
  if (node === undefined) throw new Error(`no term ${term}`);
  return node;
}

export function isKind(term: Term, kind: Kind, label?: string): boolean {
  const node = nodeOf(term);
  return node.kind === kind && (label === undefined || node.label === label);
}

/** The part at `index`, which the caller knows to be there. */
export function partOf(term: Term, index: number): Term {
  const part = nodeOf(term).parts[index];
  if (part === undefined) throw new Error(`term ${term} has no part ${index}`);
  return part;
}

/** `base` to the power of `exponent`; undefined where `base` is no power. */
export function raised(base: Term, exponent: Term): Term | undefined {
  const { kind, parts } = nodeOf(base);
  return kind === "power" ? power(...parts, exponent) : undefined;
}

/** The plaintext, if `text` was sealed under exactly this key, nonce and associated data. */
export function opened(text: Term, key: Term, nonce: Term, data: Term): Term | undefined {
  const { kind, parts } = nodeOf(text);
  if (kind !== "sealed") return undefined;
  return parts[0] === key && parts[1] === nonce && parts[2] === data ? parts[3] : undefined;
}

/** Numbers of kind and label, and of everything up to each part, so that no text is made for a known term. */
const heads = new Map<string, number>();
const prefixes = new Map<number, number>();
const MOST_TERMS = 2 ** 26;

function intern(kind: Kind, label: string, parts: readonly Term[]): Term {
  let prefix = numberOf(heads, `${kind} ${label}`);
  for (const part of parts) prefix = numberOf(prefixes, (prefix + 1) * MOST_TERMS + part);
  const known = numbers.get(prefix);
  if (known !== undefined) return known;
  const term = nodes.length as Term;
  nodes.push({ kind, label, parts });
  numbers.set(prefix, term);
  return term;
}

/** Heads and prefixes are counted together, so that no two have one number. */
function numberOf<K>(table: Map<K, number>, key: K): number {
  const known = table.get(key);
  if (known !== undefined) return known;
  const number = heads.size + prefixes.size;
  table.set(key, number);
  return number;
}
