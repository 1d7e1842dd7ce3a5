/**
 * One side dies without a word (SIGKILL) under ping at 10 ms, and starts again.
 *
 * The time is taken from the start of the new process to the first answer, as an operator would see it:
 * it holds the start of Node.js, and so a slower machine has more. IPTUN_FULL=1 adds the slow way back.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab, withLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, type Pair, startPair } from "../../scripts/netns/topology.ts";
import { Ping } from "../../scripts/netns/traffic.ts";
import { IS_FULL } from "../helpers/figure.ts";
import { slowness } from "../helpers/slowness.ts";

const { left, right } = ADDRESSES;

describe("H1 after a restart of one side traffic is back", () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = openLab();
    pair = await startPair(lab, { left: { peer: { keepalive: 5 } } });
  });
  afterAll(() => lab.close());

  it("within 1.5 s where the restarted side has the endpoint", async () => {
    const takenMs = await restart(pair.left, new Ping(pair.right.host, left.inner4, 0.01));

    expect(takenMs).toBeLessThan(1500 * slowness());
  });

  it("within 3 s when it said good-bye, whoever has the endpoint", async () => {
    const beside = new Ping(pair.left.host, right.inner4, 0.01);

    const takenMs = await restart(pair.right, beside, "SIGTERM");

    expect(takenMs).toBeLessThan(3000 * slowness());
  });

  // test/scenario/restart has it in virtual time.
  it.runIf(IS_FULL)("within 17 s where only the other side has it", async () => {
    await withLab(async (own) => {
      const { left: other, right: restarted } = await startPair(own);

      const takenMs = await restart(restarted, new Ping(other.host, right.inner4, 0.01));

      expect(takenMs).toBeLessThan(17_000);
    });
  });
});

/** Ends `daemon`, starts it again, and returns the milliseconds until `beside` hears an answer. */
async function restart(
  daemon: Daemon,
  beside: Ping,
  signal: NodeJS.Signals = "SIGKILL",
): Promise<number> {
  await until("answer before the restart", 5000, () => beside.replies.at(-1));
  await daemon.stop(signal);
  const startedAt = Date.now() / 1000;
  daemon.spawn();
  const isLater = ({ at }: { readonly at: number }) => at > startedAt;
  const first = await until("answer after the restart", 30_000, () => beside.replies.find(isLater));
  await beside.stop();
  return (first.at - startedAt) * 1000;
}
