/**
 * A configuration file to a checked Config, or to the list of everything that is wrong with it.
 *
 * A syntax error stops at the first; problems of meaning are collected. An inline key makes the file
 * itself a key file: others must not be able to read it.
 *
 * The trap: when anything was reported, the keys that were read are wiped before the error is thrown.
 */
import { isUtf8 } from "node:buffer";
import { dirname } from "node:path";
import type { Config } from "./config.ts";
import { locate, type Path } from "./locate.ts";
import { exposureFault, type Identity, processIdentity, readRegularFile } from "./private-file.ts";
import { ConfigError, type ConfigProblem } from "./problem.ts";
import { resolve } from "./resolve.ts";
import { peerName } from "./resolve-peer.ts";
import { copyTree, PLAIN_NAME, readSettings, type Tree, valueAt } from "./settings.ts";
import { parseToml } from "./toml.ts";

/** Bytes of the largest configuration; a thousand peers need some 200,000. */
const MAX_BYTES = 524_288;
const LINE_FEED = 0x0a;

/** Reads and checks a configuration; throws a ConfigError with every problem. */
export function loadConfig(file: string, identity: Identity = processIdentity()): Config {
  const content = readRegularFile(file, MAX_BYTES, false);
  if ("fault" in content) throw new ConfigError(file, [{ key: "", text: content.fault }]);
  const text = decode(file, content.bytes);
  const parsed = parseToml(text);
  if ("fault" in parsed) throw new ConfigError(file, [{ key: "", ...parsed.fault }]);

  const lineOf = locate(text);
  const problems: ConfigProblem[] = [];
  const report = (path: Path, fault: string) => {
    problems.push({ line: lineOf(path), key: labelOf(path, parsed.tree), text: fault });
  };
  const tree = copyTree(parsed.tree, report);
  reportExposure(parsed.tree, exposureFault(content.stats, identity), report);
  const config = resolve(readSettings(tree, report), {
    file,
    directory: dirname(file),
    identity,
    lineOf,
    report,
    given: (path) => valueAt(parsed.tree, path),
  });
  if (problems.length === 0) return config;
  wipeKeys(config);
  throw new ConfigError(file, problems);
}

/** Overwrites a configuration's keys. */
export function wipeKeys(config: Config): void {
  for (const peer of config.peers) {
    for (const key of peer.keys) key.fill(0);
  }
}

/** The file's text without a byte order mark. */
function decode(file: string, bytes: Buffer): string {
  if (!isUtf8(bytes)) {
    const fault = { line: firstBadLine(bytes), key: "", text: "is not UTF-8 text" };
    throw new ConfigError(file, [fault]);
  }
  const text = bytes.toString("utf8");
  bytes.fill(0);
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

function firstBadLine(bytes: Buffer): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(LINE_FEED, start);
    if (!isUtf8(bytes.subarray(start, end < 0 ? bytes.length : end))) break;
    start = end < 0 ? bytes.length : end + 1;
  }
  return line;
}

/** An inline key in a file that is not private is reported once, at the first such key. */
function reportExposure(tree: Tree, exposure: string | undefined, report: ReportFault): void {
  const peers = valueAt(tree, ["peer"]);
  if (exposure === undefined || !Array.isArray(peers)) return;
  const index = peers.findIndex((peer) => valueAt(peer, ["key"]) !== undefined);
  if (index >= 0) report(["peer", index, "key"], `stands in this file, which ${exposure}`);
}

type ReportFault = (path: Path, fault: string) => void;

/**
 * A path as the operator writes it; list indices are left out, a peer goes by its name. So are names
 * that no configuration has: they might be secrets.
 */
function labelOf(path: Path, tree: Tree): string {
  let label = "";
  for (const [depth, part] of path.entries()) {
    if (typeof part === "string") label += PLAIN_NAME.test(part) ? `.${part}` : "";
    else if (depth === 1 && path[0] === "peer") label += `[${labelOfPeer(part, tree)}]`;
  }
  return label.replace(/^\./, "");
}

function labelOfPeer(index: number, tree: Tree): string {
  return peerName(valueAt(tree, ["peer", index, "name"]), index) ?? `#${index + 1}`;
}
