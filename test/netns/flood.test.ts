/**
 * Floods from whoever has no key, beside 8,000 packets a second of 1,400 bytes: rows F1 to F6 and F-AMP of the fault plan.
 *
 *   left ---- right ---- attacker, who forges any source and hears every answer
 *
 * The tests of every day run some of them for two seconds; scripts/torture runs all, for a minute each. The trap:
 * the machine's processors are shared by both daemons, the traffic and the attacker, so loss is of all of them.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { pause, until } from "../../scripts/netns/process.ts";
import { drops } from "../../scripts/netns/status.ts";
import { ADDRESSES, PORT } from "../../scripts/netns/topology.ts";
import { Ping } from "../../scripts/netns/traffic.ts";
import { flood, type Sources } from "../attackers/flood.ts";
import {
  besiege,
  besiegeWith,
  type FloodLab,
  firstPeer,
  type Outcome,
  openFloodLab,
  outcomeText,
  rekey,
  SECONDS,
  sentOf,
  statusOf,
} from "../attackers/flood-lab.ts";
import {
  datagramFile,
  hintedInit,
  liveHeader,
  type Overheard,
  overhear,
  stretched,
} from "../attackers/overheard.ts";
import { figure } from "../helpers/figure.ts";
import { amount, TORTURE } from "../helpers/full.ts";
import { slowness } from "../helpers/slowness.ts";

const MINUTES = 60_000;
const RANDOM: Sources = { kind: "random" };
const AS_LEFT: Sources = { kind: "one", address: ADDRESSES.left.outer4, port: PORT };
const POOL: Sources = { kind: "pool", size: 100_000 };
/** A UDP payload that fits the wire. */
const LONGEST = 1_472;
const INIT_BYTES = 120;
const MOST_MIB = 32;
const MOST_ANSWERS = 4;
/** Rekeys under a flood from the live peer's address. */
const REKEYS = 2;

/** What runs only where scripts/torture asks. */
const itInTorture = it.runIf(TORTURE !== undefined);

let lab: Lab;
let siege: FloodLab;
let known: Overheard;

beforeAll(async () => {
  lab = openLab();
  siege = await openFloodLab(lab);
  known = await overhear(siege.pair);
});
afterAll(() => lab.close());

describe("junk", () => {
  const lossOf = { 20000: 0.01, 50000: 0.03, 100000: 0.15 } as const;

  async function junk(rate: keyof typeof lossOf): Promise<void> {
    const content = { least: 0, most: LONGEST };
    const sources = RANDOM;
    const order = { ratePerSecond: rate, seconds: SECONDS, sources, content };
    const outcome = await besiegeWith(siege, order);
    check("F1", `random bytes, length and source, ${rate / 1_000} kpps`, outcome, lossOf[rate]);
    // The kernel's filter is lowered every second, so a part is counted and charged all the same.
    expect(drops(outcome.after, "bad_version")).toBeGreaterThan(
      drops(outcome.before, "bad_version"),
    );
  }

  itInTorture("F1 random datagrams, 20,000 a second", () => junk(20_000), 2 * MINUTES);
  itInTorture("F1 random datagrams, 50,000 a second", () => junk(50_000), 2 * MINUTES);
  it("F1 random datagrams, 100,000 a second", () => junk(100_000), 2 * MINUTES);
});

describe("datagrams that look like messages", () => {
  itInTorture(
    "F2 data for no session, 50,000 a second",
    async () => {
      const content = { prefix: known.data.subarray(0, 4), least: 32, most: LONGEST };
      const order = { ratePerSecond: 50_000, seconds: SECONDS, sources: RANDOM, content };
      const outcome = await besiegeWith(siege, order);
      check("F2", "data for no session, 50 kpps", outcome, 0.05);
    },
    2 * MINUTES,
  );

  async function forgedInits(rate: number, most: number): Promise<void> {
    const content = { prefix: hintedInit(known), least: INIT_BYTES, most: INIT_BYTES };
    const order = { ratePerSecond: rate, seconds: SECONDS, sources: RANDOM, content };
    const outcome = await besiegeWith(siege, order);
    check("F3", `forged INIT with the right hint, ${rate / 1_000} kpps`, outcome, most);
    const refused = drops(outcome.after, "bad_mac") - drops(outcome.before, "bad_mac");
    expect(refused).toBeGreaterThan(sentOf(outcome.reports).sent / 2);
  }

  itInTorture("F3 forged INITs, 20,000 a second", () => forgedInits(20_000, 0.05), 2 * MINUTES);
  it("F3 forged INITs, 50,000 a second", () => forgedInits(50_000, 0.15), 2 * MINUTES);
});

