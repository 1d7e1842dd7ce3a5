/**
 * Tones as colours of a terminal (ECMA-48 SGR), or as nothing.
 *
 * Only the eight colours that every terminal has, so that its theme decides what they look like.
 */
import type { Paint, Tone } from "./table.ts";

const SGR: Readonly<Record<Tone, number>> = { strong: 1, dim: 2, bad: 31, good: 32, uneasy: 33 };

/** The paint of a terminal that has colour, or of one that has not. */
export function paintOf(hasColour: boolean): Paint {
  if (!hasColour) return (text) => text;
  return (text, tone) =>
    tone === undefined || text === "" ? text : `\u001b[${SGR[tone]}m${text}\u001b[0m`;
}
