/**
 * `iptun reload` and `iptun confirm`: have a running daemon read its configuration anew, and keep it.
 *
 * The daemon reads the file that it was started with, by itself and with its own rights; this only says when, and
 * prints what became of it.
 */
import { postTo } from "../daemon/control/control-client.ts";
import { API_PATH } from "../daemon/control/control-paths.ts";
import { DaemonError } from "../daemon/failure.ts";
import type { ReloadAnswer } from "../daemon/reload/reloader.ts";
import { chooseSocket } from "./daemon-choice.ts";
import { EXIT_CODE } from "./exit-code.ts";
import type { Terminal } from "./terminal.ts";

/** Milliseconds without a byte of a daemon that may have work to do before it answers. */
const SILENCE_MS = 30_000;

/** What was given to `iptun reload`. */
export interface ReloadRequest {
  readonly interface: string | undefined;
  /** Seconds as text. */
  readonly confirm: string | undefined;
  readonly isJson: boolean;
}

/** Reloads, prints a line for each change, and returns the exit code. */
export async function reload(request: ReloadRequest, terminal: Terminal): Promise<number> {
  const { confirm } = request;
  if (confirm !== undefined && !/^\d+$/.test(confirm)) {
    throw new DaemonError("--confirm: expected whole seconds, such as 60", EXIT_CODE.USAGE);
  }
  const query = confirm === undefined ? "" : `?confirm=${confirm}`;
  const socketPath = await chooseSocket(request.interface);
  // The daemon is trusted with its answers.
  const answer = (await postTo(socketPath, API_PATH.reload + query, SILENCE_MS)) as ReloadAnswer;
  if (request.isJson) await terminal.out(`${JSON.stringify(answer, undefined, 2)}\n`);
  else await print(answer, terminal);
  return EXIT_CODES[answer.outcome];
}

/** Keeps the configuration of a reload that waits for it. */
export async function confirm(name: string | undefined, terminal: Terminal): Promise<void> {
  await postTo(await chooseSocket(name), API_PATH.confirm, SILENCE_MS);
  await terminal.out("confirmed\n");
}

const EXIT_CODES: Readonly<Record<ReloadAnswer["outcome"], number>> = {
  applied: EXIT_CODE.OK,
  refused: EXIT_CODE.FAILURE,
  "bad-configuration": EXIT_CODE.CONFIG,
};

async function print(answer: ReloadAnswer, terminal: Terminal): Promise<void> {
  switch (answer.outcome) {
    case "applied":
      await terminal.out(appliedText(answer));
      for (const warning of answer.warnings) await terminal.err(`iptun: warning: ${warning}\n`);
      break;
    case "refused":
      for (const reason of answer.reasons) await terminal.err(`iptun: not reloaded: ${reason}\n`);
      break;
    case "bad-configuration":
      await terminal.err(`${answer.text}\n`);
      break;
    default:
      answer satisfies never;
  }
}

function appliedText({
  changes,
  confirmSeconds,
}: Extract<ReloadAnswer, { outcome: "applied" }>): string {
  const wait =
    confirmSeconds === null
      ? []
      : [`taken back in ${confirmSeconds} s unless 'iptun confirm' comes`];
  const lines = changes.length === 0 ? ["nothing has changed"] : changes;
  return [...lines, ...wait].map((line) => `${line}\n`).join("");
}
