/**
 * Runs a target of the engine from its instrumented copy; scripts/fuzz calls it.
 *
 *     main.js fuzz TARGET COMMITTED FINDS CRASHES SECONDS SEED
 *     main.js replay TARGET FILE ...
 *     main.js minimise TARGET COMMITTED FINDS
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../helpers/random.ts";
import { BEHAVIOURS, Coverage } from "./coverage.ts";
import { Engine, type Fault } from "./engine.ts";
import type { CountedFile } from "./instrument.ts";
import { decodeProgram, encodeProgram, type Operation } from "./program.ts";
import type { Target } from "./target.ts";
import { startWatchdog } from "./watchdog.ts";

/** Which sources a target's share of counters is told of. */
const SCOPES: Readonly<Record<string, string>> = {
  wire: "src/core/",
  config: "src/config/",
  control: "src/daemon/control/",
};
const MOST_FILES = 60;
/** Programs between two looks at the clock. */
const PROGRAMS_A_LOOK = 64;
const RELOAD_MS = 20_000;

const files: readonly CountedFile[] = JSON.parse(
  readFileSync(new URL("../../../counters.json", import.meta.url), "utf8"),
);
const total = files.reduce((sum, { count }) => sum + count, 0);
// Before any instrumented module is loaded.
const hits = new Uint8Array(total + BEHAVIOURS);
globalThis.fuzzHits = hits;
const coverage = new Coverage(hits);

const [action, name = "", ...rest] = process.argv.slice(2);
const target = await loadTarget(name);
if (action === "fuzz") await fuzz(rest);
else if (action === "replay") await replay(rest);
else if (action === "minimise") await minimise(rest);
else throw new Error(`no action ${action}`);

async function loadTarget(which: string): Promise<Target> {
  const modules: Readonly<Record<string, () => Promise<Target>>> = {
    control: async () => new (await import("../targets/control.ts")).ControlTarget(),
    config: async () => new (await import("../targets/config.ts")).ConfigTarget(),
    wire: async () => new (await import("../targets/wire.ts")).WireTarget(),
  };
  const load = modules[which];
  if (load === undefined) throw new Error(`no target ${which}`);
  return await load();
}

async function fuzz([committed = "", finds = "", crashes = "", seconds = "", seed = ""]: string[]) {
  const tell = startWatchdog(crashes, name);
  const random = new Random(Number(seed));
  const engine = new Engine(target, coverage, random, (program) => tell(encodeProgram(program)));
  const known = new Set<string>();
  const fault = await load(engine, known, [committed, finds]);
  const ended = fault === undefined ? await loop(engine, finds, known, Number(seconds)) : fault;
  report(engine, Number(seconds));
  await target.close?.();
  if (ended === undefined) process.exit(0);
  save(ended, crashes);
  process.exit(1);
}

