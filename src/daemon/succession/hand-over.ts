/**
 * Gives a running tunnel to another process of this host: the old one's side. take-over.ts has the new one's.
 *
 *   new: loads everything                       old: carries packets
 *   POST /v1/hand-over?to=PATH           --->   pauses, sends the descriptors to PATH
 *   opens the engine with them, calls    <---   endpoints, what was set on the host, the hand-over's number
 *   POST /v1/hand-over/done?of=NUMBER    --->   leaves the control socket, wipes its keys, ends
 *   or POST /v1/hand-over/failed?of=...  --->   goes on
 *
 * Whoever can open the control socket may take the tunnel, as it may stop it. The trap: between the two requests
 * both processes have the descriptors, and only one may read. A new one that says nothing for HAND_OVER_MS has
 * failed: the old one goes on, and refuses the second request, also when another process has taken its place by then
 * (the number tells them apart). What the new one has set on the descriptors, the old one
 * sets back when it goes on, and once more when it hears from one that came too late. Nor may the old one change the host
 * once it has told what is set there: a start, a reload and a hand-over refuse each other.
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
  /** What the other process must know to undo it in the end, and of the socket. */
  readonly host: () => Omit<HandedOver, "endpoints" | "number">;
  /** A control socket that somebody else has opened, and that goes along; undefined: there is none. */
  readonly givenSocket: () => number | undefined;
  /** Sends the descriptors; 0 or -errno. */
  readonly send: (path: string, descriptors: readonly number[]) => number;
  readonly errnoName: (errno: number) => string;
  /** Stops listening and frees the control socket's path at once. */
  readonly leaveSocket: () => void;
  readonly startTimer: StartTimer;
  readonly log: { readonly info: (text: string) => void; readonly warn: (text: string) => void };
}

/** Where a hand-over is; `cancel` stops the time that it has. */
type State =
  | { readonly kind: "none" }
  /** Nothing was sent yet. */
  | { readonly kind: "giving"; readonly cancel: () => void }
  | { readonly kind: "given"; readonly cancel: () => void }
  | { readonly kind: "done" }
  /** The tunnel ends without one. */
  | { readonly kind: "closed" };

/** Hands one tunnel over, once. */
export class HandOver {
  readonly #giver: Giver;
  readonly #done: () => void;
  #state: State = { kind: "none" };
  /** How many were begun: the number of the last one. */
  #begun = 0;
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
    return this.#state.kind !== "none" && this.#state.kind !== "closed";
  }

  /** Whether another process has the tunnel. */
  get isDone(): boolean {
    return this.#state.kind === "done";
  }

  /** The tunnel ends: nobody gets it any more. Returns whether somebody has it. */
  close(): boolean {
    if ("cancel" in this.#state) this.#state.cancel();
    if (!this.isDone) this.#state = { kind: "closed" };
    return this.isDone;
  }

  resources(): readonly Resource[] {
    return [
      {
        ...{ method: "POST", path: API_PATH.handOver, parameters: ["to"] },
        answer: (query) => this.#begin(query.get("to")),
      },
      {
        ...{ method: "POST", path: API_PATH.handOverDone, parameters: ["of"] },
        answer: async (query) => this.#finish(query.get("of")),
      },
      {
        ...{ method: "POST", path: API_PATH.handOverFailed, parameters: ["of"] },
        answer: async (query) => this.#failed(query.get("of")),
      },
    ];
  }

  async #begin(path: string | null): Promise<HandedOver> {
    if (path === null || path === "") throw new RequestError("hand-over needs ?to=PATH");
    if (this.isUnderWay) throw new DaemonError("a hand-over is under way already");
    if (this.#state.kind === "closed") throw new DaemonError("not handed over: it is stopping");
    const running = this.#giver.engine();
    const obstacle = this.#giver.obstacle();
    if (obstacle !== undefined) throw new DaemonError(`not handed over: ${obstacle}`);
    const cancel = this.#giver.startTimer(HAND_OVER_MS, () => this.#abort());
    const giving: State = { kind: "giving", cancel };
    this.#state = giving;
    this.#begun += 1;
    const isLate = () => this.#state !== giving;
    try {
      const given = await this.#give(path, running, isLate);
      this.#state = { kind: "given", cancel };
      return given;
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
    const control = this.#giver.givenSocket();
    this.#send(path, control === undefined ? [tun, udp] : [tun, udp, control]);
    return { ...this.#giver.host(), endpoints, number: this.#begun };
  }

  #send(path: string, descriptors: readonly number[]): void {
    const { send, errnoName } = this.#giver;
    const result = send(path, descriptors);
    if (result < 0) throw new DaemonError(`cannot send to ${path}: ${errnoName(result)}`);
  }

  #finish(number: string | null): object {
    this.#givenTo(number).cancel();
    this.#state = { kind: "done" };
    this.#giver.leaveSocket();
    this.#done();
    return { ok: true };
  }

  /** The other process says that it cannot. */
  #failed(number: string | null): object {
    this.#givenTo(number).cancel();
    this.#abort();
    return { ok: true };
  }

  /** The hand-over of this number, while it has its time; throws a DaemonError where it has not. */
  #givenTo(number: string | null): State & { kind: "given" } {
    if (number === null || number === "") throw new RequestError("hand-over needs ?of=NUMBER here");
    if (this.#state.kind === "given" && number === String(this.#begun)) return this.#state;
    throw this.#late();
  }

  /** What it answers to a process that has had its time, and may have used the descriptors after that. */
  #late(): DaemonError {
    if (this.#state.kind === "none") this.#giver.engine().link.resume();
    return new DaemonError("no hand-over is under way: it came too late");
  }

  #abort(): void {
    this.#giver.log.warn("the process that was to take over did not: this one goes on");
    this.#resume();
  }

  #resume(): void {
    this.#state = { kind: "none" };
    this.#giver.engine().link.resume();
  }
}
