/**
 * The order of rounds, and what a failure and the end of the time do to it.
 */
import { describe, expect, it } from "vitest";
import type { LinkName } from "../../scripts/benchmark/links.ts";
import type { Figures } from "../../scripts/benchmark/metrics.ts";
import type { Plan } from "../../scripts/benchmark/plan.ts";
import { type Bench, rotated, runRounds } from "../../scripts/benchmark/rounds.ts";
import type { SubjectName } from "../../scripts/benchmark/subjects.ts";
import type { TestName } from "../../scripts/benchmark/tests.ts";

describe("rounds", () => {
  it("bring each test to every subject before the next test, and begin with another one each time", async () => {
    const world = new FakeWorld();

    await runRounds(planFor({ rounds: 2 }), world);

    expect(world.steps).toEqual([
      "open iptun as-is, open fastd as-is",
      "tcp-1 iptun, tcp-1 fastd, udp-1300 iptun, udp-1300 fastd",
      "close iptun, close fastd",
      "open fastd as-is, open iptun as-is",
      "tcp-1 fastd, tcp-1 iptun, udp-1300 fastd, udp-1300 iptun",
      "close fastd, close iptun",
    ]);
  });

  it("keep every figure with its place", async () => {
    const { samples } = await runRounds(planFor({ rounds: 2 }), new FakeWorld());

    expect(samples).toHaveLength(8);
    expect(samples.at(-1)).toEqual({
      round: 2,
      link: "as-is",
      subject: "iptun",
      metric: "udp-1300",
      value: 1,
    });
  });

  it("give a test what the same round found before on the same tunnel", async () => {
    const world = new FakeWorld();

    await runRounds(planFor({ rounds: 2 }), world);

    expect(world.earlier.map((figures) => figures.map(([metric]) => metric))).toEqual([
      ...[[], [], ["tcp-1"], ["tcp-1"]],
      ...[[], [], ["tcp-1"], ["tcp-1"]],
    ]);
  });

  it("measure over every link", async () => {
    const { samples } = await runRounds(planFor({ links: ["nic", "off"] }), new FakeWorld());

    expect(samples.map(({ link, metric }) => `${link} ${metric}`)).toEqual([
      ...["nic tcp-1", "nic tcp-1", "off udp-1300", "off udp-1300"],
    ]);
  });

  it("go on after a test that fails, and keep why", async () => {
    const world = new FakeWorld({ broken: "tcp-1 iptun" });

    const outcome = await runRounds(planFor({}), world);

    expect(outcome.failures).toEqual([
      { round: 1, link: "as-is", subject: "iptun", test: "tcp-1", message: "tcp-1 iptun broke" },
    ]);
    expect(outcome.samples).toHaveLength(3);
    expect(world.steps.at(-1)).toBe("close iptun, close fastd");
  });

  it("leave out a subject that does not open", async () => {
    const world = new FakeWorld({ broken: "open iptun as-is" });

    const outcome = await runRounds(planFor({}), world);

    expect(outcome.failures).toMatchObject([{ subject: "iptun", test: "open" }]);
    expect(outcome.samples.map(({ subject }) => subject)).toEqual(["fastd", "fastd"]);
    expect(world.steps.at(-1)).toBe("close fastd");
  });

  it("close what is open when the world breaks under them", async () => {
    const world = new FakeWorld();
    world.secondsOf = () => {
      throw new Error("no such test");
    };

    await expect(runRounds(planFor({}), world)).rejects.toThrow("no such test");

    expect(world.steps.at(-1)).toBe("close iptun, close fastd");
  });

  it("start nothing that would end after the limit", async () => {
    const world = new FakeWorld();

    const outcome = await runRounds(planFor({ rounds: 5, limitSeconds: 12 }), world);

    expect(outcome.isCut).toBe(true);
    expect(world.seconds).toBeLessThanOrEqual(12);
    expect(outcome.samples).toHaveLength(2);
    expect(world.opened).toBe(world.closed);
  });

  it("that end in time are not cut", async () => {
    expect((await runRounds(planFor({}), new FakeWorld())).isCut).toBe(false);
  });
});

describe("a rotated list", () => {
  it.each([
    [0, [1, 2, 3]],
    [1, [2, 3, 1]],
    [4, [2, 3, 1]],
    [5, [3, 1, 2]],
  ])("by %d is %j", (shift, expected) => {
    expect(rotated([1, 2, 3], shift)).toEqual(expected);
  });

  it("that is empty stays empty", () => {
    expect(rotated([], 3)).toEqual([]);
  });
});

function planFor(parts: Partial<Plan>): Plan {
  return {
    rounds: 1,
    effort: { seconds: 5, pings: 10 },
    links: ["as-is"],
    subjects: ["iptun", "fastd"],
    tests: { "as-is": ["tcp-1", "udp-1300"], nic: ["tcp-1"], off: ["udp-1300"] },
    limitSeconds: 1000,
    isQuick: false,
    ...parts,
  };
}

/** Every test takes 5 s and gives one figure; the time is its own. */
class FakeWorld implements Bench<SubjectName> {
  readonly steps: string[] = [];
  readonly earlier: Figures[] = [];
  seconds = 0;
  opened = 0;
  closed = 0;
  readonly #broken: string;

  constructor({ broken = "" } = {}) {
    this.#broken = broken;
  }

  async open(subject: SubjectName, link: LinkName): Promise<SubjectName> {
    this.#step("open", `open ${subject} ${link}`);
    this.opened += 1;
    return subject;
  }

  async measure(subject: SubjectName, test: TestName, earlier: Figures): Promise<Figures> {
    this.earlier.push([...earlier]);
    this.#step("measure", `${test} ${subject}`);
    this.seconds += 5;
    return [[test === "tcp-1" ? "tcp-1" : "udp-1300", 1]];
  }

  async close(subject: SubjectName): Promise<void> {
    this.#step("close", `close ${subject}`);
    this.closed += 1;
  }

  secondsOf: (test: TestName) => number = () => 5;

  now(): number {
    return this.seconds;
  }

  progress(): void {}

  #kind = "";

  /** Steps of one kind in a row go into one line. */
  #step(kind: string, text: string): void {
    const isSame = this.#kind === kind && this.steps.length > 0;
    if (isSame) this.steps.push(`${this.steps.pop()}, ${text}`);
    else this.steps.push(text);
    this.#kind = kind;
    if (text === this.#broken) throw new Error(`${text} broke\nin detail`);
  }
}
