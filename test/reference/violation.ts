/** A rule that did not hold: which one, and what was seen in its place. */
export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, text: string) {
    super(`${rule}: ${text}`);
    this.rule = rule;
  }
}

/** Throws where two things that must be equal are not; `whose` and `what` name the first one. */
export function same(
  rule: string,
  whose: string,
  what: string,
  core: unknown,
  model: unknown,
): void {
  if (core === model) return;
  throw new Violation(rule, `${whose}: ${what} is ${String(core)}, by the rules ${String(model)}`);
}
