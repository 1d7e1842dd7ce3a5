/**
 * `iptun ping PEER`: a row of authenticated probes through the daemon, each answer as it comes, then the sum.
 *
 * They are answered by the other iptun itself, so no inner address has to answer ICMP. A probe is sent at its time
 * whether the one before was answered or not, as ping(8) does. SIGINT ends the row, and the sum is printed.
 */
import { setTimeout as wait } from "node:timers/promises";
import { ask, SILENCE_MS } from "../daemon/control/control-client.ts";
import { API_PATH } from "../daemon/control/control-paths.ts";
import type { PingDocument } from "../daemon/control/pings.ts";
import { chooseSocket } from "./daemon-choice.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { numberOption } from "./number-option.ts";
import { answerText, beginText, sumOf, sumText } from "./ping-text.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_COUNT = 4;
const COUNT = { least: 1, most: 10_000, isWhole: true } as const;
const DEFAULT_SECONDS = 1;
/** BOUNDED: the daemon takes few at a time and in a second (daemon/control/pings.ts). */
const SECONDS = { least: 0.2, most: 3_600, isWhole: false } as const;

/** As given on the command line. */
export interface PingOptions {
  readonly peer: string;
  readonly count: string | undefined;
  readonly interval: string | undefined;
  readonly interfaceName: string | undefined;
  readonly isJson: boolean;
}

/** Pings; 1 where nothing was answered. */
export async function ping(options: PingOptions, terminal: Terminal): Promise<number> {
  const { peer, isJson } = options;
  const count = numberOption("count", options.count, COUNT) ?? DEFAULT_COUNT;
  const seconds = numberOption("interval", options.interval, SECONDS) ?? DEFAULT_SECONDS;
  const socket = await chooseSocket(options.interfaceName);
  if (!isJson) await terminal.out(beginText(peer));
  const answers = await askRow({ count, seconds }, async (sequence) => {
    const path = `${API_PATH.ping}?${new URLSearchParams({ peer })}`;
    // The daemon is trusted with the form of its answers.
    const answer = (await ask(socket, {
      method: "POST",
      path,
      silenceMs: SILENCE_MS,
    })) as PingDocument;
    if (!isJson) await terminal.out(answerText(answer, sequence));
    return answer;
  });
  const sum = sumOf(answers);
  const document = { peer, answers, ...sum };
  await terminal.out(isJson ? `${JSON.stringify(document, undefined, 2)}\n` : sumText(peer, sum));
  return sum.answered === 0 ? EXIT_CODE.FAILURE : EXIT_CODE.OK;
}

/** Asks `count` times, `seconds` apart, until all are answered or a SIGINT ends the row. */
async function askRow(
  { count, seconds }: { readonly count: number; readonly seconds: number },
  askOnce: (sequence: number) => Promise<PingDocument>,
): Promise<readonly PingDocument[]> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal);
  const asked: Promise<PingDocument>[] = [];
  try {
    while (asked.length < count && !interrupt.signal.aborted) {
      const answer = askOnce(asked.length + 1);
      asked.push(answer);
      if (asked.length < count) await pause(answer, seconds, interrupt.signal);
    }
    return await Promise.all(asked);
  } finally {
    process.off("SIGINT", onSignal);
  }
}

/** Until the next is due; what the last met that ends the command ends it at once. */
async function pause(
  last: Promise<PingDocument>,
  seconds: number,
  signal: AbortSignal,
): Promise<void> {
  const due = wait(seconds * 1_000, undefined, { signal }).catch(() => undefined);
  const failed = last.then(() => due);
  await Promise.race([due, failed]);
}
