/**
 * Resolves the peers' host names: at start, until it works, every five minutes, and when a peer does not answer.
 *
 * Never on the way of a packet: look-ups run in the thread pool, and the engine hears only results. A peer
 * may have several endpoints; the engine gets the addresses of all of them, in order of preference. An empty
 * or failed answer never replaces addresses that worked, so name service can delay a first contact but not
 * end a tunnel. Failures are tried again after 1 s, doubling to 60 s.
 */

import type { PlainEndpoint } from "../../core/options.ts";
import { mapAddress, parseAddress } from "../../core/prefix.ts";
import { messageOf } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";

export const FIRST_RETRY_MS = 1_000;
export const LONGEST_RETRY_MS = 60_000;
/** A name is asked for again so long after an answer. */
export const REFRESH_MS = 300_000;
/** A name is not asked for again sooner than this after an answer, however often the peer is silent. */
export const SHORTEST_REFRESH_MS = 5_000;
/** BOUNDED: addresses kept of one name; an answer may hold hundreds. */
export const MAX_ADDRESSES = 16;

/** A host name or an address. */
interface Place {
  readonly host: string;
  readonly port: number;
}

/** A peer with its endpoints in order of preference. */
export interface NamedPeer {
  readonly name: string;
  readonly endpoints: readonly Place[];
}

export interface ResolverEnvironment {
  /** All addresses of a host name as text, in order of preference; rejects where there is none. */
  readonly lookup: (host: string) => Promise<readonly string[]>;
  /** Interface index of a zone such as "eth0"; 0: unknown. */
  readonly zoneIndex: (zone: string) => number;
  readonly startTimer: StartTimer;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
  /** Told of every answer that differs from the last: all addresses of the peer. */
  readonly resolved: (peer: string, endpoints: readonly PlainEndpoint[]) => void;
  /** Told of every failed look-up, with the delay until the next. */
  readonly failed: (peer: string, host: string, reason: string, retryMs: number) => void;
}

interface NameState {
  readonly peer: PeerState;
  readonly place: Place;
  isLookingUp: boolean;
  retryMs: number;
  answeredAtMs: number;
  lastAnswer: string;
  /** What the last good answer said. */
  endpoints: readonly PlainEndpoint[];
  /** The next look-up; after a failure it is not hastened. */
  cancelNext: (() => void) | undefined;
  hasFailed: boolean;
}

interface PeerState {
  readonly name: string;
  /** In order of preference: an address, or a name. */
  readonly places: (PlainEndpoint | NameState)[];
  /** Resolves with the first address, or when nobody asks any more. */
  readonly answered: Promise<void>;
  readonly settle: () => void;
}

