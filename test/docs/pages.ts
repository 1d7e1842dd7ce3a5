/**
 * The pages that a user reads, taken apart: blocks with their marks, headings as anchors, links.
 *
 * A mark is an HTML comment in the line above a block, which no reader sees:
 *
 *   <!-- run: hub -->                           typed on that host of the page's lab (test/netns/docs.test.ts)
 *   <!-- not run: needs a second machine -->    and why
 *   <!-- file: hub:/etc/iptun/iptun0.toml -->   the block is this file there, before what follows is typed
 *
 * The trap: Markdown is read by lines and regular expressions, as far as these pages use it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = new URL("../..", import.meta.url).pathname;

export type Mark =
  | { readonly kind: "run"; readonly host: string }
  | { readonly kind: "not run"; readonly reason: string }
  | { readonly kind: "file"; readonly places: readonly FilePlace[] };

export interface FilePlace {
  readonly host: string;
  readonly path: string;
}

export interface Block {
  /** Path below the repository's root. */
  readonly page: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  readonly mark: Mark | undefined;
}

export interface Link {
  readonly line: number;
  readonly target: string;
}

/** The Markdown pages: README, CHANGELOG and all below docs and contrib. */
export function pages(): readonly string[] {
  const below = ["docs", "contrib"].flatMap((folder) => filesBelow(folder));
  return ["README.md", "CHANGELOG.md", ...below.filter((name) => name.endsWith(".md"))];
}

/** Files below a folder of the repository, as paths from its root. */
export function filesBelow(folder: string): readonly string[] {
  const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map(({ parentPath, name }) => join(parentPath, name).slice(ROOT.length)).toSorted();
}

export function textOf(page: string): string {
  return readFileSync(join(ROOT, page), "utf8");
}

/** Every fenced block of a page, in order. */
export function blocksOf(page: string, text: string = textOf(page)): readonly Block[] {
  const blocks: Block[] = [];
  const lines = text.split("\n");
  for (let start = 0; start < lines.length; start++) {
    const fence = /^(\s*)```(\S*)/.exec(lines[start] ?? "");
    if (fence === null) continue;
    const [, indent = "", language = ""] = fence;
    const length = lines.slice(start + 1).indexOf(`${indent}\`\`\``);
    if (length < 0) throw new Error(`${page}:${start + 1}: the block has no end`);
    const code = lines.slice(start + 1, start + 1 + length).map((one) => one.slice(indent.length));
    const mark = readMark(lines[start - 1] ?? "", `${page}:${start}`);
    blocks.push({ page, line: start + 1, language, code: code.join("\n"), mark });
    start += length + 1;
  }
  return blocks;
}

function readMark(line: string, where: string): Mark | undefined {
  const comment = /^\s*<!-- (.*) -->$/.exec(line)?.[1];
  if (comment === undefined) return undefined;
  const [, kind, rest = ""] = /^(run|not run|file): (\S.*)$/.exec(comment) ?? [];
  if (kind === "run") return { kind, host: rest };
  if (kind === "not run") return { kind, reason: rest };
  if (kind !== "file") throw new Error(`${where}: no mark is written "${comment}"`);
  const places = rest.split(", ").map((place) => {
    const [host = "", path = ""] = place.split(":");
    return { host, path };
  });
  return { kind, places };
}

/** The lines of a block to type; one that ends with a backslash goes on in the next. */
export function commandsOf({ code }: Block): readonly string[] {
  const lines = code.replaceAll(/\\\n\s*/g, "").split("\n");
  return lines.filter((line) => line.trim() !== "" && !line.trim().startsWith("#"));
}

/** What `#name` can name on a page: its headings, as GitHub makes anchors of them. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of withoutCode(text).matchAll(/^#{1,6} (.*)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const base = plain.replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-");
    let anchor = base;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${base}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Every link and picture of a page. */
export function linksOf(text: string): readonly Link[] {
  return withoutCode(text)
    .split("\n")
    .flatMap((line, index) =>
      [...line.matchAll(/\]\(([^()\s]+)(?: "[^"]*")?\)|<(https?:[^>\s]+)>/g)].map(
        ([, inline, bare]) => ({ line: index + 1, target: inline ?? bare ?? "" }),
      ),
    );
}

/** The text with the insides of blocks and of `code` left empty, so that line numbers stay. */
function withoutCode(text: string): string {
  const empty = (block: string) => block.replaceAll(/[^\n]/g, "");
  return text.replaceAll(/^\s*```[\s\S]*?^\s*```$/gm, empty).replaceAll(/`[^`\n]*`/g, (code) => {
    return code.includes("](") ? "" : code;
  });
}
