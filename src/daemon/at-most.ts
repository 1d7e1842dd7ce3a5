/** Waits for something, but not for ever: whoever stops must come to an end. */
import type { StartTimer } from "./repeats.ts";

/** Resolves when `work` has come to its end, whatever that is, or after `ms` milliseconds. */
export async function atMost(
  ms: number,
  work: Promise<unknown> | undefined,
  startTimer: StartTimer,
): Promise<void> {
  let cancel: () => void = () => undefined;
  const tooLong = new Promise<void>((resolve) => {
    cancel = startTimer(ms, resolve);
  });
  await Promise.race([work?.catch(() => undefined), tooLong]);
  cancel();
}