/** The endpoint of a host that is an address already; undefined for a name. */
export function literalEndpoint(
  { host, port }: Place,
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
  readonly #peers = new Map<string, PeerState>();
  #isClosed = false;

  constructor(environment: ResolverEnvironment) {
    this.#environment = environment;
  }

  /** Starts to resolve a peer's names, unless closed; does nothing for one that has only addresses. */
  add({ name, endpoints }: NamedPeer): void {
    let settle: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const peer: PeerState = { name, places: [], answered, settle };
    for (const place of endpoints) {
      const literal = literalEndpoint(place, this.#environment.zoneIndex);
      if (literal !== undefined) settle();
      peer.places.push(literal ?? newName(peer, place));
    }
    this.#peers.set(name, peer);
    if (this.#isClosed) {
      settle();
      return;
    }
    for (const state of namesOf(peer)) void this.#resolve(state);
  }

  /** Nobody asks for the peer's names any more. */
  remove(name: string): void {
    const peer = this.#peers.get(name);
    for (const state of namesOf(peer)) state.cancelNext?.();
    peer?.settle();
    this.#peers.delete(name);
  }

  /** The peer does not answer: asks for its names again, unless that has just been done or is under way. */
  refresh(name: string): void {
    for (const state of namesOf(this.#peers.get(name))) {
      const isRecent = this.#environment.nowMs() - state.answeredAtMs < SHORTEST_REFRESH_MS;
      if (state.isLookingUp || state.hasFailed || isRecent) continue;
      state.cancelNext?.();
      void this.#resolve(state);
    }
  }

  /** Resolves when each of these peers had an address once, or the resolver is closed. */
  async answered(peers: readonly string[]): Promise<void> {
    await Promise.all(peers.map((peer) => this.#peers.get(peer)?.answered));
  }

  /** Ends all retries; look-ups under way are ignored. */
  close(): void {
    this.#isClosed = true;
    for (const peer of this.#peers.values()) {
      for (const state of namesOf(peer)) state.cancelNext?.();
      peer.settle();
    }
  }

  async #resolve(state: NameState): Promise<void> {
    state.isLookingUp = true;
    const answer = await this.#lookUp(state.place);
    state.isLookingUp = false;
    // Also where the peer is gone, or has other endpoints meanwhile.
    if (this.#isClosed || this.#peers.get(state.peer.name) !== state.peer) return;
    state.hasFailed = typeof answer === "string";
    if (typeof answer === "string") this.#retryLater(state, answer);
    else this.#accept(state, answer);
  }

  /** Endpoints in order, or why there are none. */
  async #lookUp({ host, port }: Place): Promise<readonly PlainEndpoint[] | string> {
    try {
      const texts = await this.#environment.lookup(host);
      const endpoints = texts.slice(0, MAX_ADDRESSES).flatMap((address) => {
        return literalEndpoint({ host: address, port }, this.#environment.zoneIndex) ?? [];
      });
      return endpoints.length > 0 ? inTurns(endpoints) : "the name has no address";
    } catch (error) {
      return messageOf(error);
    }
  }

  #accept(state: NameState, endpoints: readonly PlainEndpoint[]): void {
    state.retryMs = FIRST_RETRY_MS;
    state.answeredAtMs = this.#environment.nowMs();
    this.#next(state, REFRESH_MS);
    state.peer.settle();
    // Name servers rotate their answers: another order is no news.
    const answer = endpoints
      .map(({ address, scope }) => `${address.join()}%${scope}`)
      .sort()
      .join(" ");
    if (answer === state.lastAnswer) return;
    state.lastAnswer = answer;
    state.endpoints = endpoints;
    const { name, places } = state.peer;
    this.#environment.resolved(
      name,
      places.flatMap((place) => ("place" in place ? place.endpoints : place)),
    );
  }

  #retryLater(state: NameState, reason: string): void {
    const { retryMs } = state;
    state.retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    this.#next(state, retryMs);
    this.#environment.failed(state.peer.name, state.place.host, reason, retryMs);
  }

  #next(state: NameState, delayMs: number): void {
    state.cancelNext = this.#environment.startTimer(delayMs, () => void this.#resolve(state));
  }
}

function newName(peer: PeerState, place: Place): NameState {
  return {
    peer,
    place,
    isLookingUp: false,
    retryMs: FIRST_RETRY_MS,
    answeredAtMs: Number.NEGATIVE_INFINITY,
    lastAnswer: "",
    endpoints: [],
    cancelNext: undefined,
    hasFailed: false,
  };
}

function namesOf(peer: PeerState | undefined): readonly NameState[] {
  return peer?.places.flatMap((place) => ("place" in place ? [place] : [])) ?? [];
}

/** The families in turns, the first answer's first (RFC 8305 §4): a broken one costs one try, not all of its addresses. */
function inTurns(endpoints: readonly PlainEndpoint[]): readonly PlainEndpoint[] {
  const [first] = endpoints;
  const isFirst = (one: PlainEndpoint) =>
    isMapped(one) === (first !== undefined && isMapped(first));
  const same = endpoints.filter(isFirst);
  const other = endpoints.filter((one) => !isFirst(one));
  return Array.from({ length: Math.max(same.length, other.length) }).flatMap((_, index) => [
    ...same.slice(index, index + 1),
    ...other.slice(index, index + 1),
  ]);
}

function isMapped({ address }: PlainEndpoint): boolean {
  return address.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 0xff));
}
