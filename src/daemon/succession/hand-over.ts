/**
 * Gives a running tunnel to another process of this host: the old one's side. take-over.ts has the new one's.
 *
 *   new: loads everything                       old: carries packets
 *   POST /v1/hand-over?to=PATH           --->   pauses, sends both descriptors to PATH
 *   opens the engine with them, calls    <---   endpoints, what was set on the host
 *   POST /v1/hand-over/done              --->   leaves the control socket, wipes its keys, ends
 *
 * Whoever can open the control socket may take the tunnel, as it may stop it. The trap: between the two requests
 * both processes have the descriptors, and only one may read. A new one that says nothing for HAND_OVER_MS has
 * failed: the old one goes on, and refuses the second request. Nor may the old one change the host once it has told
 * what is set there: a reload and a hand-over refuse each other.
 */
import { SECOND_MS } from "../../core/time.ts";
import type { EngineFeatures } from "../../engine/messages.ts";
import { RequestError, type Resource } from "../control/control-answer.ts";
import { API_PATH } from "../control/control-paths.ts";
import type { EngineLink } from "../engine-link.ts";
import { DaemonError } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import type { HandedOver } from "./handed-over.ts";
import { endpointsToKeep, formatEndpoints } from "./last-endpoints.ts";

/** Milliseconds from the first request within which the second must come. */
export const HAND_OVER_MS = 2 * SECOND_MS;

/** What the giving side needs of the tunnel. */
export interface Giver {
  /** Throws a DaemonError while the tunnel starts. */
  readonly engine: () => { readonly link: EngineLink; readonly features: EngineFeatures };
  /** Why the tunnel cannot be given away at this moment; undefined: it can. */
  readonly obstacle: () => string | undefined;
  /** What the other process must know to undo it in the end. */
  readonly host: () => Pick<HandedOver, "changes" | "before">;
  /** Sends both descriptors; 0 or -errno. */
  readonly send: (path: string, descriptors: readonly number[]) => number;
  readonly errnoName: (errno: number) => string;
  /** Stops listening and frees the control socket's path at once. */
  readonly leaveSocket: () => void;
  readonly startTimer: StartTimer;
  readonly log: { readonly info: (text: string) => void; readonly warn: (text: string) => void };
}

/** Hands one tunnel over, once. */
export class HandOver {
  readonly #giver: Giver;
  readonly #done: () => void;
  #cancel: (() => void) | undefined;
  #isDone = false;
  /** Resolves when another process has taken over. */
  readonly done: Promise<void>;

  constructor(giver: Giver) {
    this.#giver = giver;
    let resolve: () => void = () => undefined;
    this.done = new Promise((onResolve) => {
      resolve = onResolve;
    });
    this.#done = resolve;
  }

  /** Whether another process takes the tunnel, or has it. */
  get isUnderWay(): boolean {
    return this.#cancel !== undefined || this.#isDone;
  }

  /** Whether another process has the tunnel. */
  get isDone(): boolean {
    return this.#isDone;
  }

  resources(): readonly Resource[] {
    return [
      {
        ...{ method: "POST", path: API_PATH.handOver, parameters: ["to"] },
        answer: (query) => this.#begin(query.get("to")),
      },
      { method: "POST", path: API_PATH.handOverDone, answer: () => this.#finish() },
    ];
  }

  async #begin(path: string | null): Promise<HandedOver> {
    if (path === null || path === "") throw new RequestError("hand-over needs ?to=PATH");
    if (this.isUnderWay) throw new DaemonError("a hand-over is under way already");
    const running = this.#giver.engine();
    const obstacle = this.#giver.obstacle();
    if (obstacle !== undefined) throw new DaemonError(`not handed over: ${obstacle}`);
    const cancel = this.#giver.startTimer(HAND_OVER_MS, () => this.#abort());
    this.#cancel = cancel;
    const isLate = () => this.#cancel !== cancel;
    try {
      return await this.#give(path, running, isLate);
    } catch (error) {
      cancel();
      // Whoever aborted it has resumed, and another hand-over may have begun.
      if (!isLate()) this.#resume();
      throw error;
    }
  }

  /** `isLate`: whether the time was over meanwhile. A pause after that would never end. */
  async #give(
    path: string,
    { link, features }: ReturnType<Giver["engine"]>,
    isLate: () => boolean,
  ): Promise<HandedOver> {
    const { tun, udp } = features.descriptors;
    const { snapshot } = await link.snapshot();
    const endpoints = formatEndpoints(endpointsToKeep(snapshot));
    if (!isLate()) await link.pause();
    if (isLate()) throw new DaemonError("the hand-over took too long: this process goes on");
    this.#send(path, [tun, udp]);
    return { ...this.#giver.host(), endpoints };
  }

  #send(path: string, descriptors: readonly number[]): void {
    const { send, errnoName } = this.#giver;
    const result = send(path, descriptors);
    if (result < 0) throw new DaemonError(`cannot send to ${path}: ${errnoName(result)}`);
  }

  #finish(): Promise<object> {
    if (this.#cancel === undefined || this.#isDone) {
      return Promise.reject(new DaemonError("no hand-over is under way: it came too late"));
    }
    this.#cancel();
    this.#isDone = true;
    this.#giver.leaveSocket();
    this.#done();
    return Promise.resolve({ ok: true });
  }

  #abort(): void {
    this.#giver.log.warn("the process that was to take over did not: this one goes on");
    this.#resume();
  }

  #resume(): void {
    this.#cancel = undefined;
    this.#giver.engine().link.resume();
  }
}
