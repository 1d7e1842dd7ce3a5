/**
 * H14: faults that nobody handles, in both threads, at moments from the start to a running tunnel: the process ends at once
 * with a failure, the network is as before, and no key is in what it wrote.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { withLab } from "../../../scripts/netns/lab.ts";
import { withPreload } from "../../../scripts/netns/preload.ts";
import { finish } from "../../../scripts/netns/process.ts";
import { makePair, sideDaemon } from "../../../scripts/netns/topology.ts";
import { Ping } from "../../../scripts/netns/traffic.ts";
import { figure } from "../../helpers/figure.ts";
import { amount } from "../../helpers/full.ts";
import { Random } from "../../helpers/random.ts";
import { slowness } from "../../helpers/slowness.ts";
import { networkOf } from "./leftovers.ts";

const POINTS = amount({ quick: 2, short: 18, full: 100 });
const KINDS = ["exception", "rejection", "microtask", "value", "emitter", "memory"] as const;
const LIMIT_MS = 1_000;
/** Filling a heap takes its time. */
const MEMORY_MS = 20_000;
/** From before anything is open to some time after the handshake. */
const LATEST_MS = 1_800;

it(`H14 faults injected at ${POINTS} points end the process with a failure, clean and without a key`, async () => {
  await withLab(async (lab) => {
    const { left, right, keyFile } = await makePair(lab);
    await right.start();
    const before = await networkOf(left.host);
    const key = /[A-Za-z0-9+/]{43}=/.exec(readFileSync(keyFile, "utf8"))?.[0] ?? "";
    const random = new Random(14);
    const wrong: string[] = [];
    let longest = 0;

    for (let point = 0; point < POINTS; point += 1) {
      const thread = point % 2 === 0 ? "engine" : "main";
      const kind = kindAt(point);
      const ms = Math.round(random.between(0, LATEST_MS));
      const crash = `${thread} ${kind} ${ms}`;
      const wrapper = withPreload("crash.mjs", { IPTUN_CRASH: crash });
      const daemon = sideDaemon(left.host, "left", keyFile, { wrapper });
      const child = daemon.spawn();
      const knock = new Ping(left.host, "10.77.0.2", 0.1);
      await child.waitForOutput(/crash/, 30_000);
      const started = performance.now();
      const { code, stderr } = await finish(child, 30_000);
      const tookMs = performance.now() - started;
      await knock.stop();
      if (kind !== "memory") longest = Math.max(longest, tookMs);
      const limitMs = (kind === "memory" ? MEMORY_MS : LIMIT_MS) * slowness();
      const faults = [
        ...(code === 0 ? ["exit code 0"] : []),
        ...(tookMs > limitMs ? [`${Math.round(tookMs)} ms`] : []),
        ...(holdsKey(stderr, key) ? ["a key in the output"] : []),
        ...((await networkOf(left.host)) === before ? [] : ["something left behind"]),
      ];
      if (faults.length > 0) wrong.push(`${crash}: ${faults.join(", ")}; ${stderr.slice(-300)}`);
    }

    const measured = `${wrong.length} wrong, longest end ${Math.round(longest)} ms`;
    figure(
      "H14",
      `${POINTS} faults, both threads`,
      measured,
      "exit not 0 <= 1 s, no key, nothing left",
    );
    expect(wrong).toEqual([]);
  });
}, 1_800_000);

/** Each kind in each thread; a full main heap is left to H8, for it ends by the hand of V8. */
function kindAt(point: number): string {
  const kind = KINDS[(point >> 1) % KINDS.length] ?? "exception";
  return kind === "memory" && point % 2 === 1 ? "exception" : kind;
}

/** As base64, or hexadecimal: any 12 bytes in a row. */
function holdsKey(text: string, key: string): boolean {
  const hex = Buffer.from(key, "base64").toString("hex");
  const parts = (whole: string, length: number) =>
    Array.from({ length: whole.length - length }, (_, at) => whole.slice(at, at + length));
  return [...parts(key, 16), ...parts(hex, 24)].some((part) => text.includes(part));
}
