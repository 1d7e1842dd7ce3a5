/**
 * What a tunnel answers on its control socket: the list of resources.
 *
 * docs/openapi.json describes the same list for others, and a test holds the two together. What a resource needs of
 * the tunnel is in ControlApiSide; nothing here knows sockets.
 */

import { DaemonError } from "../failure.ts";
import { rejector } from "../rejector.ts";
import type { Reloader } from "../reload/reloader.ts";
import type { StartTimer } from "../repeats.ts";
import type { HandOver } from "../succession/hand-over.ts";
import { METRICS_TYPE } from "../web/metrics.ts";
import { JSON_TYPE, jsonText, RequestError, type Resource, type Sink } from "./control-answer.ts";
import { API_PATH } from "./control-paths.ts";
import { EVENTS_KEPT, type EventStream } from "./event-stream.ts";
import { Fresh } from "./fresh.ts";
import { HISTORY_SECONDS, type History } from "./history.ts";
import { Pace } from "./pace.ts";
import type { Probing } from "./probing.ts";
import { wholeNumber } from "./query.ts";
import { reloadResources } from "./reload-resources.ts";
import type { PeerStatus, StatusDocument } from "./status.ts";

/** Milliseconds in which a healthy tunnel answers. */
export const HEALTH_MS = 1_000;
/** Seconds of history that are given unless told, and at most of all peers together: half a megabyte. */
const HISTORY_DEFAULT_SECONDS = 60;
const HISTORY_MOST_SECONDS_OF_ALL = 300;
/** Milliseconds in which a peer is asked for one new session at most. */
export const REKEY_MS = 1_000;

