/**
 * `POST /v1/ping?peer=NAME`: one authenticated probe, and what became of it.
 *
 * Not the pacing of a row of them: the client asks once for each. BOUNDED: what all clients together may ask for
 * at a time and in a second, so that a local client makes neither a flood nor a queue.
 */
import { PING_BYTES } from "../../core/constants.ts";
import { formatEndpoint } from "../../core/prefix.ts";
import { SECOND_MS } from "../../core/time.ts";
import type { PingOutcome } from "../../engine/messages.ts";
import type { EngineLink } from "../engine-link.ts";
import { DaemonError } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import { type JsonResource, RequestError } from "./control-answer.ts";
import { API_PATH } from "./control-paths.ts";
import { refusalText } from "./refusal-text.ts";

/** Milliseconds that an answer is waited for; less than a client waits for ours. */
export const PING_WAIT_MS = 2_000;
/** BOUNDED: pings that wait for their answers, and those of a second. */
export const PINGS_AT_A_TIME = 12;
export const PINGS_PER_SECOND = 20;

/** What the socket answers. */
export interface PingDocument {
  readonly peer: string;
  /** UDP payload of the probe. */
  readonly bytes: number;
  /** null: no answer. */
  readonly roundTripMs: number | null;
  /** Where it was sent; null: no answer. */
  readonly endpoint: string | null;
  /** Why none came; null: one did. */
  readonly reason: string | null;
}

export interface PingEnvironment {
  readonly startTimer: StartTimer;
  readonly nowMs: () => number;
}

/** Pings of all clients of one daemon. */
export class Pings {
  readonly #link: () => EngineLink;
  readonly #environment: PingEnvironment;
  #waiting = 0;
  /** When those of the last second were asked for, milliseconds, oldest first. BOUNDED: PINGS_PER_SECOND. */
  #askedAt: number[] = [];

  /** `link` throws while there is no engine. */
  constructor(link: () => EngineLink, environment: PingEnvironment) {
    this.#link = link;
    this.#environment = environment;
  }

  resource(): JsonResource {
    return {
      ...{ method: "POST", path: API_PATH.ping, parameters: ["peer"] },
      answer: (query) => this.#ping(query.get("peer")),
    };
  }

  async #ping(peer: string | null): Promise<PingDocument> {
    if (peer === null) throw new RequestError("peer is missing; expected the name of a peer");
    const link = this.#link();
    this.#admit();
    this.#waiting += 1;
    try {
      const { startTimer } = this.#environment;
      return pingDocument(peer, await link.probe(peer, PING_WAIT_MS, startTimer));
    } finally {
      this.#waiting -= 1;
    }
  }

  #admit(): void {
    const nowMs = this.#environment.nowMs();
    this.#askedAt = this.#askedAt.filter((at) => nowMs - at < SECOND_MS);
    if (this.#waiting >= PINGS_AT_A_TIME || this.#askedAt.length >= PINGS_PER_SECOND) {
      throw new DaemonError("too many pings at a time: another command pings, too");
    }
    this.#askedAt.push(nowMs);
  }
}

/** A refusal that waiting does not mend is an error; the others are pings without an answer. */
function pingDocument(peer: string, outcome: PingOutcome): PingDocument {
  if (outcome === "no-peer") throw new RequestError(refusalText(outcome, peer), 404);
  if (outcome === "group") throw new RequestError(refusalText(outcome, peer), 409);
  if (outcome === "lost") return unanswered(peer, `no answer within ${PING_WAIT_MS / SECOND_MS} s`);
  if (typeof outcome === "string") return unanswered(peer, refusalText(outcome, peer));
  const { bytes, roundTripMs } = outcome;
  const endpoint = formatEndpoint(outcome.endpoint);
  return { peer, bytes, roundTripMs, endpoint, reason: null };
}

function unanswered(peer: string, reason: string): PingDocument {
  return { peer, bytes: PING_BYTES, roundTripMs: null, endpoint: null, reason };
}
