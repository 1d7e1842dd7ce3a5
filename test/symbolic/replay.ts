/**
 * A run told in names, tried again on other rules and on the real core.
 */
import type { Break } from "./attacks.ts";
import { Lockstep } from "./lockstep.ts";
import type { Input } from "./receive.ts";
import type { Rules } from "./rules.ts";
import type { Setting } from "./setting.ts";
import { type NamedMove, Transcript } from "./transcript.ts";

export interface Replayed {
  /** What model and core said to each move that could be made. */
  readonly reasons: readonly (string | undefined)[];
  /** Diffie-Hellmans of the last of them. */
  readonly lastWork: number;
  /** Where model and core differ; empty as it should be. */
  readonly differences: readonly string[];
}

/** Makes the moves on model and core; ends at the first that names a datagram which was not sent. */
export function replay(
  setting: Setting,
  rules: Rules,
  moves: readonly NamedMove[],
  broken: Break = {},
): Replayed {
  const lockstep = new Lockstep(setting, rules, 1, broken);
  const transcript = new Transcript();
  const names = setting.hosts.map(({ name }) => name);
  for (const [at, { sent }] of lockstep.states.entries()) transcript.note(names[at] ?? "", sent);
  const reasons: (string | undefined)[] = [];
  const differences = lockstep.startDifference === undefined ? [] : [lockstep.startDifference];
  let lastWork = 0;
  for (const { move, recipe } of moves) {
    const input = inputOf(move.input, recipe && transcript.make(recipe));
    if (input === undefined) break;
    const { step, difference } = lockstep.take({ at: move.at, input });
    transcript.note(names[move.at] ?? "", step.sent);
    reasons.push(step.reason);
    lastWork = step.events.filter(({ kind }) => kind === "diffie-hellman").length;
    if (difference !== undefined) differences.push(difference);
  }
  return { reasons, lastWork, differences };
}

function inputOf(input: Input, message: Parameters<Transcript["recipeOf"]>[0] | undefined) {
  if (input.kind !== "deliver") return input;
  return message === undefined ? undefined : { ...input, message };
}
