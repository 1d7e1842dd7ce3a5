/**
 * `iptun doctor`: looks at the host, the configuration and the running tunnel, and says what is wrong and what to do.
 *
 * It changes nothing and works with whatever it is given: no configuration, no daemon, no permissions; what it could
 * not look at it says. Exit code 1: something is worse than a note. No secrets: keys are wiped as soon as the
 * configuration is read, and appear as fingerprints.
 */
import type { Config } from "../config/config.ts";
import { loadConfig, wipeKeys } from "../config/load.ts";
import { ConfigError } from "../config/problem.ts";
import { printable } from "../config/shown.ts";
import { fetchStatus } from "../daemon/control/control-client.ts";
import { configOf, examine, type Knowledge, statusOf } from "../daemon/doctor/examine.ts";
import { type Finding, isBad, type Level } from "../daemon/doctor/finding.ts";
import { gather, INSTRUMENTS, type Instruments } from "../daemon/doctor/gather.ts";
import { subjectOf } from "../daemon/doctor/subject.ts";
import { DaemonError } from "../daemon/failure.ts";
import { chooseSocket } from "./daemon-choice.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { countText } from "./layout.ts";
import type { Terminal } from "./terminal.ts";

/** What was asked about. */
export interface DoctorQuestion {
  readonly file: string | undefined;
  /** The interface's name; undefined: the configuration's, or the one that runs. */
  readonly name: string | undefined;
}

const MARKS: Readonly<Record<Level, string>> = {
  fault: "FAULT",
  warning: "warning",
  note: "note",
  ok: "ok",
};
const MARK_WIDTH = 9;

/** Prints the findings; the exit code. */
export async function doctor(
  { file, name }: DoctorQuestion,
  isJson: boolean,
  terminal: Terminal,
  instruments: Instruments = INSTRUMENTS,
): Promise<number> {
  const config = file === undefined ? undefined : readConfig(file);
  const asked = name ?? (config instanceof Error ? undefined : config?.interface.name);
  const knowledge: Knowledge = { config, status: await readStatus(asked) };
  const status = statusOf(knowledge);
  const subject = subjectOf(configOf(knowledge), status);
  const question = { subject, isRunning: status !== undefined, file };
  const findings = examine(await gather(question, instruments), knowledge);
  await terminal.out(isJson ? jsonText(findings) : reportText(findings));
  return findings.some(isBad) ? EXIT_CODE.FAILURE : EXIT_CODE.OK;
}

function readConfig(file: string): Config | ConfigError {
  try {
    const config = loadConfig(file);
    wipeKeys(config);
    return config;
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

/** A wrong use of the command is no finding. */
async function readStatus(name: string | undefined): Promise<Knowledge["status"]> {
  try {
    return await fetchStatus(await chooseSocket(name));
  } catch (error) {
    if (error instanceof DaemonError && error.exitCode !== EXIT_CODE.USAGE) return error;
    throw error;
  }
}

function jsonText(findings: readonly Finding[]): string {
  return `${JSON.stringify({ ok: !findings.some(isBad), findings }, undefined, 2)}\n`;
}

function reportText(findings: readonly Finding[]): string {
  const blocks = new Map<string, string>();
  for (const finding of findings) {
    const { section } = finding;
    blocks.set(section, (blocks.get(section) ?? `${section}\n`) + lines(finding));
  }
  return `${[...blocks.values()].join("")}${summary(findings)}\n`;
}

/** A problem has its id at the end, by which docs/troubleshooting.md goes. */
function lines({ id, level, text, remedy }: Finding): string {
  const mark = `  ${MARKS[level].padEnd(MARK_WIDTH)}`;
  const name = id === "ok" || id === "unseen" ? "" : ` [${id}]`;
  const first = `${mark}${printable(text)}${name}\n`;
  return remedy === "" ? first : `${first}${" ".repeat(mark.length)}-> ${printable(remedy)}\n`;
}

function summary(findings: readonly Finding[]): string {
  const counts = (["fault", "warning", "note"] as const).flatMap((level) => {
    const count = findings.filter((one) => one.level === level).length;
    return count === 0 ? [] : [countText(count, level)];
  });
  return counts.join(", ") || "all is well";
}