describe("data with the live session's index", () => {
  itInTorture(
    "F5 from other addresses, 50,000 a second",
    async () => {
      known = await overhear(siege.pair);
      const content = { prefix: liveHeader(known), least: 32, most: LONGEST };
      const order = { ratePerSecond: 50_000, seconds: SECONDS, sources: RANDOM, content };
      const outcome = await besiegeWith(siege, order);
      check("F5", "forged DATA, live index, other source, 50 kpps", outcome, 0.05);
      const refused = drops(outcome.after, "open_limited") - drops(outcome.before, "open_limited");
      expect(refused).toBeGreaterThan(0);
    },
    2 * MINUTES,
  );

  it(
    "F6 from the peer's own address, 20,000 a second",
    async () => {
      known = await overhear(siege.pair);
      const content = { prefix: liveHeader(known), least: 32, most: LONGEST };
      const order = { ratePerSecond: 20_000, seconds: SECONDS, sources: AS_LEFT, content };
      const outcome = await besiegeWith(siege, order);
      check("F6", "forged DATA, live index, the peer's address, 20 kpps", outcome, 0.1);
      const forged = drops(outcome.after, "forged") - drops(outcome.before, "forged");
      expect(forged).toBeGreaterThan(sentOf(outcome.reports).sent / 2);
    },
    2 * MINUTES,
  );
});

it(
  "F-AMP every message in every length draws no more than it brings, and nothing without the key",
  async () => {
    const { attacker, pair } = siege;
    known = await overhear(pair);
    const { init, data, resp } = known;
    const forged = [hintedInit(known), liveHeader(known), init.subarray(0, 104)];
    const others = [0, 1, 2, 3, 4, 5, 255].map((type) => Buffer.of(type, 1, 0, 0));
    const lengths = Array.from({ length: LONGEST + 1 }, (_, length) => length);
    const strange = [init, data, resp, ...forged, ...others].flatMap((bytes) =>
      lengths.flatMap((length) => {
        // As it was: that is a copy, below.
        return bytes === init && length === INIT_BYTES ? [] : [stretched(bytes, length)];
      }),
    );

    const nothing = await sendOnce("strange", strange);
    const copies = await sendOnce("copies", Array(100).fill(init));

    const factor = copies.answerBytes / copies.bytes;
    const measured = `${nothing.answers} answers to ${nothing.sent} from strangers; ${copies.answers} to ${copies.sent} copies of an INIT, bytes out / in ${factor.toFixed(3)}`;
    figure("F-AMP", "13 messages in lengths 0 to 1,472", measured, "<= 1.0; strangers 0");
    expect(nothing.sent).toBe(strange.length);
    expect(nothing.answers).toBe(0);
    expect(copies.answers).toBeGreaterThan(0);
    expect(copies.answers).toBeLessThanOrEqual(MOST_ANSWERS);
    // None longer than the INIT, and a single answer to a single copy is one of these.
    expect(copies.answerBytes).toBeLessThanOrEqual(copies.answers * INIT_BYTES);

    async function sendOnce(name: string, datagrams: readonly Buffer[]) {
      const file = join(attacker.dir, name);
      writeFileSync(file, datagramFile(datagrams));
      const content = { file, count: datagrams.length };
      const order = { ratePerSecond: 10_000, seconds: 60, sources: RANDOM, content };
      return await flood(attacker, pair.right.host, order);
    }
  },
  2 * MINUTES,
);