/** Seeds of the target, then every file that is not known yet. */
async function load(
  engine: Engine,
  known: Set<string>,
  directories: readonly string[],
): Promise<Fault | undefined> {
  if (known.size === 0) {
    for (const seed of target.seeds()) {
      const fault = await engine.offer(seed, true);
      if (fault !== undefined) return fault;
    }
  }
  for (const path of directories.flatMap(filesIn)) {
    if (known.has(path)) continue;
    known.add(path);
    const fault = await engine.offer(decodeProgram(readFileSync(path)));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

async function loop(
  engine: Engine,
  finds: string,
  known: Set<string>,
  seconds: number,
): Promise<Fault | undefined> {
  const end = Date.now() + seconds * 1000;
  let reload = Date.now() + RELOAD_MS;
  while (Date.now() < end) {
    for (let count = 0; count < PROGRAMS_A_LOOK; count += 1) {
      const outcome = await engine.step();
      if (outcome !== undefined && "fault" in outcome) return outcome.fault;
      if (outcome !== undefined) known.add(write(finds, encodeProgram(outcome.added)));
    }
    if (Date.now() > reload) {
      const fault = await load(engine, known, [finds]);
      if (fault !== undefined) return fault;
      reload = Date.now() + RELOAD_MS;
      // Lets the watchdog start, and signals through.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  return undefined;
}

function filesIn(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .sort()
    .map((file) => join(directory, file));
}

/** Named by its content, as libFuzzer does. */
function write(directory: string, bytes: Uint8Array): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, createHash("sha1").update(bytes).digest("hex"));
  writeFileSync(path, bytes);
  return path;
}

function save({ error, program }: Fault, crashes: string): void {
  const path = write(crashes, encodeProgram(program));
  const text = error instanceof Error ? error.stack : String(error);
  process.stderr.write(`${text}\ncrash: scripts/fuzz ${name} --replay ${path}\n`);
}

function report(engine: Engine, seconds: number): void {
  const scope = SCOPES[name] ?? "src/";
  const scoped = files.filter(({ file }) => file.startsWith(scope));
  const all = scoped.reduce((sum, { count }) => sum + count, 0);
  const hit = scoped.reduce((sum, { first, count }) => sum + coverage.hitIn(first, count), 0);
  const figures: Readonly<Record<string, number>> = {
    programs: engine.executed,
    ...target.counts(),
  };
  const { user, system } = process.cpuUsage();
  const cpuSeconds = (user + system) / 1e6;
  for (const [what, count] of Object.entries(figures)) {
    const rates = `${Math.round(count / seconds)} a second, ${Math.round(count / cpuSeconds)} a CPU second`;
    process.stdout.write(`${name}: ${count} ${what}, ${rates}\n`);
  }
  process.stdout.write(
    `${name}: ${hit} of ${all} counters of ${scope} hit (${((100 * hit) / all).toFixed(1)} %), ` +
      `${coverage.features} features, ${engine.corpus.length} programs kept\n`,
  );
  for (const { file, first, count } of scoped) {
    const reached = coverage.hitIn(first, count);
    if (reached < count) process.stdout.write(`  ${file}: ${reached} of ${count}\n`);
  }
}

/** Runs programs of any length, each on new state, and lets what they throw through. */
async function replay(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await target.begin();
    for (const operation of decodeProgram(readFileSync(path), Number.POSITIVE_INFINITY)) {
      await target.run(operation);
    }
  }
  await target.close?.();
  process.stdout.write(`${paths.length} programs ran\n`);
  process.exit(0);
}

/** Leaves few programs that together reach what all of them do on new state: the one that adds most first. */
async function minimise([committed = "", finds = ""]: string[]): Promise<void> {
  const engine = new Engine(target, coverage, new Random(1), () => {});
  const programs = [...target.seeds(), ...[committed, finds].flatMap(filesIn).map(read)];
  const candidates: { program: readonly Operation[]; edges: ReadonlySet<number> }[] = [];
  for (const program of programs) {
    // Edges alone: with counts there would be hundreds.
    const features = await engine.featuresOf(program);
    candidates.push({ program, edges: new Set(features.map((feature) => feature >> 3)) });
  }
  const chosen: (readonly Operation[])[] = [];
  for (const covered = new Set<number>(); chosen.length < MOST_FILES; ) {
    const news = (edges: ReadonlySet<number>) => [...edges].filter((edge) => !covered.has(edge));
    const best = candidates
      .map(({ program, edges }) => ({ program, edges, count: news(edges).length }))
      .reduce((a, b) => (b.count > a.count ? b : a));
    if (best.count === 0) break;
    chosen.push(best.program);
    for (const edge of best.edges) covered.add(edge);
  }
  rmSync(committed, { recursive: true, force: true });
  for (const program of chosen) write(committed, encodeProgram(program));
  await target.close?.();
  process.stdout.write(`${name}: ${chosen.length} files\n`);
  process.exit(0);
}

function read(path: string): readonly Operation[] {
  return decodeProgram(readFileSync(path));
}
