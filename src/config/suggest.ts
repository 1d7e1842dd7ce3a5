/**
 * "Did you mean": the known word that a mistyped one is closest to.
 *
 * Distance is that of optimal string alignment (insert, delete, replace, swap of neighbours), on words
 * without case, `_` and `-`, so that `AllowedIPs` finds `allowed_ips`. Words longer than
 * `MAX_WORD_LENGTH` are not compared: the cost is the product of the lengths.
 */

const MAX_WORD_LENGTH = 40;
/** One typing mistake is forgiven for this many characters. */
const CHARACTERS_PER_MISTAKE = 3;

/** The candidate closest to `word`, or undefined where none is near. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_WORD_LENGTH) return undefined;
  const plain = normalized(word);
  let best: string | undefined;
  let bestDistance = Math.floor(plain.length / CHARACTERS_PER_MISTAKE) + 1;
  for (const candidate of candidates) {
    const distance = alignmentDistance(plain, normalized(candidate));
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

function normalized(word: string): string {
  return word.toLowerCase().replace(/[_-]/g, "");
}

function alignmentDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      const isSwap =
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current[column] = Math.min(
        at(above, column) + 1,
        at(current, column - 1) + 1,
        at(above, column - 1) + (isSame ? 0 : 1),
        isSwap ? at(before, column - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    before = above;
    above = current;
  }
  return at(above, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