describe("an INIT that was captured", () => {
  function file(): string {
    const path = join(siege.attacker.dir, "init");
    writeFileSync(path, datagramFile([known.init]));
    return path;
  }

  const replay = async () =>
    await besiegeWith(siege, {
      ratePerSecond: 20_000,
      seconds: SECONDS,
      sources: POOL,
      content: { file: file() },
    });

  itInTorture(
    "F4 20,000 times a second from 100,000 sources, and after a restart of its receiver",
    async () => {
      known = await overhear(siege.pair);
      const before = await replay();
      await siege.pair.right.stop("SIGKILL");
      await siege.pair.right.start();
      // The left site would notice by itself after 15 s.
      await rekey(siege.pair);
      await siege.pair.right.waitUp();
      const after = await replay();
      for (const [when, outcome] of [["before", before] as const, ["after", after] as const]) {
        const what = `captured INIT, 20 kpps, 10^5 sources, ${when} a restart`;
        check("F4", what, outcome, 0.1, MOST_ANSWERS);
      }
    },
    3 * MINUTES,
  );

  itInTorture.each([
    ["captured", MOST_ANSWERS, () => ({ file: file() })],
    ["forged", 0, () => ({ prefix: hintedInit(known), least: INIT_BYTES, most: INIT_BYTES })],
  ] as const)(
    "F4 %s INITs from the live peer's address, over two rekeys",
    async (kind, mostAnswers, content) => {
      known = await overhear(siege.pair);
      const { attacker, pair } = siege;
      const order = { ratePerSecond: 20_000, seconds: SECONDS, sources: AS_LEFT };
      const rekeyMs: number[] = [];
      const outcome = await besiege(siege, async () => {
        const flooding = flood(attacker, pair.right.host, { ...order, content: content() });
        for (let done = 0; done < REKEYS; done += 1) {
          await pause((SECONDS * 1_000) / (REKEYS + 2));
          rekeyMs.push(await rekey(pair));
        }
        return [await flooding];
      });
      const took = rekeyMs.map((ms) => ms.toFixed(0)).join(" and ");
      const what = `${kind} INIT from the live peer's address, rekeys in ${took} ms`;
      check("F4", what, outcome, 0.1, mostAnswers, REKEYS);
    },
    2 * MINUTES,
  );

  it("lets a restarted peer come back through a flood from that peer's own address", async () => {
    const { attacker, pair } = siege;
    const content = { prefix: hintedInit(known), least: INIT_BYTES, most: INIT_BYTES };
    const order = { ratePerSecond: 20_000, seconds: 5 * slowness(), sources: AS_LEFT, content };
    const flooding = flood(attacker, pair.right.host, order);
    await pair.left.stop("SIGKILL");
    await pair.left.start();
    const knock = new Ping(pair.left.host, ADDRESSES.right.inner4, 0.05);
    await pair.left.waitUp(5_000 * slowness());
    await until("an answer through the flood", 5_000 * slowness(), () => knock.replies.at(-1));
    await knock.stop();
    expect((await flooding).answers).toBe(0);
    const status = await statusOf(pair.right);
    expect(firstPeer(status).state).toBe("up");
    const source = status.sources.find(({ address }) => address === ADDRESSES.left.outer4);
    expect(source?.charged).toBeGreaterThan(100);
  });
});

/** What holds in every row: little loss, silence, no work, nothing moved, nothing grown. */
function check(
  row: string,
  what: string,
  outcome: Outcome,
  mostLoss: number,
  mostAnswers = 0,
  sessions = 0,
): void {
  const pass = `loss <= ${mostLoss * 100} %, <= ${mostAnswers} answers, ${sessions} DH, RSS +<= 32 MB`;
  figure(row, what, outcomeText(outcome), pass);
  const { reports, before, after, loss, lossQuiet, lossAfter, grownMiB } = outcome;
  const [was, is] = [firstPeer(before), firstPeer(after)];
  // A loaded machine sends fewer; far fewer would be another test.
  const least = amount({ quick: 0.25, short: 0.8, full: 0.8 });
  for (const { sent, seconds, ratePerSecond } of reports) {
    expect(sent / seconds / ratePerSecond, "of the rate").toBeGreaterThan(least);
  }
  expect(loss - Math.max(0, lossQuiet)).toBeLessThanOrEqual(mostLoss);
  expect(lossAfter).toBeLessThanOrEqual(0.05);
  expect(sentOf(reports).answers).toBeLessThanOrEqual(mostAnswers);
  expect(grownMiB).toBeLessThanOrEqual(MOST_MIB);
  const begun = is.counters.sessions - was.counters.sessions;
  expect(after.handshakeComputations - before.handshakeComputations).toBe(begun);
  // Where attacks last a minute each, a session comes to its end in between and is followed by another.
  expect([sessions, ...(TORTURE === "full" ? [sessions + 1] : [])]).toContain(begun);
  expect(is.state).toBe("up");
  expect(is.endpoint).toBe(was.endpoint);
  expect(is.counters.endpointMoves).toBe(was.counters.endpointMoves);
}
