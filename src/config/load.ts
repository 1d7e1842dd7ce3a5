/**
 * A configuration file to a checked Config, or to the list of everything that is wrong with it.
 *
 * A syntax error stops at the first; problems of meaning are collected, up to `MAX_PROBLEMS`. An inline
 * key makes the file itself a key file: others must not be able to read it.
 *
 * The trap: unless a Config is returned, every key that was read is wiped before the error is thrown.
 */
import { isUtf8 } from "node:buffer";
import { dirname } from "node:path";
import type { Config } from "./config.ts";
import { type KeyFileReader, readKeyFile } from "./key-source.ts";
import { type LineOf, locate, type Path } from "./locate.ts";
import {
  exposureFault,
  type FileContent,
  type Identity,
  processIdentity,
  readRegularFile,
} from "./private-file.ts";
import { ConfigError, type ConfigProblem } from "./problem.ts";
import { resolve } from "./resolve.ts";
import { peerName } from "./resolve-peer.ts";
import {
  copyTree,
  isTooLarge,
  MAX_VALUES,
  PLAIN_NAME,
  readSettings,
  type Tree,
  valueAt,
} from "./settings.ts";
import { parseToml } from "./toml.ts";

/** Bytes of the largest configuration; a thousand peers need some 150,000. */
const MAX_BYTES = 262_144;
/** BOUNDED: problems that are collected; a hostile file could have 100,000, and each costs a message. */
const MAX_PROBLEMS = 200;
const LINE_FEED = 0x0a;

/** Thrown by a report that has taken enough. */
class EnoughProblems extends Error {}

/** Reads and checks a configuration; throws a ConfigError with every problem. */
export function loadConfig(
  file: string,
  identity: Identity = processIdentity(),
  credentials: string | undefined = process.env["CREDENTIALS_DIRECTORY"],
): Config {
  const content = readRegularFile(file, MAX_BYTES, false);
  if ("fault" in content) throw new ConfigError(file, [{ key: "", text: content.fault }]);
  return checkConfig(content, { file, identity, credentials, readKeyFile });
}

/** What a configuration's content is checked with. */
interface Source {
  /** Named in problems; relative key files start in its directory. */
  readonly file: string;
  readonly identity: Identity;
  /** Where the service manager put what it was to hand over; undefined: nowhere. */
  readonly credentials: string | undefined;
  readonly readKeyFile: KeyFileReader;
}

/** Checks a configuration as `loadConfig` does, be it in a file yet or not; its bytes are overwritten. */
export function checkConfig(content: FileContent, source: Source): Config {
  const { file } = source;
  const text = decode(file, content.bytes);
  const parsed = parseToml(text);
  if ("fault" in parsed) throw new ConfigError(file, [{ key: "", ...parsed.fault }]);
  if (isTooLarge(parsed.tree)) {
    const fault = `has more than ${MAX_VALUES} values; expected fewer; split it`;
    throw new ConfigError(file, [{ key: "", text: fault }]);
  }

  const problems: ConfigProblem[] = [];
  const keys: Uint8Array[] = [];
  let isRight = false;
  try {
    const config = checkTree(parsed.tree, text, content.stats, { ...source, problems, keys });
    isRight = problems.length === 0;
    if (isRight) return config;
  } catch (error) {
    if (!(error instanceof EnoughProblems)) throw error;
    problems.push({
      key: "",
      text: `has more than ${MAX_PROBLEMS} problems; the rest is not read`,
    });
  } finally {
    if (!isRight) for (const key of keys) key.fill(0);
  }
  throw new ConfigError(file, problems);
}

interface Findings extends Source {
  /** Receives what is wrong. */
  readonly problems: ConfigProblem[];
  /** Receives every key that was read. */
  readonly keys: Uint8Array[];
}

function checkTree(
  raw: Tree,
  text: string,
  stats: FileContent["stats"],
  { file, identity, credentials, readKeyFile, problems, keys }: Findings,
): Config {
  // A file without problems needs no lines.
  let located: LineOf | undefined;
  const lineOf: LineOf = (path) => {
    located ??= locate(text);
    return located(path);
  };
  const report = (path: Path, fault: string) => {
    if (problems.length >= MAX_PROBLEMS) throw new EnoughProblems();
    problems.push({ line: lineOf(path), key: labelOf(path, raw), text: fault });
  };
  const tree = copyTree(raw, report);
  reportExposure(raw, exposureFault(stats, identity), report);
  return resolve(readSettings(tree, report), {
    file,
    directory: dirname(file),
    identity,
    credentials,
    readKeyFile,
    lineOf,
    report,
    keep: (key) => keys.push(key),
    given: (path) => valueAt(raw, path),
  });
}

/** Overwrites a configuration's keys. */
export function wipeKeys(config: Config): void {
  for (const peer of config.peers) {
    for (const key of peer.keys) key.fill(0);
  }
}

/** The file's text without a byte order mark. */
function decode(file: string, bytes: Buffer): string {
  try {
    if (!isUtf8(bytes)) {
      const fault = { line: firstBadLine(bytes), key: "", text: "is not UTF-8 text" };
      throw new ConfigError(file, [fault]);
    }
    const text = bytes.toString("utf8");
    return text.startsWith("\ufeff") ? text.slice(1) : text;
  } finally {
    bytes.fill(0);
  }
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
