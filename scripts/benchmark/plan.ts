/**
 * What a run will do and how long that takes: rounds, seconds, and which tests on which link.
 *
 * Everything is measured over the link as it is; over the others what a link can change: TCP and UDP.
 * A quick run takes as many rounds, up to three, as end within its limit. The limit itself is kept by
 * rounds.ts, because an estimate is not a promise.
 */
import type { Options } from "./arguments.ts";
import type { LinkName } from "./links.ts";
import type { SubjectName } from "./subjects.ts";
import { type Effort, TESTS, type TestName } from "./tests.ts";

/** What a run does. */
export interface Plan {
  readonly rounds: number;
  readonly effort: Effort;
  readonly links: readonly LinkName[];
  readonly subjects: readonly SubjectName[];
  readonly tests: Readonly<Record<LinkName, readonly TestName[]>>;
  /** Seconds after which no further test starts. */
  readonly limitSeconds: number;
  readonly isQuick: boolean;
}

/** Opening, warming up and closing of one subject. */
const OPENING_SECONDS = 4.5;
const QUICK = { seconds: 2, pings: 100, rounds: 3, limitSeconds: 300 };
const WHOLE = { seconds: 5, pings: 300, rounds: 3, limitSeconds: 3600 };
/** An estimate may be short by this factor. */
const SLACK = 1.1;

const EVERYTHING = Object.keys(TESTS) as readonly TestName[];
const TRAFFIC: readonly TestName[] = EVERYTHING.filter((test) =>
  ["tcp-1", "tcp-1-back", "tcp-4", "tcp-4-back", "udp-1300", "udp-64"].includes(test),
);
const TRAFFIC_QUICK: readonly TestName[] = ["tcp-1", "udp-1300"];

/** The plan for what was asked. */
export function planOf(options: Options): Plan {
  const size = options.isQuick ? QUICK : WHOLE;
  const others = options.isQuick ? TRAFFIC_QUICK : TRAFFIC;
  const plan: Plan = {
    rounds: 1,
    effort: { seconds: options.seconds ?? size.seconds, pings: size.pings },
    links: options.links,
    subjects: options.subjects,
    tests: { "as-is": EVERYTHING, nic: others, off: others },
    limitSeconds: size.limitSeconds,
    isQuick: options.isQuick,
  };
  if (!options.isQuick) return widened({ ...plan, rounds: options.rounds ?? size.rounds }, options);
  if (options.rounds !== undefined) return { ...plan, rounds: options.rounds };
  const fitting = Math.floor(size.limitSeconds / (estimatedSeconds(plan) * SLACK));
  return { ...plan, rounds: Math.min(size.rounds, Math.max(1, fitting)) };
}

/** Seconds that the whole plan will take. */
export function estimatedSeconds(plan: Plan): number {
  const perLink = plan.links.map((link) => {
    const tests = plan.tests[link].map((test) => TESTS[test].seconds(plan.effort));
    return tests.reduce((sum, seconds) => sum + seconds, OPENING_SECONDS);
  });
  return perLink.reduce((sum, seconds) => sum + seconds, 0) * plan.subjects.length * plan.rounds;
}

/** Who asks for more rounds or seconds than an hour holds gets them. */
function widened(plan: Plan, { rounds, seconds }: Options): Plan {
  if (rounds === undefined && seconds === undefined) return plan;
  return { ...plan, limitSeconds: Math.max(plan.limitSeconds, estimatedSeconds(plan) * 1.5) };
}
