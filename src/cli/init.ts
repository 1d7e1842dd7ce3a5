/**
 * `iptun init`: the configuration of two hosts that are to be joined, with a new key.
 *
 * This host's configuration and key file, and for the other host one file with all that it needs. Each text is read
 * by the configuration's own loader before anything is written, so `iptun check` takes it. Files are created, all
 * or none, and never overwritten. What is said goes to standard error: standard output is for what was asked for.
 *
 * The trap: the key exists as a JavaScript string, in the other host's text too; it can only be forgotten.
 */
import { existsSync, rmdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { checkConfig, wipeKeys } from "../config/load.ts";
import { ConfigError } from "../config/problem.ts";
import { printable, shown } from "../config/shown.ts";
import { configWarnings } from "../config/warnings.ts";
import { loadSodium } from "../crypto/sodium.ts";
import { DaemonError, EXIT, messageOf } from "../daemon/failure.ts";
import { makeDirectory } from "../daemon/process/make-directory.ts";
import { completeAnswers, type Surroundings, surroundingsHere } from "./init-answers.ts";
import type { InitAnswers } from "./init-options.ts";
import { type InitPaths, stepsText } from "./init-steps.ts";
import { configText } from "./init-text.ts";
import { type InitValues, readValues } from "./init-values.ts";
import { newKey } from "./keygen.ts";
import {
  createPrivateFiles,
  existsError,
  isThere,
  type PrivateFile,
  printSecret,
} from "./private-files.ts";
import type { Terminal } from "./terminal.ts";

/** What was given. */
export interface InitRequest {
  readonly answers: InitAnswers;
  /** This host's configuration; undefined: by the interface's name, in `directory`. */
  readonly out: string | undefined;
  /** The other host's; "-" is standard output. */
  readonly peerOut: string | undefined;
  readonly isDryRun: boolean;
}

/** Where configurations are by default; made where it is missing. */
const DIRECTORY = "/etc/iptun";
/** What stands for the key where nothing is made. */
const NO_KEY = "(a new key)";
/** As the files are created: the loader refuses a key that others can read. */
const PRIVATE = { mode: 0o600, uid: 0, gid: 0 };

/** Makes both hosts' files, or prints them without a key where nothing is to be made. */
export async function init(
  request: InitRequest,
  terminal: Terminal,
  surroundings?: Surroundings,
  directory: string = DIRECTORY,
): Promise<void> {
  const crypto = await loadSodium();
  valuesOf(request.answers);
  const around = surroundings ?? surroundingsHere(crypto.random);
  const values = valuesOf(await completeAnswers(request.answers, around, terminal));
  const paths = pathsOf(request, values, directory);
  const key = newKey(crypto, false);
  const texts = textsOf(values, paths, key.text);
  for (const warning of loadTexts(texts, paths)) await terminal.err(`iptun: warning: ${warning}\n`);
  if (request.isDryRun) {
    await rehearse(textsOf(values, paths, NO_KEY), paths, terminal);
    return;
  }
  await write(texts, paths, request.out === undefined ? directory : undefined, terminal);
  await terminal.err(`iptun: ${madeText(paths, values)}, fingerprint ${key.fingerprint}\n`);
  await terminal.err(stepsText(values, paths));
}

/** The values, of which none is faulty. */
function valuesOf(answers: InitAnswers): InitValues {
  const { values, problems } = readValues(answers);
  if (problems.length > 0) throw new ConfigError("iptun init", problems);
  return values;
}

function pathsOf(
  { out, peerOut }: InitRequest,
  { interface: device, there }: InitValues,
  directory: string,
): InitPaths {
  const config = resolve(out ?? join(directory, `${device}.toml`));
  const key = `${config.replace(/\.toml$/, "")}.key`;
  if (peerOut === "-") return { config, key, peer: undefined };
  const peer = resolve(peerOut ?? join(dirname(config), `${there.name}.toml`));
  if (peer !== config && peer !== key) return { config, key, peer };
  const text = `${shown(peer)} is this host's own file; expected another, or another --peer`;
  throw new ConfigError("iptun init", [{ key: "--peer-out", text }]);
}

/** The text of each file. */
interface Texts {
  readonly config: string;
  readonly key: string;
  readonly peer: string;
}

function textsOf(
  { interface: device, here, there }: InitValues,
  paths: InitPaths,
  key: string,
): Texts {
  return {
    config: configText(device, here, there, { keyFile: basename(paths.key) }, schemaHere()),
    key: `${key}\n`,
    peer: configText(device, there, here, { key }),
  };
}

/** The JSON Schema that the build puts beside the program; the other host may have it elsewhere. */
function schemaHere(): string | undefined {
  const path = fileURLToPath(new URL("../iptun.schema.json", import.meta.url));
  return existsSync(path) && path === printable(path) ? path : undefined;
}

/** Reads both configurations as `run` would; what it would warn of. */
function loadTexts(texts: Texts, paths: InitPaths): readonly string[] {
  const configs = [
    [paths.config, texts.config],
    [paths.peer ?? "standard output", texts.peer],
  ] as const;
  return configs.flatMap(([file, text]) => {
    const config = checkConfig(
      { bytes: Buffer.from(text), stats: PRIVATE },
      {
        file,
        identity: PRIVATE,
        credentials: undefined,
        readKeyFile: () => ({ bytes: Buffer.from(texts.key), stats: PRIVATE }),
      },
    );
    wipeKeys(config);
    return configWarnings(config).map((warning) => `${file}: ${warning}`);
  });
}

function filesOf(texts: Texts, paths: InitPaths): readonly PrivateFile[] {
  const file = (path: string, text: string, noun: string) => ({
    path,
    bytes: Buffer.from(text),
    noun,
  });
  return [
    file(paths.config, texts.config, "a configuration"),
    file(paths.key, texts.key, "a key"),
    ...(paths.peer === undefined ? [] : [file(paths.peer, texts.peer, "a configuration")]),
  ];
}

/** Writes everything or nothing; `directory` is made where it is missing. */
async function write(
  texts: Texts,
  paths: InitPaths,
  directory: string | undefined,
  terminal: Terminal,
): Promise<void> {
  const made = directory !== undefined && !existsSync(directory) ? directory : undefined;
  if (made !== undefined) makeDirectory(made);
  const files = filesOf(texts, paths);
  let remove = () => {};
  try {
    remove = createPrivateFiles(files);
    if (paths.peer === undefined) await print(texts.peer, terminal);
  } catch (error) {
    remove();
    if (made !== undefined) rmdirSync(made);
    throw error;
  } finally {
    for (const { bytes } of files) bytes.fill(0);
  }
}

/** A reader that went away is a failure here: it was to have the other host's file. */
async function print(text: string, terminal: Terminal): Promise<void> {
  try {
    await printSecret(text, "--peer-out", terminal);
  } catch (cause) {
    const what = "cannot write the other host's file to standard output";
    const message = `${what}: ${messageOf(cause)}; nothing was kept`;
    throw new DaemonError(message, EXIT.FAILURE, { cause });
  }
}

function madeText({ config, key, peer }: InitPaths, { there }: InitValues): string {
  return printable(
    `made ${config} and ${key} for this host, ${peer ?? "standard output"} for ${there.name}`,
  );
}

/** Says what would be written, or what is in the way of it. */
async function rehearse(texts: Texts, paths: InitPaths, terminal: Terminal): Promise<void> {
  for (const { path, noun } of filesOf(texts, paths)) {
    if (isThere(path)) throw existsError(path, noun);
  }
  const { config, key, peer = "standard output" } = paths;
  const parts = [
    `# ${config}, mode 0600:\n${texts.config}`,
    `# ${key}, mode 0600:\n${texts.key}`,
    `# ${peer}, mode 0600:\n${texts.peer}`,
  ];
  await terminal.out(parts.join("\n"));
}
