/**
 * Words that several of the doctor's sentences share.
 */

/** "1 packet", "2 packets". */
export function packetsText(count: number): string {
  return count === 1 ? "1 packet" : `${count} packets`;
}

/** Seconds without their fraction: "12 s". */
export function secondsText(seconds: number): string {
  return `${Math.round(seconds)} s`;
}

/** The address of "192.0.2.1:1194" or "[2001:db8::1]:1194". */
export function hostOf(endpoint: string): string {
  return endpoint.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** A line as the configuration's warnings are, "what; what to do", as its two parts. */
export function halves(line: string): readonly [text: string, remedy: string] {
  const end = line.lastIndexOf("; ");
  return end < 0
    ? [line, "change it if it is not meant"]
    : [line.slice(0, end), line.slice(end + 2)];
}
