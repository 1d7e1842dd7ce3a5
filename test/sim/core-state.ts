/**
 * All that a core knows, as one comparable text: what a datagram that is refused must leave as it was.
 *
 * The state is no part of a tunnel's public face, so a test that asks here makes `newState` leave a copy of
 * what it returns, before anything imports it:
 *
 *     vi.mock("../../src/core/state.ts", async (original) =>
 *       (await import("./core-state.ts")).withStatesKept(await original()));
 *
 * Left out are drop counters, the source limiter, and the failed opens of a session.
 */
import type { Floors } from "../../src/core/handshake/floors.ts";
import type { Peer, Session } from "../../src/core/peers/peer.ts";
import { REPLAY_WINDOW } from "../../src/core/session/replay-window.ts";
import type { State } from "../../src/core/state.ts";
import { ipBytes } from "../helpers/address.ts";
import type { Host } from "./host.ts";

type StateModule = typeof import("../../src/core/state.ts");

/** Of all tunnels made so far, oldest first. */
const states: State[] = [];

/** The module with a `newState` whose states `coreDigest` finds. */
export function withStatesKept(original: StateModule): StateModule {
  return {
    ...original,
    newState: (...given) => {
      const state = original.newState(...given);
      states.push(state);
      return state;
    },
  };
}

/** What the running tunnel of a host knows. */
export function coreDigest(host: Host): string {
  const state = stateOf(host);
  const { sessions, pendings, halfOpen, deferred, lastStamp, handshakeComputations } = state;
  return JSON.stringify({
    indices: [...sessions.keys()],
    pendings: [...pendings.keys()],
    halfOpen: [...halfOpen].map(({ localIndex }) => localIndex),
    deferred: deferred.length,
    lastStamp,
    handshakeComputations,
    peers: [...state.peers.values()].map(peerDigest),
  });
}

/** What the running tunnel of a host knows of one peer. */
export function peerDigestOf(host: Host, name: string): string {
  const peer = stateOf(host).peers.get(name);
  if (peer === undefined) throw new Error(`${host.name} has no peer ${name}`);
  return JSON.stringify(peerDigest(peer));
}

/** The stamp floors that a host keeps, one for each node that ever ran. */
export function floorsOf(host: Host): readonly (readonly [node: string, floor: number])[] {
  return [...stateOf(host).peers.values()].flatMap(({ psks }) =>
    psks.flatMap(({ floors }) => floorsIn(floors)),
  );
}

function stateOf(host: Host): State {
  const own = ipBytes(host.address.ip);
  const found = states.findLast(
    ({ ownAddresses: [first] }) => first !== undefined && Buffer.compare(first, own) === 0,
  );
  if (found === undefined) throw new Error(`no state of ${host.name} was kept`);
  return found;
}

function peerDigest(peer: Peer): unknown {
  const { attempt, psks, timers } = peer;
  return {
    name: peer.name,
    endpoint: peer.endpoint?.words.join(),
    endpointSince: peer.endpointSince,
    configured: peer.configured.map(({ words }) => words.join()),
    current: sessionDigest(peer.current),
    previous: sessionDigest(peer.previous),
    halfOpen: peer.halfOpen.map(sessionDigest),
    attempt: attempt && [attempt.startedAt, attempt.tries, attempt.resends],
    answerable: attempt?.pendings.map(({ index }) => index),
    cookie: peer.cookie?.bytes.join(),
    pathChallenge: peer.pathChallenge?.token.join(),
    challengedAt: peer.challengedAt,
    confirming: peer.confirming?.sent,
    waiting: peer.waiting.count,
    isUp: peer.isUp,
    heard: [peer.lastHeardAt, peer.lastHandshakeAt],
    sends: peer.sends,
    remote: peer.remote,
    counters: peer.counters,
    wakeAt: timers.wakeAt,
    keys: psks.map(({ floors, seen }) => [floorsIn(floors), seen.size]),
  };
}

function sessionDigest(session: Session | undefined): unknown {
  if (session === undefined) return undefined;
  const { window } = session;
  const first = Math.max(0, window.highest - REPLAY_WINDOW);
  let seen = "";
  for (let counter = first; counter <= window.highest; counter += 1) {
    seen += window.check(counter) ? "0" : "1";
  }
  return {
    indices: [session.localIndex, session.remoteIndex],
    born: [session.born, session.stamp],
    isConfirmed: session.isConfirmed,
    isEnded: session.isEnded,
    counters: [session.nextCounter, session.receivedPackets, window.highest],
    heardAt: session.heardAt,
    paths: session.otherPaths.length,
    seen,
  };
}

/** A floor tells only whether a stamp is above it, so it is found by halving. */
function floorsIn(floors: Floors): readonly (readonly [node: string, floor: number])[] {
  const nodes = states.map(({ nodeId }) => nodeId).filter((nodeId) => floors.has(nodeId));
  const byText = new Map(nodes.map((nodeId) => [Buffer.from(nodeId).toString("hex"), nodeId]));
  return [...byText].map(([text, nodeId]) => {
    let [low, high] = [0, Number.MAX_SAFE_INTEGER];
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      if (floors.isAbove(nodeId, middle)) high = middle;
      else low = middle + 1;
    }
    // The lowest stamp above the floor is the one after it.
    return [text, low - 1];
  });
}
