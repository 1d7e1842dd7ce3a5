/**
 * Runs one row: the tests that bear its id, by vitest, and what they measured.
 *
 * The trap: vitest loads every file that it is given, and there are hundreds, so only those that name the row are given.
 */
import { spawn } from "node:child_process";
import { createWriteStream, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Figure } from "../../test/helpers/figure.ts";
import { ROOT } from "../netns/process.ts";
import type { Row } from "./rows.ts";

const NETNS = "test/netns/";

/** One test, or one command. */
export interface Case {
  readonly name: string;
  readonly isOk: boolean;
}

export interface RowResult {
  readonly row: Row;
  readonly cases: readonly Case[];
  readonly figures: readonly Figure[];
  readonly seconds: number;
  /** What was printed, on disk. */
  readonly logFile: string;
}

export interface RunOptions {
  readonly isShort: boolean;
  /** Where logs and reports are put. */
  readonly folder: string;
}

/** The part of vitest's JSON report that is read. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message?: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** Runs a row to its end. */
export async function runRow(row: Row, options: RunOptions): Promise<RowResult> {
  const started = performance.now();
  const logFile = join(options.folder, `${row.id}.log`);
  const figureFile = join(options.folder, `${row.id}.figures`);
  const log = createWriteStream(logFile);
  const env = {
    ...process.env,
    IPTUN_TORTURE: options.isShort ? "short" : "full",
    IPTUN_FULL: options.isShort ? "0" : "1",
    IPTUN_FIGURES: figureFile,
  };
  const run = { env, log };
  const cases: Case[] = [];
  const files = filesOf(row.id);
  for (const isNetns of [false, true]) {
    const own = files.filter((file) => file.startsWith(NETNS) === isNetns);
    if (own.length === 0) continue;
    const report = join(options.folder, `${row.id}-${isNetns ? "netns" : "unit"}.json`);
    await execute(vitest(row.id, own, isNetns, report), run);
    cases.push(...readCases(report));
  }
  if (row.command !== undefined && !options.isShort) {
    const code = await execute(row.command, run);
    cases.push({ name: row.command.join(" "), isOk: code === 0 });
  }
  log.end();
  const seconds = Math.round((performance.now() - started) / 1000);
  return { row, cases, figures: readFigures(figureFile), seconds, logFile };
}

/** Test files that have a test of this row: its id opens a string. */
function filesOf(id: string): readonly string[] {
  const opens = new RegExp(`["'\`]${id}[ :,]`);
  return readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .map((file) => join("test", file))
    .filter(
      (file) => file.endsWith(".test.ts") && opens.test(readFileSync(join(ROOT, file), "utf8")),
    )
    .sort();
}

function vitest(
  id: string,
  files: readonly string[],
  isNetns: boolean,
  report: string,
): readonly string[] {
  const config = isNetns ? ["--config", "vitest.netns.config.ts"] : [];
  const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${report}`];
  const named = ["-t", `(^|\\s)${id}[ :,]`, ...files];
  return ["node_modules/.bin/vitest", "run", ...config, ...reporters, ...named];
}

/** Runs a command with its output in the log; returns its exit code. */
async function execute(
  command: readonly string[],
  run: { readonly env: NodeJS.ProcessEnv; readonly log: NodeJS.WritableStream },
): Promise<number | null> {
  const [file = "", ...args] = command;
  const stdio = ["ignore", "pipe", "pipe"] as const;
  const child = spawn(file, args, { cwd: ROOT, env: run.env, stdio: [...stdio] });
  child.stdout?.pipe(run.log, { end: false });
  child.stderr?.pipe(run.log, { end: false });
  return await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}

/** The tests that ran; a file that could not be loaded is one that failed. */
function readCases(file: string): readonly Case[] {
  const { testResults } = JSON.parse(readOr(file, '{"testResults":[]}')) as Report;
  return testResults.flatMap(({ name, status, message = "", assertionResults }) => {
    const ran = assertionResults.filter((test) => ["passed", "failed"].includes(test.status));
    const cases = ran.map((test) => ({ name: test.fullName, isOk: test.status === "passed" }));
    const isBroken = status === "failed" && cases.every(({ isOk }) => isOk);
    return isBroken ? [...cases, { name: `${name} ${message}`.trim(), isOk: false }] : cases;
  });
}

function readFigures(file: string): readonly Figure[] {
  const lines = readOr(file, "").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Figure);
}

function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return otherwise;
    throw error;
  }
}
