#!/usr/bin/env node
/**
 * The `iptun` command: arguments in, exit code out.
 *
 * Whatever is thrown where nobody caught it ends the process with one line and exit code 1; going on
 * half-alive would be worse. The message of such an error may come from anywhere, so it is cut to a line.
 */
import { outcomeOf } from "./cli/exit-code.ts";
import { runCli } from "./cli/program.ts";
import { processTerminal } from "./cli/terminal.ts";

const terminal = processTerminal();

process.on("uncaughtException", (error) => void fail(error));
// Without a listener Node opens its debugger on a local port.
process.on("SIGUSR1", () => {});
process.exitCode = await runCli(process.argv.slice(2), terminal);
process.exit();

async function fail(error: unknown): Promise<void> {
  await terminal.err(outcomeOf(error).text);
  process.exit(1);
}