/** What the resources need of the tunnel. */
export interface ControlApiSide {
  readonly status: () => Promise<StatusDocument>;
  /** Starts a handshake with a configured peer. */
  readonly rekey: (peer: string) => void;
  readonly history: History;
  /** The text of a scrape. */
  readonly metrics: () => Promise<string>;
  readonly events: EventStream;
  readonly handOver: Pick<HandOver, "resources">;
  readonly probing: Pick<Probing, "resources">;
  /** undefined until the tunnel has started. */
  readonly reloader: () => Reloader | undefined;
  readonly startTimer: StartTimer;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/** The peers that are, for now, all there is to know of a tunnel's health. */
export interface HealthDocument {
  readonly isHealthy: true;
  readonly peersUp: number;
}

/** The peers with which a new session was asked for. */
export interface RekeyDocument {
  readonly peers: readonly string[];
}

/** Everything that can be asked for. */
export function controlApi(side: ControlApiSide): readonly Resource[] {
  const { peers, events, health, rekey, metrics } = API_PATH;
  const rekeys = new Map<string, number>();
  return [
    { method: "GET", path: API_PATH.status, answer: () => side.status() },
    {
      ...{ method: "GET", path: peers, parameters: ["peer"] },
      answer: async (query) => ({ peers: chosen((await side.status()).peers, query) }),
    },
    historyResource(side),
    {
      ...{ method: "GET", path: events, parameters: ["last"], contentType: "text/event-stream" },
      stream: (sink, query, lastEventId) => listen(side, sink, query, lastEventId),
    },
    {
      ...{ method: "GET", path: health, parameters: ["peer", "peers"] },
      answer: (query) => healthOf(side, query),
    },
    {
      ...{ method: "GET", path: metrics, contentType: METRICS_TYPE },
      text: () => side.metrics(),
    },
    {
      ...{ method: "POST", path: rekey, parameters: ["peer"] },
      answer: (query) => rekeyAsked(side, query, rekeys),
    },
    ...reloadResources(side.reloader),
    ...side.handOver.resources(),
    ...side.probing.resources(),
  ];
}

/**
 * The web listener serves it to every user of the host: it takes a bounded share of this thread, and a peer's name costs
 * the engine a snapshot once a second at most.
 */
function historyResource(side: ControlApiSide): Resource {
  const pace = new Pace(side);
  const status = new Fresh(side.status, side.nowMs);
  return {
    ...{ method: "GET", path: API_PATH.history, parameters: ["peer", "seconds"] },
    contentType: JSON_TYPE,
    text: async (query) => {
      const peer = query.get("peer");
      const most = peer === null ? HISTORY_MOST_SECONDS_OF_ALL : HISTORY_SECONDS;
      const seconds = wholeNumber(query, "seconds", [1, most]) ?? HISTORY_DEFAULT_SECONDS;
      if (peer !== null) chosen((await status.get()).peers, query);
      return await pace.run(() => jsonText(side.history.document(seconds, peer ?? undefined)));
    },
  };
}

function listen(
  side: ControlApiSide,
  sink: Sink,
  query: URLSearchParams,
  lastEventId: string | undefined,
): void {
  const last = wholeNumber(query, "last", [0, EVENTS_KEPT]) ?? 0;
  side.events.listen(sink, { lastEventId, last });
}

async function healthOf(side: ControlApiSide, query: URLSearchParams): Promise<HealthDocument> {
  const least = wholeNumber(query, "peers", [0, Number.MAX_SAFE_INTEGER]);
  const { interface: device, peers } = await inTime(side);
  const asked = chosen(peers, query).filter(({ kind }) => kind !== "group");
  if (!device.isLinkUp) throw new DaemonError(`the link of ${device.name} is down`);
  const peersUp = asked.filter(({ state }) => state === "up").length;
  const needed = least ?? (query.has("peer") ? 1 : 0);
  if (peersUp < needed) throw new DaemonError(`${peersUp} peers are up, at least ${needed} should`);
  return { isHealthy: true, peersUp };
}

/** The status, from an engine that is quick to give it. */
async function inTime(side: ControlApiSide): Promise<StatusDocument> {
  const { promise, reject } = rejector();
  const cancel = side.startTimer(HEALTH_MS, () =>
    reject(new DaemonError(`the engine has not answered for ${HEALTH_MS} ms`)),
  );
  try {
    return await Promise.race([side.status(), promise]);
  } finally {
    cancel();
  }
}

/**
 * A group's sites start the handshakes, so neither it nor they can be asked to. `askedAt`: when each peer was asked for
 * the last time; BOUNDED by the configured peers.
 */
async function rekeyAsked(
  side: ControlApiSide,
  query: URLSearchParams,
  askedAt: Map<string, number>,
): Promise<RekeyDocument> {
  const asked = chosen((await side.status()).peers, query);
  const able = asked.filter(({ kind, endpoint }) => canStart(kind) && endpoint !== null);
  const [first] = asked;
  if (query.has("peer") && able.length === 0 && first !== undefined) throw cannotStart(first);
  const nowMs = side.nowMs();
  const isRested = ({ name }: PeerStatus) => nowMs - (askedAt.get(name) ?? -REKEY_MS) >= REKEY_MS;
  const rested = able.filter(isRested);
  if (able.length > 0 && rested.length === 0) {
    throw new RequestError(
      "a new session was asked for a moment ago; once a second is enough",
      429,
    );
  }
  for (const { name } of rested) {
    askedAt.set(name, nowMs);
    side.rekey(name);
  }
  return { peers: rested.map(({ name }) => name) };
}

function canStart(kind: PeerStatus["kind"]): boolean {
  return kind === "pair" || kind === "hub";
}

function cannotStart({ name, kind }: PeerStatus): RequestError {
  const why = canStart(kind)
    ? "has no known endpoint"
    : "is of a group, whose sites start sessions";
  return new RequestError(`peer ${name} ${why}`, 409);
}

/** The peer that the query names, or all. */
function chosen(peers: readonly PeerStatus[], query: URLSearchParams): readonly PeerStatus[] {
  const name = query.get("peer");
  if (name === null) return peers;
  const peer = peers.find((one) => one.name === name);
  if (peer === undefined) throw new RequestError(`no peer is named ${JSON.stringify(name)}`, 404);
  return [peer];
}
