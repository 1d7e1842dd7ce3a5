#!/usr/bin/env node
/**
 * The `iptun` command: arguments in, exit code out.
 *
 * Signals are answered from the first statement on, which is why the program itself is imported below
 * and not above: a static import would run first, and loading takes some 100 ms. Of what arrives before
 * this file runs, while Node itself starts (some 30 ms), nothing can be caught: SIGTERM ends the process by
 * signal, and SIGUSR1 opens Node's debugger, which is closed here and once more by the daemon. A tunnel's process
 * starts twice where it has privileges to give up (daemon/process/confine.ts): all of this then happens anew.
 *
 * Whatever is thrown where nobody caught it ends the process with one line and exit code 1; going on
 * half-alive would be worse. The message of such an error may come from anywhere, so it is cut to a line.
 */

// Without a listener Node opens its debugger on a local port.
process.on("SIGUSR1", () => {});
const isTunnel = runsTunnel(process.argv.slice(2));
if (isTunnel) listenUntilDaemon();
closeDebugger();
if (isTunnel && hasConfiguration(process.argv)) await giveUpPrivileges();

const { outcomeOf } = await import("./cli/exit-code.ts");
const { runCli } = await import("./cli/program.ts");
const { processTerminal } = await import("./cli/terminal.ts");
const terminal = processTerminal();

process.on("uncaughtException", (error) => void fail(error));
process.exitCode = await runCli(process.argv.slice(2), terminal);
process.exit();

async function fail(error: unknown): Promise<void> {
  await terminal.err(outcomeOf(error).text);
  process.exit(1);
}

/** Whether the arguments ask for the tunnel: `run`, or no command. Others keep the default signals. */
function runsTunnel(args: readonly string[]): boolean {
  const isFile = (at: number) => ["-c", "--config"].includes(args[at - 1] ?? "");
  const command = args.find((word, at) => !word.startsWith("-") && !isFile(at));
  return command === undefined || command === "run";
}

/** Whether a tunnel may come of the arguments, and not only help or a usage error. */
function hasConfiguration(args: readonly string[]): boolean {
  return args.some((word) => word.startsWith("-c") || word.startsWith("--config"));
}

/** Comes back once nothing is left to give up; what stands in the way ends the process. */
async function giveUpPrivileges(): Promise<void> {
  const { confine } = await import("./daemon/process/confine.ts");
  const { loadNative } = await import("./io/native.ts");
  try {
    await confine(loadNative());
  } catch (error) {
    const { outcomeOf } = await import("./cli/exit-code.ts");
    const { text, exitCode } = outcomeOf(error);
    process.stderr.write(text, () => process.exit(exitCode));
    await new Promise(() => {});
  }
}

/** Until the daemon puts its own listeners in their place nothing is open that an exit would leave behind. */
function listenUntilDaemon(): void {
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"]) process.on(signal, () => process.exit(0));
  for (const signal of ["SIGHUP", "SIGUSR2"]) process.on(signal, () => {});
}

/** Undefined in a Node that was built without a debugger. */
function closeDebugger(): void {
  const inspector = process.getBuiltinModule("node:inspector");
  if (inspector?.url() !== undefined) inspector.close();
}
