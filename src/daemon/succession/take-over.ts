/**
 * Takes a running tunnel over from another process: the new one's side of hand-over.ts.
 *
 * The descriptors come by a Unix socket of our own beside the control socket, in a directory that only the
 * daemon's user enters. The trap: until `done` the other process may go on by itself, so nothing of the host is
 * touched before.
 */
import { rmSync } from "node:fs";
import type { Inherited, LastEndpoint } from "../../engine/messages.ts";
import type { Native } from "../../io/native.ts";
import { fetchStatus, postTo } from "../control/control-client.ts";
import { API_PATH } from "../control/control-paths.ts";
import { DaemonError, EXIT } from "../failure.ts";
import { type HandedOver, handedOverSchema } from "./handed-over.ts";
import { parseEndpoints } from "./last-endpoints.ts";

type Addon = Pick<Native, "notifyListen" | "notifyReceive" | "close" | "errnoName">;

/** What was taken. */
export interface Taken extends Omit<HandedOver, "endpoints" | "isUdpGiven"> {
  readonly inherited: Inherited;
  readonly endpoints: readonly LastEndpoint[];
  /** A control socket that somebody else has opened; undefined: this process opens its own. */
  readonly control: number | undefined;
}

/** The process whose tunnel this one takes. */
export interface Predecessor {
  /** It stops reading and sending; what it had is ours. Throws a DaemonError where it does not give it. */
  take(): Promise<Taken>;
  /** The engine has what was taken: it may end. */
  done(taken: Taken): Promise<void>;
  /** This process cannot use what it took: the other goes on. Never rejects: that would go on by itself. */
  failed(taken: Taken): Promise<void>;
}

/** The process that answers on the control socket; undefined: none does. */
export async function findPredecessor(
  native: Addon,
  socketPath: string,
): Promise<Predecessor | undefined> {
  try {
    await fetchStatus(socketPath);
  } catch (error) {
    if (error instanceof DaemonError && error.exitCode === EXIT.NOT_RUNNING) return undefined;
    throw error;
  }
  return {
    take: () => take(native, socketPath),
    done: async ({ number }) => {
      await postTo(socketPath, `${API_PATH.handOverDone}?of=${number}`);
    },
    failed: ({ number }) => giveBack(socketPath, number),
  };
}

async function giveBack(socketPath: string, number: number): Promise<void> {
  // One that does not hear it waits out its time, which is over soon.
  await postTo(socketPath, `${API_PATH.handOverFailed}?of=${number}`).catch(() => undefined);
}

async function take(native: Addon, socketPath: string): Promise<Taken> {
  // No longer than the control socket's own path, which fits.
  const path = `${socketPath.slice(0, -"sock".length)}take`;
  rmSync(path, { force: true });
  const listener = native.notifyListen(new TextEncoder().encode(path));
  if (listener < 0) {
    throw new DaemonError(`cannot listen on ${path}: ${native.errnoName(listener)}`);
  }
  try {
    const answer = await postTo(socketPath, `${API_PATH.handOver}?to=${encodeURIComponent(path)}`);
    const handedOver = readAnswer(answer);
    try {
      return takenOf(handedOver, receive(native, listener));
    } catch (error) {
      await giveBack(socketPath, handedOver.number);
      throw error;
    }
  } finally {
    native.close(listener);
    rmSync(path, { force: true });
  }
}

/** One that cannot be read has no number to give it back by: the other waits out its time. */
function readAnswer(answer: unknown): HandedOver {
  const parsed = handedOverSchema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw isOfAnotherVersion();
}

function takenOf(answer: HandedOver, { tun, udp, control }: Received): Taken {
  const endpoints = parseEndpoints(answer.endpoints);
  if (endpoints === undefined) throw isOfAnotherVersion();
  const { changes, before, isUdpGiven, number } = answer;
  return { number, inherited: { tun, udp, isUdpGiven }, endpoints, changes, before, control };
}

function isOfAnotherVersion(): DaemonError {
  return new DaemonError("the running daemon's answer is of another version: restart instead");
}

interface Received {
  readonly tun: number;
  readonly udp: number;
  readonly control: number | undefined;
}

function receive(native: Addon, listener: number): Received {
  const descriptors = new Int32Array(3);
  const length = native.notifyReceive(listener, new Uint8Array(1), descriptors);
  const [tun = -1, udp = -1, control = -1] = descriptors;
  if (length >= 0 && tun >= 0 && udp >= 0) {
    return { tun, udp, control: control < 0 ? undefined : control };
  }
  throw new DaemonError("the running daemon has sent no descriptors");
}
