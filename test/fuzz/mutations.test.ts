/**
 * FAULTS M5: seeded random mutations of valid datagrams are all refused.
 *
 * IPTUN_FUZZ_COUNT sets how many; `scripts/fuzz M5` makes ten million.
 */
import { expect, it } from "vitest";
import { mutateDatagrams } from "./campaign/m5.ts";

const { IPTUN_FUZZ_COUNT, IPTUN_SEED } = process.env;

it("M5: a valid datagram with any change is dropped once, unanswered, and leaves the state as it was", async () => {
  const count = Number(IPTUN_FUZZ_COUNT ?? 10_000);
  const done = await mutateDatagrams(count, Number(IPTUN_SEED ?? 1));

  const total = [...done.values()].reduce((sum, times) => sum + times, 0);
  expect(total).toBeGreaterThanOrEqual(count);
  expect([...done.keys()].sort()).toEqual(["CHALLENGE", "DATA", "INIT", "RESP", "run"]);
});
