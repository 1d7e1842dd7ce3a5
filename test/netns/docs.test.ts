/**
 * What the pages tell to type, typed: each block that is marked so, in the order of its page, on the page's own hosts.
 *
 * test/docs/pages.ts says how a block is marked. A line that runs a tunnel goes on beside what follows, once it says that
 * it is up; a ping is repeated until it is answered; every other line must succeed, but that the doctor may find something.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { InstalledHost } from "../../scripts/netns/installed.ts";
import { withLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { type Block, blocksOf, commandsOf, pages, textOf } from "../docs/pages.ts";
import { figure } from "../helpers/figure.ts";
import { slowness } from "../helpers/slowness.ts";
import { type DocsHosts, LABS, runningPair } from "./docs-labs.ts";

/** A daemon's start on a machine that does much else. */
const START_MS = 45_000;
/** Of what goes on beside the lines that follow. */
const STAYS = /^iptun (?:run |--config )/;

const marked = pages()
  .map((page) => ({ page, blocks: blocksOf(page).filter(({ mark }) => isDone(mark)) }))
  .filter(({ blocks }) => blocks.length > 0);
/** Two pages begin with nothing; one tunnel that runs does for all the others. */
const groups = [
  ...marked.filter(({ page }) => page in LABS),
  {
    page: "the others",
    blocks: marked.flatMap(({ page, blocks }) => (page in LABS ? [] : blocks)),
  },
];

describe("what a page tells to type", () => {
  it.each(groups)("works: $page", async ({ page, blocks }) => {
    await withLab(async (lab) => {
      const hosts = await (LABS[page] ?? runningPair)(lab);
      const started = performance.now();
      for (const block of blocks) await follow(block, hosts);
      const seconds = (performance.now() - started) / 1000;

      const lines = blocks.reduce((sum, block) => sum + commandsOf(block).length, 0);
      const what = `${page}: ${blocks.length} blocks, ${lines} lines, with no time to type`;
      figure("docs", what, `${seconds.toFixed(1)} s`, "60 s");
      expect(blocks.length).toBeGreaterThan(0);
      expect(seconds).toBeLessThan(60 * slowness());
    });
  });

  it("is there in README, and in a page for who begins", () => {
    const commands = (page: string) => blocksOf(page).flatMap(commandsOf);

    expect(groups.map(({ page }) => page)).toEqual([...Object.keys(LABS), "the others"]);
    expect(commands("README.md").slice(0, 20)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^iptun init .*--endpoint/)]),
    );
    expect(textOf("README.md")).toContain("docs/quick-start.md");
  });
});

function isDone(mark: Block["mark"]): boolean {
  return mark?.kind === "run" || mark?.kind === "file";
}

async function follow(block: Block, hosts: DocsHosts): Promise<void> {
  const { page, line, mark } = block;
  try {
    if (mark?.kind === "file") {
      for (const { host, path } of mark.places) writeTo(named(hosts, host), path, block.code);
    }
    if (mark?.kind === "run") {
      for (const command of commandsOf(block)) await type(named(hosts, mark.host), command);
    }
  } catch (cause) {
    throw new Error(`${page}:${line}: ${(cause as Error).message}`, { cause });
  }
}

async function type(host: InstalledHost, line: string): Promise<void> {
  if (STAYS.test(line)) await host.start(line).waitForOutput(/ is up, listening /, START_MS);
  else if (line.startsWith("ping ")) await answered(host, line);
  else if (line.startsWith("iptun doctor")) await host.run(`${line} || [ $? = 1 ]`);
  else await host.run(line);
}

/** Repeats a ping until it is answered. */
async function answered(host: InstalledHost, line: string): Promise<void> {
  let fault = "";
  await until(`answer to ${line}`, START_MS, async () => {
    const isRight = await host.run(line).then(
      () => true,
      (error: Error) => {
        fault = error.message;
        return false;
      },
    );
    return isRight ? true : undefined;
  }).catch((cause) => {
    throw new Error(`${(cause as Error).message}: ${fault}`, { cause });
  });
}

function named(hosts: DocsHosts, name: string): InstalledHost {
  const host = hosts[name];
  if (host === undefined) throw new Error(`the page's lab has no host "${name}"`);
  return host;
}

function writeTo({ root }: InstalledHost, path: string, text: string): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${text}\n`, { mode: 0o600 });
}
