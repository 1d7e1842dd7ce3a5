/**
 * `iptun events`: what happens in a running daemon, a line each, until it ends or the reader has enough.
 */
import { printable } from "../config/shown.ts";
import { listenEvents } from "../daemon/control/control-client.ts";
import type { EventDocument } from "../daemon/control/event-stream.ts";
import { DaemonError, EXIT } from "../daemon/failure.ts";
import { chooseSocket } from "./daemon-choice.ts";
import { EXIT_CODE } from "./exit-code.ts";
import type { Terminal } from "./terminal.ts";

/** What is asked for. */
export interface EventsRequest {
  readonly interface: string | undefined;
  /** How many that are over come first. */
  readonly last: string | undefined;
  readonly isJson: boolean;
}

const DEFAULT_LAST = 10;

/** Prints events until the daemon ends, which is a failure. */
export async function events(request: EventsRequest, terminal: Terminal): Promise<never> {
  const last = lastOf(request.last);
  const socket = await chooseSocket(request.interface);
  for await (const event of listenEvents(socket, last)) {
    await terminal.out(request.isJson ? `${JSON.stringify(event)}\n` : lineOf(event));
  }
  throw new DaemonError("the tunnel has ended", EXIT.NOT_RUNNING);
}

function lastOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LAST;
  if (/^\d{1,3}$/.test(text)) return Number(text);
  const message = `--last is ${JSON.stringify(text)}; expected a whole number, 0 to 256`;
  throw new DaemonError(message, EXIT_CODE.USAGE);
}

/** "2026-01-02 03:04:05Z info  peer b is up at 192.0.2.1:1194" */
function lineOf({ at, level, message }: EventDocument): string {
  const time = at.replace("T", " ").replace(/\.\d+/, "");
  return `${printable(`${time} ${level.padEnd(5)} ${message}`)}\n`;
}
