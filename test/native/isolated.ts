/**
 * Runs scenarios in a process of their own inside a network namespace of their own.
 *
 * A network namespace belongs to a thread's process, so a test cannot enter one: it starts a child under
 * `unshare`, as root directly, else through a user namespace. A scenario module exports async functions
 * without arguments that return plain facts; the tests assert on the facts. No scenario may import
 * vitest. The trap: facts travel as JSON, so `undefined` and typed arrays do not survive.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

type Scenarios = Record<string, () => Promise<unknown>>;

/** The facts of each scenario of a module. */
export type Facts<M extends Scenarios> = { readonly [K in keyof M]: Awaited<ReturnType<M[K]>> };

export interface IsolatedOptions {
  /** Always in a user namespace, where the capabilities of the first one are missing. */
  readonly isUserNamespace?: boolean;
  /** Added to the child's environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 60_000;
const RUNNER = fileURLToPath(new URL("./run-scenarios.ts", import.meta.url));

/** Runs every scenario of the module at `url` in one child and returns their facts. */
export async function runIsolated<M extends Scenarios>(
  url: URL,
  options: IsolatedOptions = {},
): Promise<Facts<M>> {
  const isRoot = process.getuid?.() === 0 && options.isUserNamespace !== true;
  const command = [isRoot ? "-n" : "-Urn", process.execPath, "--import", "tsx", RUNNER, url.href];
  const { output, ending, errors } = await run("unshare", command, options.environment ?? {});
  const line = output.split("\n").find((text) => text.startsWith(FACTS));
  if (line === undefined || ending !== "code 0")
    throw new Error(`scenarios ended with ${ending}\n${errors}\n${output}`);
  // The runner prints exactly one result a scenario of this module.
  return JSON.parse(line.slice(FACTS.length)) as Facts<M>;
}

/** Starts the line of results in the runner's output. */
export const FACTS = "facts:";

/** How a process ended ("code 0", "signal SIGSEGV") and what it printed. */
export interface Ending {
  readonly output: string;
  readonly errors: string;
  readonly ending: string;
}

/** Runs a command to its end, for at most a minute. */
export function run(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => errors.push(bytes));
    child.on("error", reject);
    child.on("close", (code, signal) =>
      resolve({
        output: Buffer.concat(output).toString(),
        errors: Buffer.concat(errors).toString(),
        ending: signal === null ? `code ${code}` : `signal ${signal}`,
      }),
    );
  });
}
