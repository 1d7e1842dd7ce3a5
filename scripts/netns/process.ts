/**
 * Child processes of the tests, the demo and the measurements: run to the end, or watched while running.
 *
 * Nothing here knows of namespaces: lab.ts puts the command inside one. Every process is ended by its
 * own pid, never by name. The trap: a child that nobody waits for must still be killed when its lab
 * closes, so each `Child` stays in the list of the lab that started it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";

/** The repository's root, so that scripts work from any folder. */
export const ROOT = new URL("../..", import.meta.url).pathname;

/** How a process ended, and what it wrote. */
export interface Finished {
  /** Exit code; undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Opens a message channel (`child.send`, "message"). */
  readonly hasChannel?: boolean;
  /** Opens a pipe to its stdin; nothing is there to read otherwise. */
  readonly hasInput?: boolean;
}

export interface RunOptions extends StartOptions {
  /** Milliseconds after which the process is killed and the call fails; 60,000 by default. */
  readonly timeoutMs?: number;
}

/** A process that runs beside the caller; what it writes is kept. */
export class Child {
  stdout = "";
  stderr = "";
  readonly process: ChildProcess;
  /** Settles when the process has ended and its output is complete; never rejects. */
  readonly ended: Promise<Finished>;
  isRunning = true;
  readonly command: readonly string[];

  constructor(command: readonly string[], options: StartOptions = {}) {
    const [file = "", ...args] = command;
    this.command = command;
    const input = options.hasInput === true ? "pipe" : "ignore";
    this.process = spawn(file, args, {
      cwd: ROOT,
      env: { ...process.env, ...options.env },
      stdio: [input, "pipe", "pipe", ...(options.hasChannel === true ? ["ipc" as const] : [])],
    });
    this.process.stdout?.on("data", (chunk: Buffer) => {
      this.stdout += chunk.toString();
    });
    this.process.stderr?.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        this.isRunning = false;
        const { stdout, stderr } = this;
        resolve({ code: code ?? undefined, signal: signal ?? undefined, stdout, stderr });
      };
      this.process.on("close", end);
      this.process.on("error", (error) => {
        this.stderr += `${error.message}\n`;
        end(127, null);
      });
    });
  }

  /** The process id. Throws when the process could not be started. */
  get pid(): number {
    if (this.process.pid === undefined) throw new Error(`not started: ${this.command.join(" ")}`);
    return this.process.pid;
  }

  /** Sends a signal to this one process, if it still runs. */
  signal(name: NodeJS.Signals): void {
    if (this.isRunning) this.process.kill(name);
  }

  /** Asks the process to end, kills it after `graceMs`, and returns how it ended. */
  async stop(name: NodeJS.Signals = "SIGTERM", graceMs = 5000): Promise<Finished> {
    this.signal(name);
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    const finished = await this.ended;
    clearTimeout(timer);
    return finished;
  }

  /** Waits until the output (stdout and stderr) matches, and returns the match. */
  async waitForOutput(pattern: RegExp, timeoutMs = 10_000): Promise<RegExpExecArray> {
    return await until(`"${pattern.source}" from ${this.command.join(" ")}`, timeoutMs, () => {
      const match = pattern.exec(this.stdout + this.stderr);
      if (match !== null) return match;
      if (!this.isRunning)
        throw new Error(`ended early: ${this.command.join(" ")}\n${this.stderr}`);
      return undefined;
    });
  }
}

/** Waits for the end of `child`; after `timeoutMs` kills it and throws. */
export async function finish(child: Child, timeoutMs = 60_000): Promise<Finished> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.signal("SIGKILL");
  }, timeoutMs);
  const finished = await child.ended;
  clearTimeout(timer);
  if (isLate) throw new Error(`no end after ${timeoutMs} ms: ${child.command.join(" ")}`);
  return finished;
}

/** Throws, with what the process wrote, unless it ended with code 0; returns its stdout. */
export function expectSuccess(finished: Finished, command: readonly string[]): string {
  if (finished.code === 0) return finished.stdout;
  const end = finished.code ?? finished.signal;
  throw new Error(`${command.join(" ")}: ended with ${end}\n${finished.stderr}${finished.stdout}`);
}

/** The next message over the channel of `child`; rejects when the child ends first. */
export async function nextMessage<T>(child: Child): Promise<T> {
  return await new Promise((resolve, reject) => {
    child.process.once("message", (message) => resolve(message as T));
    void child.ended.then(({ stderr }) => reject(new Error(`ended without an answer: ${stderr}`)));
  });
}

/** Runs a short command and waits for it in place: for `ip` and its like, which take milliseconds. */
export function runNow(command: readonly string[]): string {
  const [file = "", ...args] = command;
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Polls until `probe` returns something; throws after `timeoutMs`. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | undefined | Promise<T | undefined>,
  everyMs = 20,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`no ${what} within ${timeoutMs} ms`);
    await pause(everyMs);
  }
}

/** Waits `ms` milliseconds. */
export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
