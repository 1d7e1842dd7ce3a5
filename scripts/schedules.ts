/**
 * Runs schedules of test/reference in worker processes: how many, which rule failed for which seed, how often
 * the interesting states were reached, and what one costs.
 *
 * Ends with 1 where a schedule failed, or where a state that must be reached was not. `--show` plays one seed
 * again and prints what happened in it.
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { argv, execArgv, exit, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Crypto, runSchedule, runSeed } from "../test/reference/run.ts";
import { Summary, type SummaryPart } from "../test/reference/summary.ts";

const USAGE = `usage: scripts/schedules [COUNT] [options]

  COUNT        schedules, 10000 by default
  --real       with libsodium's primitives in place of the stub
  --from SEED  the first seed, 1 by default
  --jobs N     processes, as many as the machine has processors by default
  --show SEED  plays one schedule and prints its last lines
`;

/** Schedules between two messages of a worker. */
const PART = 50;
/** Milliseconds between two lines of progress. */
const PROGRESS_MS = 10_000;
/** Lines that `--show` prints. */
const SHOWN_LINES = 200;
/** From so many schedules on every state must have been reached. */
const COVERING_COUNT = 3_000;

interface Plan {
  readonly count: number;
  readonly crypto: Crypto;
  readonly from: number;
  readonly jobs: number;
  readonly show: number | undefined;
  /** Which of the jobs this process is; undefined: the one that starts them. */
  readonly worker: number | undefined;
}

const plan = readPlan();
if (plan.show !== undefined) show(plan.show, plan.crypto);
else if (plan.worker !== undefined) work(plan, plan.worker);
else exit(await lead(plan));

function readPlan(): Plan {
  try {
    const { values, positionals } = parseArgs({
      args: argv.slice(2),
      allowPositionals: true,
      options: {
        real: { type: "boolean" },
        from: { type: "string" },
        jobs: { type: "string" },
        show: { type: "string" },
        worker: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) return leave(USAGE, 0);
    return {
      count: whole("COUNT", positionals[0]) ?? 10_000,
      crypto: values.real === true ? "real" : "stub",
      from: whole("--from", values.from) ?? 1,
      jobs: Math.max(1, whole("--jobs", values.jobs) ?? availableParallelism()),
      show: whole("--show", values.show),
      worker: whole("--worker", values.worker),
    };
  } catch (error) {
    return leave(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`, 2);
  }
}

function leave(text: string, code: number): never {
  stdout.write(text);
  exit(code);
}

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw new Error(`${name}: "${text}" is no whole number`);
  return Number(text);
}

/** Plays every n-th seed and tells the leader about it. */
function work({ count, from, jobs, crypto }: Plan, worker: number): void {
  let part = new Summary();
  for (let index = worker; index < count; index += jobs) {
    part.add(from + index, runSeed(from + index, crypto));
    if (part.count < PART && index + jobs < count) continue;
    process.send?.(part.toPart());
    part = new Summary();
  }
}

/** Starts the workers and adds up what they tell; returns the exit code. */
async function lead(given: Plan): Promise<number> {
  const summary = new Summary();
  const start = performance.now();
  const ticker = setInterval(() => stdout.write(progress(summary, given, start)), PROGRESS_MS);
  const jobs = Math.min(given.jobs, given.count);
  const ends = Array.from({ length: jobs }, (_, worker) => runWorker(given, jobs, worker, summary));
  const isWhole = (await Promise.all(ends)).every((isEnded) => isEnded);
  clearInterval(ticker);
  stdout.write(progress(summary, given, start) + summary.text());
  const unreached = summary.count >= COVERING_COUNT ? summary.unreached() : [];
  if (unreached.length > 0) stdout.write(`never reached: ${unreached.join(", ")}\n`);
  const isGood = isWhole && summary.count === given.count && summary.failures.length === 0;
  return isGood && unreached.length === 0 ? 0 : 1;
}

/** Resolves when the process has ended: whether it ended well. */
function runWorker(given: Plan, jobs: number, worker: number, summary: Summary): Promise<boolean> {
  const words = [`${given.count}`, "--from", `${given.from}`, "--jobs", `${jobs}`];
  if (given.crypto === "real") words.push("--real");
  const child = fork(fileURLToPath(import.meta.url), [...words, "--worker", `${worker}`], {
    execArgv,
  });
  child.on("message", (part: SummaryPart) => {
    for (const { seed, text } of part.failures) stdout.write(`seed ${seed}: ${text}\n`);
    summary.join(part);
  });
  return new Promise((resolve) => {
    child.on("exit", (code) => resolve(code === 0));
  });
}

function progress({ count, failures, busyMs }: Summary, given: Plan, start: number): string {
  const elapsed = performance.now() - start;
  const left = count === 0 ? 0 : (elapsed / count) * (given.count - count);
  const each = (busyMs / Math.max(count, 1)).toFixed(2);
  return (
    `${count} of ${given.count} (${given.crypto}), ${failures.length} failed, ` +
    `${each} ms of one processor each, ${minutes(elapsed)} gone, ${minutes(left)} left\n`
  );
}

function minutes(ms: number): string {
  return `${(ms / 60_000).toFixed(1)} min`;
}

function show(seed: number, crypto: Crypto): void {
  const lines: string[] = [];
  try {
    runSchedule(seed, { crypto, lines });
    lines.push("every rule held");
  } catch (error) {
    lines.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  stdout.write(`${lines.slice(-SHOWN_LINES).join("\n")}\n`);
}
