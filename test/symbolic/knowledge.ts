/**
 * What the attacker knows (Dolev and Yao): everything that was sent, taken apart as far as its keys go, and
 * whatever can be put together from that.
 *
 * Taking apart: the parts of a join, the text of what is sealed under a known key. Putting together: any
 * constructor over known terms; g^S where the exponents in S that are not known leave a known power.
 */
import { nodeOf, power, type Term } from "./term.ts";

export class Knowledge {
  readonly #known = new Set<Term>();
  readonly #answers = new Map<Term, boolean>();

  constructor(terms: Iterable<Term>) {
    const locked: Term[] = [];
    for (const term of terms) this.#learn(term, locked);
    while (this.#openSome(locked)) this.#answers.clear();
    this.#answers.clear();
  }

  /** Everything known after taking apart. */
  get terms(): ReadonlySet<Term> {
    return this.#known;
  }

  /** Whether the attacker can make the term. */
  derives(term: Term): boolean {
    const known = this.#answers.get(term);
    if (known !== undefined) return known;
    const answer = this.#known.has(term) || this.#composes(term);
    this.#answers.set(term, answer);
    return answer;
  }

  #composes(term: Term): boolean {
    const { kind, parts } = nodeOf(term);
    switch (kind) {
      case "public":
        return true;
      case "fresh":
        return false;
      case "power": {
        const foreign = parts.filter((exponent) => !this.derives(exponent));
        return foreign.length === 0 || this.#hasPower(foreign, parts);
      }
      default:
        return parts.every((part) => this.derives(part));
    }
  }

  /** A known power of the foreign exponents and any of the others, which can be put in or taken out. */
  #hasPower(foreign: readonly Term[], exponents: readonly Term[]): boolean {
    const own = exponents.filter((exponent) => !foreign.includes(exponent));
    return subsets(own).some((some) => this.#known.has(power(...foreign, ...some)));
  }

  #learn(term: Term, locked: Term[]): void {
    if (this.#known.has(term)) return;
    this.#known.add(term);
    const { kind, parts } = nodeOf(term);
    if (kind === "join") for (const part of parts) this.#learn(part, locked);
    if (kind === "sealed") locked.push(term);
  }

  /** Opens what can be opened; false: nothing could. */
  #openSome(locked: Term[]): boolean {
    const before = locked.splice(0);
    let isNew = false;
    for (const term of before) {
      const [key, , , text] = nodeOf(term).parts;
      if (key === undefined || text === undefined || !this.derives(key)) locked.push(term);
      else {
        this.#learn(text, locked);
        isNew = true;
      }
    }
    return isNew;
  }
}

function subsets<T>(items: readonly T[]): readonly (readonly T[])[] {
  return items.reduce<T[][]>((all, item) => all.concat(all.map((some) => some.concat(item))), [[]]);
}
