/**
 * Speed tests on the control socket: started by one POST, looked at by GETs, ended by another POST.
 *
 * A test ends early when nobody has looked at it for a while: whoever started it has gone away. The CPU time is that
 * of this whole process, so all other traffic of the tunnel is in it.
 */
import { LARGEST_INNER_MTU, SPEED_LEAST_BYTES, SPEED_MOST_SECONDS } from "../../core/constants.ts";
import type { SpeedSnapshot } from "../../core/options.ts";
import { SECOND_MS } from "../../core/time.ts";
import { DATA_OVERHEAD } from "../../core/wire.ts";
import type { EngineLink } from "../engine-link.ts";
import { DaemonError } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import { type JsonResource, RequestError } from "./control-answer.ts";
import { API_PATH } from "./control-paths.ts";
import { wholeNumber } from "./query.ts";
import { refusalText } from "./refusal-text.ts";

/** Seconds of load unless told. */
export const SPEED_SECONDS = 5;
/** Milliseconds without a look after which a test is ended. */
export const UNWATCHED_MS = 2_000;

/** What the socket answers. */
export interface SpeedDocument extends SpeedSnapshot {
  /** Of IP packets with outer headers, and of the inner packets that they could have held; null: nothing was answered. */
  readonly bitsPerSecond: number | null;
  readonly innerBitsPerSecond: number | null;
  /** CPU seconds of this process a second, since the test began; more than 1 where several threads work. */
  readonly cpu: number;
  /** Offloads of the socket that are in use. */
  readonly offloads: readonly string[];
}

export interface SpeedEnvironment {
  readonly startTimer: StartTimer;
  readonly nowMs: () => number;
  /** CPU time of this process, milliseconds. */
  readonly cpuMs: () => number;
}

/** The running tunnel. */
export interface SpeedSide {
  readonly link: EngineLink;
  readonly features: { readonly offloads: readonly string[] };
}

/** The tests of one daemon, one at a time. */
export class SpeedTests {
  readonly #side: () => SpeedSide;
  readonly #environment: SpeedEnvironment;
  #cancel: () => void = () => undefined;
  #begin = { atMs: 0, cpuMs: 0 };
  /** As it was at the last look while the test ran. */
  #cpu = 0;

  /** `side` throws while there is no engine. */
  constructor(side: () => SpeedSide, environment: SpeedEnvironment) {
    this.#side = side;
    this.#environment = environment;
  }

  resources(): readonly JsonResource[] {
    const path = API_PATH.speedTest;
    return [
      {
        ...{ method: "POST", path, parameters: ["peer", "seconds", "size"] },
        answer: (query) => this.#start(query),
      },
      { method: "GET", path, answer: () => this.#look() },
      { method: "POST", path: API_PATH.stopSpeedTest, answer: () => this.#stop() },
    ];
  }

  /** Nobody is waited for any more. */
  close(): void {
    this.#cancel();
  }

  async #start(query: URLSearchParams): Promise<SpeedDocument> {
    const peer = query.get("peer");
    if (peer === null) throw new RequestError("peer is missing; expected the name of a peer");
    const seconds = wholeNumber(query, "seconds", [1, SPEED_MOST_SECONDS]) ?? SPEED_SECONDS;
    const bytes = wholeNumber(query, "size", [
      SPEED_LEAST_BYTES,
      LARGEST_INNER_MTU + DATA_OVERHEAD,
    ]);
    const { link } = this.#side();
    const speed = await link.speed({ peer, seconds, bytes });
    if (speed === "no-peer") throw new RequestError(refusalText(speed, peer), 404);
    if (typeof speed === "string") throw new RequestError(refusalText(speed, peer), 409);
    const { nowMs, cpuMs } = this.#environment;
    this.#begin = { atMs: nowMs(), cpuMs: cpuMs() };
    this.#cpu = 0;
    return this.#document(speed);
  }

  async #look(): Promise<SpeedDocument> {
    const speed = await this.#side().link.speed("look");
    return this.#document(typeof speed === "string" ? undefined : speed);
  }

  async #stop(): Promise<SpeedDocument> {
    const speed = await this.#side().link.speed("stop");
    return this.#document(typeof speed === "string" ? undefined : speed);
  }

  #document(speed: SpeedSnapshot | undefined): SpeedDocument {
    if (speed === undefined) throw new RequestError("no speed test was started", 404);
    this.#watch(speed);
    const { measuredAnswered, measuredMs, outerBytes, innerBytes } = speed;
    const isKnown = measuredAnswered > 0 && measuredMs > 0;
    const rate = (bytes: number) =>
      isKnown ? Math.round((measuredAnswered * bytes * 8 * SECOND_MS) / measuredMs) : null;
    return {
      ...speed,
      bitsPerSecond: rate(outerBytes),
      innerBitsPerSecond: rate(innerBytes),
      cpu: this.#cpu,
      offloads: this.#side().features.offloads.filter((one) => one === "gso" || one === "gro"),
    };
  }

  /** One more look: the next is due in time, if the test still runs. */
  #watch({ phase }: SpeedSnapshot): void {
    this.#cancel();
    if (phase === "over") return;
    const { startTimer, nowMs, cpuMs } = this.#environment;
    const elapsedMs = nowMs() - this.#begin.atMs;
    if (elapsedMs > 0 && phase === "load") {
      this.#cpu = Math.round(((cpuMs() - this.#begin.cpuMs) / elapsedMs) * 100) / 100;
    }
    this.#cancel = startTimer(UNWATCHED_MS, () => {
      this.#side().link.speed("stop").catch(ignoreEnd);
    });
  }
}

/** The engine's end is told elsewhere, and ends the test. */
function ignoreEnd(error: unknown): void {
  if (!(error instanceof DaemonError)) throw error;
}
