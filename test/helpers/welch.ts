/**
 * Whether two kinds of input take different times: Welch's t-test of samples that were taken in random order.
 *
 * Slow samples are mostly other work on the machine, and hide a small difference; so the test is also made of those
 * alone that are below a percentile of all. |t| above 4.5 is a difference, in the manner of "dude, is my code constant
 * time?" (Reparaz, Balasch, Verbauwhede, 2016).
 */

/** A difference is found above it. */
export const T_LIMIT = 4.5;
/** Shares of the samples, the fastest first, that are looked at. */
const SHARES = [0.25, 0.5, 0.75, 0.9, 0.99, 1] as const;

/** Samples of a kind that a share must have left for a test. */
const ENOUGH = 500;

/** Welch's t of two samples of two values or more; 0 where neither varies. */
export function welch(a: readonly number[], b: readonly number[]): number {
  const [first, second] = [momentsOf(a), momentsOf(b)];
  const error = Math.sqrt(first.variance / a.length + second.variance / b.length);
  const difference = first.mean - second.mean;
  if (error > 0) return difference / error;
  return difference === 0 ? 0 : Math.sign(difference) * Number.POSITIVE_INFINITY;
}

/** The largest |t| between the first kind and another, over all shares of the samples. */
export function largestT(kinds: readonly (readonly number[])[]): number {
  const all = Float64Array.from(kinds.flat()).sort();
  const [first = [], ...others] = kinds;
  const found = SHARES.flatMap((share) => {
    const limit = all[Math.ceil(share * all.length) - 1] ?? 0;
    const below = (samples: readonly number[]) => samples.filter((sample) => sample <= limit);
    const [reference, ...rest] = [first, ...others].map(below);
    const isEnough = (samples: readonly number[] | undefined) => (samples?.length ?? 0) >= ENOUGH;
    if (reference === undefined || !isEnough(reference)) return [];
    return rest.filter(isEnough).map((samples) => Math.abs(welch(reference, samples)));
  });
  return Math.max(...found);
}

function momentsOf(samples: readonly number[]): {
  readonly mean: number;
  readonly variance: number;
} {
  const mean = samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
  const squares = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0);
  return { mean, variance: squares / (samples.length - 1) };
}
