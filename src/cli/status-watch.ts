/**
 * `iptun status --watch`: the status once a second, until q or Ctrl-C.
 *
 * On a terminal it is one screen that is drawn anew, on the alternate screen, which is left whatever ends the command.
 * Elsewhere it is the summary again and again. A daemon that ends, or is started again, is waited for. The trap: a
 * question may be under way when it is left; it is not waited for, and nothing is drawn any more.
 */
import { fetchHistory, fetchStatus } from "../daemon/control/control-client.ts";
import { DaemonError } from "../daemon/failure.ts";
import { paintOf } from "./paint.ts";
import { summaryText } from "./status-summary.ts";
import type { Terminal } from "./terminal.ts";
import { screenLines, WATCHED_SECONDS, type WatchState } from "./watch-screen.ts";

/** Milliseconds between two looks. */
export const WATCH_MS = 1_000;

/** What the watch needs of the world. */
export interface WatchEnvironment {
  /** Asks the daemon; throws a DaemonError where it does not answer. */
  readonly look: () => Promise<Omit<WatchState, "failure">>;
  /** Resolves after so many milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
}

/** The daemon at this socket, asked in real time. */
export function watchEnvironment(socketPath: string): WatchEnvironment {
  return {
    look: async () => ({
      document: await fetchStatus(socketPath),
      history: await fetchHistory(socketPath, WATCHED_SECONDS),
    }),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };
}

/** Watches until the operator has enough; a daemon that does not run at the start is a failure. */
export async function watch(environment: WatchEnvironment, terminal: Terminal): Promise<void> {
  const first = { ...(await environment.look()), failure: undefined };
  const paint = paintOf(terminal.looks().hasColour);
  let state: WatchState = first;
  const screen = terminal.openScreen(() => draw());
  if (screen === undefined) return await printAgain(environment, terminal, first);
  const draw = () => screen.draw(screenLines(state, screen.size(), paint));
  let isOver = false;
  const over = screen.quit.then(() => {
    isOver = true;
  });
  const go = async () => {
    while (!isOver) {
      draw();
      await environment.wait(WATCH_MS);
      if (!isOver) state = await lookAgain(environment, state);
    }
  };
  try {
    await Promise.race([over, go()]);
  } finally {
    isOver = true;
    screen.close();
  }
}

/** What is there, or what was there before and why there is no more. */
async function lookAgain(environment: WatchEnvironment, before: WatchState): Promise<WatchState> {
  try {
    return { ...(await environment.look()), failure: undefined };
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    return { ...before, failure: error.message };
  }
}

/** Until the reader has enough, which writing tells. */
async function printAgain(
  environment: WatchEnvironment,
  terminal: Terminal,
  first: WatchState,
): Promise<never> {
  let state = first;
  for (;;) {
    const text = summaryText(state.document, { width: undefined, paint: paintOf(false) });
    await terminal.out(state.failure === undefined ? `${text}\n` : `${state.failure}\n\n`);
    await environment.wait(WATCH_MS);
    state = await lookAgain(environment, state);
  }
}
