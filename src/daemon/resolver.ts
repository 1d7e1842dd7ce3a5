/**
 * Resolves the peers' host names: at start, until it works, and again when a peer does not answer.
 *
 * Never on the way of a packet: look-ups run in the thread pool, and the engine hears only results.
 * An empty or failed answer never replaces addresses that worked, so name service can delay a first
 * contact but not end a tunnel. Failures are tried again after 1 s, doubling to 60 s.
 */
import type { PlainEndpoint } from "../core/options.ts";
import { mapAddress, parseAddress } from "../core/prefix.ts";
import { messageOf } from "./failure.ts";

export const FIRST_RETRY_MS = 1_000;
export const LONGEST_RETRY_MS = 60_000;
/** A name is not asked for again sooner than this after an answer, however often the peer is silent. */
export const SHORTEST_REFRESH_MS = 5_000;
/** BOUNDED: addresses kept of one name; an answer may hold hundreds. */
export const MAX_ADDRESSES = 16;

/** A peer whose endpoint is a host name or an address. */
export interface NamedPeer {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface ResolverEnvironment {
  /** All addresses of a host name as text, in order of preference; rejects where there is none. */
  readonly lookup: (host: string) => Promise<readonly string[]>;
  /** Interface index of a zone such as "eth0"; 0: unknown. */
  readonly zoneIndex: (zone: string) => number;
  readonly startTimer: (delayMs: number, action: () => void) => () => void;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
  /** Told of every answer that differs from the last. */
  readonly resolved: (peer: string, endpoints: readonly PlainEndpoint[]) => void;
  /** Told of every failed look-up, with the delay until the next. */
  readonly failed: (peer: NamedPeer, reason: string, retryMs: number) => void;
}

interface NameState {
  readonly peer: NamedPeer;
  isLookingUp: boolean;
  retryMs: number;
  answeredAtMs: number;
  lastAnswer: string;
  cancelRetry: (() => void) | undefined;
}

/** The endpoint of a host that is an address already; undefined for a name. */
export function literalEndpoint(
  { host, port }: Pick<NamedPeer, "host" | "port">,
  zoneIndex: (zone: string) => number,
): PlainEndpoint | undefined {
  const [text = "", zone] = host.split("%");
  const bytes = parseAddress(text);
  if (bytes === undefined) return undefined;
  return { address: mapAddress(bytes), port, scope: zone === undefined ? 0 : zoneIndex(zone) };
}

/** Keeps the addresses of named peers fresh. */
export class Resolver {
  readonly #environment: ResolverEnvironment;
  readonly #names = new Map<string, NameState>();
  #isClosed = false;

  constructor(environment: ResolverEnvironment) {
    this.#environment = environment;
  }

  /** Starts to resolve a peer's name; does nothing for one that is an address. */
  add(peer: NamedPeer): void {
    if (literalEndpoint(peer, this.#environment.zoneIndex) !== undefined) return;
    const state: NameState = {
      peer,
      isLookingUp: false,
      retryMs: FIRST_RETRY_MS,
      answeredAtMs: Number.NEGATIVE_INFINITY,
      lastAnswer: "",
      cancelRetry: undefined,
    };
    this.#names.set(peer.name, state);
    void this.#resolve(state);
  }

  /** The peer does not answer: asks for its name again, unless that has just been done or is under way. */
  refresh(name: string): void {
    const state = this.#names.get(name);
    if (state === undefined || state.isLookingUp || state.cancelRetry !== undefined) return;
    if (this.#environment.nowMs() - state.answeredAtMs < SHORTEST_REFRESH_MS) return;
    void this.#resolve(state);
  }

  /** Ends all retries; look-ups under way are ignored. */
  close(): void {
    this.#isClosed = true;
    for (const state of this.#names.values()) state.cancelRetry?.();
  }

  async #resolve(state: NameState): Promise<void> {
    state.isLookingUp = true;
    const answer = await this.#lookUp(state.peer);
    state.isLookingUp = false;
    if (this.#isClosed) return;
    if (typeof answer === "string") this.#retryLater(state, answer);
    else this.#accept(state, answer);
  }

  /** Endpoints in order, or why there are none. */
  async #lookUp(peer: NamedPeer): Promise<readonly PlainEndpoint[] | string> {
    try {
      const texts = await this.#environment.lookup(peer.host);
      const endpoints = texts.slice(0, MAX_ADDRESSES).flatMap((host) => {
        return literalEndpoint({ host, port: peer.port }, this.#environment.zoneIndex) ?? [];
      });
      return endpoints.length > 0 ? endpoints : "the name has no address";
    } catch (error) {
      return messageOf(error);
    }
  }

  #accept(state: NameState, endpoints: readonly PlainEndpoint[]): void {
    state.retryMs = FIRST_RETRY_MS;
    state.answeredAtMs = this.#environment.nowMs();
    // Name servers rotate their answers: another order is no news.
    const answer = endpoints
      .map(({ address, scope }) => `${address.join()}%${scope}`)
      .sort()
      .join(" ");
    if (answer === state.lastAnswer) return;
    state.lastAnswer = answer;
    this.#environment.resolved(state.peer.name, endpoints);
  }

  #retryLater(state: NameState, reason: string): void {
    const { retryMs } = state;
    state.retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    state.cancelRetry = this.#environment.startTimer(retryMs, () => {
      state.cancelRetry = undefined;
      void this.#resolve(state);
    });
    this.#environment.failed(state.peer, reason, retryMs);
  }
}
