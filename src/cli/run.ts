/**
 * `iptun run`: reads the configuration and becomes the daemon.
 */

import { loadConfig } from "../config/load.ts";
import { configWarnings } from "../config/warnings.ts";
import { runDaemon } from "../daemon/daemon.ts";
import type { Terminal } from "./terminal.ts";

/** Runs until the daemon ends; its exit code. */
export async function run(file: string, isReplacing: boolean, terminal: Terminal): Promise<number> {
  const config = loadConfig(file);
  for (const warning of configWarnings(config)) {
    await terminal.err(`iptun: warning: ${file}: ${warning}\n`);
  }
  return await runDaemon(config, isReplacing);
}
