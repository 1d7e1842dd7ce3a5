/**
 * Searches a capture, an output or a process's memory for bytes that must not be in it.
 *
 * One pass over the haystack finds any of many needles, so that tens of thousands of samples of a file
 * cost no more than one. The trap: a search that finds nothing proves nothing unless the same search
 * finds the needles where they are; callers search the inside of the tunnel too.
 */

/** Bits of a needle's first four bytes that the filter looks at. */
const FILTER_BITS = 20;

/** A place where a needle begins. */
export interface Found {
  readonly needle: Buffer;
  readonly at: number;
}

/** Number of places in `haystack` where one of the needles (4 bytes or more each) begins. */
export function countNeedles(haystack: Buffer, needles: readonly Buffer[]): number {
  return needleSearch(needles)(haystack).length;
}

/** A search for the needles (4 bytes or more each) in any number of haystacks. */
export function needleSearch(needles: readonly Buffer[]): (haystack: Buffer) => readonly Found[] {
  const filter = new Uint8Array(2 ** FILTER_BITS);
  const byKey = new Map<number, Buffer[]>();
  for (const needle of needles) {
    const key = needle.readUInt32BE(0) | 0;
    filter[key >>> (32 - FILTER_BITS)] = 1;
    byKey.set(key, [...(byKey.get(key) ?? []), needle]);
  }
  return (haystack) => {
    const found: Found[] = [];
    let key = 0;
    for (let end = 0; end < haystack.length; end++) {
      key = (key << 8) | (haystack[end] ?? 0);
      if (filter[key >>> (32 - FILTER_BITS)] === 0 || end < 3) continue;
      const at = end - 3;
      for (const needle of byKey.get(key) ?? []) {
        if (isAt(haystack, at, needle)) found.push({ needle, at });
      }
    }
    return found;
  };
}

/** Sixteen bytes of `content` at every `stepBytes`. */
export function samples(content: Buffer, stepBytes: number): readonly Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 16 <= content.length; at += stepBytes) {
    found.push(content.subarray(at, at + 16));
  }
  return found;
}

function isAt(haystack: Buffer, at: number, needle: Buffer): boolean {
  return (
    at + needle.length <= haystack.length &&
    haystack.compare(needle, 0, needle.length, at, at + needle.length) === 0
  );
}
