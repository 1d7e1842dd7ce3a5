/**
 * One run of an operator's program: never a shell, a clean environment, bounded in time and output.
 *
 * It leads a process group of its own, so that what it has started ends with it. The trap: a child of the program may
 * keep the pipes open for ever, so the end of the program counts, not that of its output.
 */
import { spawn } from "node:child_process";
import { printable } from "../config/shown.ts";
import { PROGRAM_PATH } from "./ip-command.ts";
import type { StartTimer } from "./repeats.ts";

/** Milliseconds from SIGTERM to SIGKILL. */
export const KILL_AFTER_MS = 1_000;
/** BOUNDED: characters of output that are kept. */
const MOST_OUTPUT = 200;

/** How a program ended. */
export interface HookEnd {
  /** undefined: by a signal, or it could not be started; `fault` says which. */
  readonly exitCode: number | undefined;
  readonly fault: string | undefined;
  /** The first line that it wrote, to either output. */
  readonly line: string;
}

/** A program that runs. */
export interface HookRun {
  readonly ended: Promise<HookEnd>;
  /** Ends it and all that it has started, at once. */
  readonly kill: () => void;
}

/** Starts `command` (a path and its arguments) with these variables; after `timeoutMs` it is ended. */
export function runHook(
  [file = "", ...args]: readonly string[],
  variables: Readonly<Record<string, string>>,
  timeoutMs: number,
  startTimer: StartTimer,
): HookRun {
  const child = spawn(file, args, {
    cwd: "/",
    detached: true,
    env: { PATH: PROGRAM_PATH, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const keep = (chunk: Buffer) => {
    if (output.length < MOST_OUTPUT) output += chunk.toString().slice(0, MOST_OUTPUT);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const cancel = endInTime(child.pid, timeoutMs, startTimer);
  const ended = new Promise<HookEnd>((resolve) => {
    const end = (exitCode: number | undefined, fault: string | undefined) => {
      cancel();
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ exitCode, fault, line: printable(output.split("\n", 1)[0] ?? "") });
    };
    child.on("error", (error) => end(undefined, error.message));
    // Its output, which may be a moment behind.
    child.on("exit", (code, signal) =>
      setImmediate(() =>
        end(code ?? undefined, signal === null ? undefined : `ended by ${signal}`),
      ),
    );
  });
  return { ended, kill: () => signalGroup(child.pid, "SIGKILL") };
}

/** SIGTERM to the group when its time is over, and SIGKILL a moment later; returns what calls that off. */
function endInTime(pid: number | undefined, timeoutMs: number, startTimer: StartTimer): () => void {
  let cancel = startTimer(timeoutMs, () => {
    signalGroup(pid, "SIGTERM");
    cancel = startTimer(KILL_AFTER_MS, () => signalGroup(pid, "SIGKILL"));
  });
  return () => cancel();
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nothing of the group is left.
  }
}
