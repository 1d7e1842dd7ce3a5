/**
 * `iptun completion`: a shell's completions as a script, made of the table of commands.
 *
 * What such a script cannot know by itself it asks for: names of peers, by `iptun completion peers`, at the cost of
 * one start of Node for a press of the key. Interfaces are the sockets of the runtime directory, which the shell looks
 * at (daemon/process/runtime-dir.ts has the rule).
 */
import { fetchStatus } from "../daemon/control/control-client.ts";
import { DaemonError } from "../daemon/failure.ts";
import type { CommandLine } from "./command-entry.ts";
import { bashCompletion } from "./completion-bash.ts";
import { fishCompletion } from "./completion-fish.ts";
import { completionTable, SHELLS, type Shell } from "./completion-table.ts";
import { zshCompletion } from "./completion-zsh.ts";
import { chooseSocket } from "./daemon-choice.ts";
import { EXIT_CODE } from "./exit-code.ts";
import type { Terminal } from "./terminal.ts";

const MAKE = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;
/** In place of a shell. */
const PEERS = "peers";

/** What is asked for. */
export interface CompletionRequest {
  /** A shell, or "peers". */
  readonly what: string;
  /** Of which interface the peers are. */
  readonly interfaceName: string | undefined;
}

/** Prints a shell's script, or names of peers. */
export async function completion(
  { what, interfaceName }: CompletionRequest,
  commandLine: CommandLine,
  terminal: Terminal,
): Promise<void> {
  if (what === PEERS) {
    const { peers } = await fetchStatus(await chooseSocket(interfaceName));
    await terminal.out(peers.map(({ name }) => `${name}\n`).join(""));
    return;
  }
  const shell = SHELLS.find((name) => name === what);
  if (shell === undefined) {
    const expected = `expected ${SHELLS.join(", ")} or ${PEERS}`;
    throw new DaemonError(
      `no completions for ${JSON.stringify(what)}; ${expected}`,
      EXIT_CODE.USAGE,
    );
  }
  await terminal.out(completionScript(shell, commandLine));
}

/** The script. */
export function completionScript(shell: Shell, commandLine: CommandLine): string {
  return MAKE[shell](completionTable(commandLine));
}
