/**
 * `iptun speedtest PEER`: what the path to a peer carries from here, through the session, for some seconds.
 *
 * The daemon does it; this starts it, looks at it, and prints what came of it. The daemon ends it where nobody
 * looks any more, so a command that is killed leaves nothing behind. SIGINT ends the test, and its figures are printed.
 */
import { setTimeout as wait } from "node:timers/promises";
import { SPEED_LEAST_BYTES, SPEED_MOST_SECONDS } from "../core/constants.ts";
import { ask, SILENCE_MS } from "../daemon/control/control-client.ts";
import { API_PATH } from "../daemon/control/control-paths.ts";
import type { SpeedDocument } from "../daemon/control/speed-tests.ts";
import { chooseSocket } from "./daemon-choice.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { numberOption } from "./number-option.ts";
import { progressText, speedText } from "./speed-text.ts";
import type { Terminal } from "./terminal.ts";

const SECONDS = { least: 1, most: SPEED_MOST_SECONDS, isWhole: true } as const;
const SIZE = { least: SPEED_LEAST_BYTES, most: 9_188, isWhole: true } as const;
/** Milliseconds between two looks. */
const LOOK_MS = 250;
/** Looks between two lines of progress. */
const LOOKS_PER_LINE = 4;

/** As given on the command line. */
export interface SpeedTestOptions {
  readonly peer: string;
  readonly seconds: string | undefined;
  readonly size: string | undefined;
  readonly interfaceName: string | undefined;
  readonly isJson: boolean;
}

/** Tests; 1 where nothing was answered. */
export async function speedTest(options: SpeedTestOptions, terminal: Terminal): Promise<number> {
  const { peer, isJson } = options;
  const seconds = numberOption("seconds", options.seconds, SECONDS);
  const size = numberOption("size", options.size, SIZE);
  const socket = await chooseSocket(options.interfaceName);
  const query = new URLSearchParams({
    peer,
    ...(seconds !== undefined && { seconds: `${seconds}` }),
    ...(size !== undefined && { size: `${size}` }),
  });
  await request(socket, "POST", `${API_PATH.speedTest}?${query}`);
  const document = await watch(socket, async (speed) => {
    if (!isJson) await terminal.err(progressText(speed));
  });
  await terminal.out(isJson ? `${JSON.stringify(document, undefined, 2)}\n` : speedText(document));
  return document.measuredAnswered === 0 ? EXIT_CODE.FAILURE : EXIT_CODE.OK;
}

/** Looks until it is over. */
async function watch(
  socket: string,
  progress: (speed: SpeedDocument) => Promise<void>,
): Promise<SpeedDocument> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal);
  try {
    for (let look = 1; ; look += 1) {
      await wait(LOOK_MS, undefined, { signal: interrupt.signal }).catch(() => undefined);
      if (interrupt.signal.aborted) return await request(socket, "POST", API_PATH.stopSpeedTest);
      const speed = await request(socket, "GET", API_PATH.speedTest);
      if (speed.phase === "over") return speed;
      if (look % LOOKS_PER_LINE === 0 && speed.phase === "load") await progress(speed);
    }
  } finally {
    process.off("SIGINT", onSignal);
  }
}

/** The daemon is trusted with the form of its answers. */
async function request(
  socket: string,
  method: "GET" | "POST",
  path: string,
): Promise<SpeedDocument> {
  return (await ask(socket, { method, path, silenceMs: SILENCE_MS })) as SpeedDocument;
}
