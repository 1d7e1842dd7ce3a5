/**
 * One run of an operator's program: never a shell, a clean environment, bounded in time and output.
 *
 * It leads a process group of its own, so that what it has started ends with it. The trap: a child of the program may
 * keep the pipes open for ever, so the end of the program counts, not that of its output.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { printable } from "../../config/shown.ts";
import { messageOf } from "../failure.ts";
import { PROGRAM_PATH } from "../host/ip-command.ts";
import type { StartTimer } from "../repeats.ts";

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
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd: "/",
      detached: true,
      env: { PATH: PROGRAM_PATH, ...variables },
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    // Node throws some of the kernel's refusals and tells others as an event.
    const end = { exitCode: undefined, fault: messageOf(error), line: "" };
    return { ended: Promise.resolve(end), kill: () => undefined };
  }
  return followed(child, timeoutMs, startTimer);
}

/** A child whose pipes are missing could not be started for want of descriptors: it has an error to tell. */
function followed(child: ChildProcess, timeoutMs: number, startTimer: StartTimer): HookRun {
  const { pid, stdout, stderr } = child;
  let output = "";
  const keep = (chunk: Buffer) => {
    if (output.length < MOST_OUTPUT) output += chunk.toString().slice(0, MOST_OUTPUT);
  };
  stdout?.on("data", keep);
  stderr?.on("data", keep);
  const leaveTime = endInTime(pid, timeoutMs, startTimer);
  const ended = new Promise<HookEnd>((resolve) => {
    const end = (exitCode: number | undefined, fault: string | undefined) => {
      leaveTime();
      stdout?.destroy();
      stderr?.destroy();
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
  return { ended, kill: () => signalGroup(pid, "SIGKILL") };
}

/**
 * SIGTERM to the group when its time is over, and SIGKILL a moment later. Returns what is called at the leader's end:
 * within its time, what it has left may go on; afterwards it is ended at once.
 */
function endInTime(pid: number | undefined, timeoutMs: number, startTimer: StartTimer): () => void {
  const kill = () => signalGroup(pid, "SIGKILL");
  let leave = startTimer(timeoutMs, () => {
    signalGroup(pid, "SIGTERM");
    const cancel = startTimer(KILL_AFTER_MS, kill);
    leave = () => {
      cancel();
      kill();
    };
  });
  return () => leave();
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nothing of the group is left.
  }
}
