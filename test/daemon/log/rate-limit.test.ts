/** Lines a window. */
import { expect, it } from "vitest";
import { RateLimit, WINDOW_MS } from "../../../src/daemon/log/rate-limit.ts";

it.each([
  // A step a row: time in ms, whether allowed, suppressed in the window before.
  [
    [
      [0, true, 0],
      [1, true, 0],
      [2, false, 0],
      [WINDOW_MS - 1, false, 0],
      [WINDOW_MS, true, 2],
      [WINDOW_MS + 1, true, 0],
      [WINDOW_MS + 2, false, 0],
      [5 * WINDOW_MS, true, 1],
    ],
  ],
] as const)("allows two lines a minute and counts the rest", (steps) => {
  const limit = new RateLimit(2);

  const answers = steps.map(([atMs]) => limit.take(atMs));

  expect(answers).toEqual(steps.map(([, isAllowed, suppressed]) => ({ isAllowed, suppressed })));
});
