/**
 * `iptun rekey`: asks a running daemon to start new sessions. The old ones carry on until the new ones are there.
 */

import { printable } from "../config/shown.ts";
import { askRekey } from "../daemon/control/control-client.ts";
import { chooseSocket } from "./daemon-choice.ts";
import type { Terminal } from "./terminal.ts";

/** With the named peer, or with every one that can be reached. */
export async function rekey(
  name: string | undefined,
  peer: string | undefined,
  terminal: Terminal,
): Promise<void> {
  const { peers } = await askRekey(await chooseSocket(name), peer);
  const lines = peers.map((one) => `new session asked for with ${printable(one)}\n`);
  await terminal.out(lines.length === 0 ? "no peer can be reached from here\n" : lines.join(""));
}
