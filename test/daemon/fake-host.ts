/**
 * A host's policy routing and nftables in memory, spoken to by `ip` and `nft` as the daemon runs them.
 *
 * Only what the daemon says is understood; anything else throws, so that a test cannot pass by a word that the
 * real programs would refuse. What the real ones answer was copied from them (iproute2 6.1, nftables 1.0.6).
 */
import type { ProcessResult, RunProcess } from "../../src/daemon/host/ip-command.ts";

type Json = Readonly<Record<string, unknown>>;
type Family = "-4" | "-6";

const FRESH: readonly Json[] = [
  { priority: 0, src: "all", table: "255" },
  { priority: 32766, src: "all", table: "254" },
];

/** One family's rules and routes, as `ip -N -j` prints them. */
export interface FakeFamily {
  rules: Json[];
  /** With `table`; main's are 254. */
  routes: Json[];
}

export class FakeHost {
  readonly families: Record<Family, FakeFamily> = {
    "-4": { rules: [...FRESH], routes: [] },
    "-6": { rules: [...FRESH], routes: [] },
  };
  /** Tables of nftables by name, with the text that made them. */
  readonly tables = new Map<string, string>();
  /** Each command that changes something, in order; reads are left out. */
  readonly changes: string[] = [];
  /** What a command answers in place of being done, by what it contains. */
  readonly failures = new Map<string, string>();
  /** Called before each change. */
  onChange: (command: string) => void = () => undefined;
  hasNft = true;
  hasIpv6 = true;

  /** Takes the place of `runProcess`. */
  readonly run: RunProcess = async (file, args, input) => {
    if (file === "nft") return this.#nft(args, input);
    if (file !== "ip") throw new Error(`no program ${file}`);
    const words = args.filter((arg) => !["-N", "-j", "-force", "-batch", "-"].includes(arg));
    const [family = "-4"] = words.filter((word) => word === "-4" || word === "-6") as Family[];
    const rest = words.filter((word) => word !== family);
    const lines = args.includes("-batch") ? input.trim().split("\n") : [rest.join(" ")];
    return this.#ip(family, lines, args.includes("-force"));
  };

  /** All that there is, for comparing. */
  state(): string {
    return JSON.stringify([this.families, [...this.tables]]);
  }

  #ip(family: Family, lines: readonly string[], isForced: boolean): ProcessResult {
    let stdout = "";
    let stderr = "";
    for (const [at, line] of lines.entries()) {
      const answer = this.#ipLine(family, line);
      if (answer.startsWith("[")) stdout += `${answer}\n`;
      else if (answer !== "") stderr += `${answer}\nCommand failed -:${at + 1}\n`;
      if (!answer.startsWith("[") && answer !== "" && !isForced) break;
    }
    return { exitCode: stderr === "" ? 0 : 1, stdout, stderr, startError: undefined };
  }

  #ipLine(family: Family, line: string): string {
    const { rules, routes } = this.families[family];
    if (family === "-6" && !this.hasIpv6) return "RTNETLINK answers: Operation not supported";
    const [object, verb, ...words] = line.split(" ");
    // The device itself is nobody's concern here; it does not exist before.
    if (object !== "rule" && object !== "route") {
      return verb === "show" ? "Device does not exist." : "";
    }
    if (verb === "show") {
      return JSON.stringify(object === "rule" ? rules : shownRoutes(routes, words));
    }
    this.onChange(line);
    this.changes.push(`${family} ${line}`);
    const failure = [...this.failures].find(([part]) => line.includes(part))?.[1];
    if (failure !== undefined) return failure;
    const made = object === "rule" ? parseRule(words) : parseRoute(words);
    return change(object === "rule" ? rules : routes, verb ?? "", made, object === "rule");
  }

  #nft(args: readonly string[], input: string): ProcessResult {
    const result = { exitCode: 0, stdout: "", stderr: "", startError: undefined };
    if (!this.hasNft) {
      return { ...result, exitCode: undefined, startError: "spawn nft ENOENT" };
    }
    if (args[0] === "list") {
      const text = this.tables.get(args[3] ?? "");
      return text === undefined ? { ...result, exitCode: 1 } : { ...result, stdout: text };
    }
    this.onChange(input);
    this.changes.push(`nft ${input.includes("{") ? "set" : "remove"}`);
    const failure = [...this.failures].find(([part]) => `nft ${input}`.includes(part))?.[1];
    if (failure !== undefined) return { ...result, exitCode: 1, stderr: failure };
    const name = /^add table inet (\S+)\ndelete table inet \1\n/.exec(input)?.[1];
    if (name === undefined) throw new Error(`not understood by nft: ${input}`);
    this.tables.delete(name);
    if (input.includes(`\ntable inet ${name} {`)) this.tables.set(name, input);
    return result;
  }
}

function shownRoutes(routes: readonly Json[], words: readonly string[]): readonly Json[] {
  const [, table, kind, value] = words;
  if (table === "all" && kind === "dev") {
    return routes.filter(({ dev }) => dev === value).map(({ dev: _, ...rest }) => rest);
  }
  // Of what is asked for by `match`, a test puts into main only what it would let through.
  const wanted = table === "main" ? "254" : table;
  return routes.filter((route) => route["table"] === wanted).map(({ table: _, ...rest }) => rest);
}

function parseRule(words: readonly string[]): Json {
  const text = words.join(" ");
  const main = /^priority (\d+) from all lookup main suppress_prefixlength 0$/.exec(text);
  if (main !== null) {
    return { priority: Number(main[1]), src: "all", table: "254", suppress_prefixlen: 0 };
  }
  const own = /^not from all fwmark (\d+) lookup (\d+) priority (\d+)$/.exec(text);
  if (own === null) throw new Error(`not understood by ip: rule ${text}`);
  const fwmark = `0x${Number(own[1]).toString(16)}`;
  return { priority: Number(own[3]), not: null, src: "all", fwmark, table: own[2] };
}

function parseRoute(words: readonly string[]): Json {
  const text = words.join(" ");
  const parts = /^(default|[0-9a-f.:]+\/\d+) dev (\S+)(?: table (\d+))?$/.exec(text);
  if (parts === null) throw new Error(`not understood by ip: route ${text}`);
  const [, dst, dev, table = "254"] = parts;
  return { dst, dev, table };
}

function change(list: Json[], verb: string, made: Json, isRule: boolean): string {
  const at = list.findIndex((one) => JSON.stringify(one) === JSON.stringify(made));
  if (verb === "add" && at >= 0) return "RTNETLINK answers: File exists";
  if (verb === "add") list.push(made);
  else if (at >= 0) list.splice(at, 1);
  else return `RTNETLINK answers: No such ${isRule ? "file or directory" : "process"}`;
  return "";
}
