/**
 * Runs `ip` (iproute2): many commands in one process, as `ip -batch -`, never through a shell.
 *
 * A batch costs 3 ms however long it is. Its lines are split at blanks, so every word is checked to have
 * none. What ip says of line n is reported with the command of line n; nothing secret is ever in one.
 */
import { execFile } from "node:child_process";
import { DaemonError, EXIT } from "../failure.ts";
import type { IpCommand } from "./network-plan.ts";

/** Longest run of one `ip` process, milliseconds. */
export const IP_TIMEOUT_MS = 10_000;

/** What a finished process said. */
export interface ProcessResult {
  /** undefined: it could not be started (`startError` says why) or was killed. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly startError: string | undefined;
}

/** Runs a program with arguments and standard input. */
export type RunProcess = (
  file: string,
  args: readonly string[],
  input: string,
) => Promise<ProcessResult>;

/** The flag of `ip` for an address family. */
export function familyFlag(family: 4 | 6): "-4" | "-6" {
  return family === 4 ? "-4" : "-6";
}

/**
 * Runs the commands in order and stops at the first that fails, with a DaemonError that names it. `flags`:
 * the family, which rules do not tell by themselves.
 */
export async function runIpBatch(
  commands: readonly IpCommand[],
  run: RunProcess = runProcess,
  flags: readonly string[] = [],
) {
  if (commands.length === 0) return;
  const result = await run("ip", [...flags, "-batch", "-"], batchText(commands));
  if (result.exitCode !== 0) throw ipError(result, commands);
}

/** Runs all commands whatever fails; returns what `ip` said of the failures, a line each. */
export async function runIpBatchForced(
  commands: readonly IpCommand[],
  run: RunProcess = runProcess,
  flags: readonly string[] = [],
): Promise<readonly string[]> {
  if (commands.length === 0) return [];
  const result = await run("ip", [...flags, "-force", "-batch", "-"], batchText(commands));
  if (result.exitCode === undefined) return [result.startError ?? "ip was killed"];
  return complaints(result.stderr);
}

/** Output of one `ip` command, or undefined where it fails (the device does not exist). */
export async function readIp(
  args: readonly string[],
  run: RunProcess = runProcess,
): Promise<string | undefined> {
  const result = await run("ip", args, "");
  if (result.startError !== undefined) throw ipError(result, []);
  return result.exitCode === 0 ? result.stdout : undefined;
}

/** Where programs are looked for: also where a service's PATH does not lead. */
export const PROGRAM_PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`;

/** Starts the program with a fixed environment (messages in English) and waits for it. */
export const runProcess: RunProcess = (file, args, input) =>
  new Promise((resolve) => {
    const env = { PATH: PROGRAM_PATH, LC_ALL: "C" };
    const options = { env, timeout: IP_TIMEOUT_MS };
    const child = execFile(file, [...args], options, (error, stdout, stderr) => {
      // Node gives -errno as the exit code of a program that could not be started.
      const exitCode = child.exitCode === null || child.exitCode < 0 ? undefined : child.exitCode;
      const startError = exitCode === undefined ? error?.message : undefined;
      resolve({ exitCode, stdout, stderr, startError });
    });
    // A program that ends before it read all of its input: its exit code tells, not the pipe.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });

function batchText(commands: readonly IpCommand[]): string {
  for (const word of commands.flat()) {
    if (!/^[\w.:/%@-]+$/.test(word)) throw new DaemonError(`not an argument for ip: '${word}'`);
  }
  return commands.map((command) => `${command.join(" ")}\n`).join("");
}

function ipError(result: ProcessResult, commands: readonly IpCommand[]): DaemonError {
  if (result.exitCode === undefined) {
    const reason = result.startError ?? "it was killed";
    const hint = reason.includes("ENOENT") ? " (install iproute2)" : "";
    return new DaemonError(`cannot run ip: ${reason}${hint}`);
  }
  const line = Number(/^Command failed -:(\d+)/m.exec(result.stderr)?.[1] ?? 1);
  const command = commands[line - 1]?.join(" ") ?? "";
  const reason = complaints(result.stderr).join("; ") || `exit code ${result.exitCode}`;
  const isDenied = /not permitted/i.test(reason);
  return new DaemonError(
    `'ip ${command}' failed: ${reason}${hintFor(command, reason)}`,
    isDenied ? EXIT.NO_PERMISSION : EXIT.FAILURE,
  );
}

function hintFor(command: string, reason: string): string {
  if (command.startsWith("rule add") && reason.includes("is wrong")) {
    return " (this ip is too old: install a newer iproute2, or set routes = false)";
  }
  if (!command.startsWith("route add") || !reason.includes("File exists")) return "";
  return " (another device has this route: change allowed_ips, or set routes = false)";
}

/** What ip says, without the prefix of its errors and without the notes on line numbers. */
function complaints(stderr: string): readonly string[] {
  return stderr
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("Command failed "))
    .map((line) => line.replace(/^(RTNETLINK answers|Error): /, ""));
}
