/**
 * The keys of a peer: given when it is made, changed while it lives, taken back, set aside and wiped.
 *
 * A key that stays keeps all that was seen under it, and its sessions; one that goes ends its own. While keys
 * are set aside (`keepKeys`), what is taken back is not wiped, so that a change can be undone without anybody
 * keeping a key's bytes: its sub-keys and what was seen under it wait here, until it is given again or `wipeKeys`.
 *
 * The trap: a key may move from one peer to another in one change, in either order; the sub-keys of one that
 * some peer has are never wiped.
 */

import type { KeySource } from "../options.ts";
import type { Peer, Psk, Session } from "../peers/peer.ts";
import { sendClose } from "../session/control.ts";
import { dropSessions } from "../session/sessions.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { endAttempt } from "./attempt.ts";
import { startAttempt } from "./initiate.ts";
import { deriveKeyRing, type KeyRing, wipeKeyRing } from "./keys.ts";
import { newPsk } from "./psk.ts";

/** Gives a peer its keys, which replace those that it has. */
export function setKeys(
  state: State,
  peer: Peer,
  sources: readonly KeySource[],
  now: Instant,
): void {
  const before = peer.psks;
  const psks = sources.map((source) => keyOf(state, peer, source));
  const nodes = [...(peer.group?.nodes.values() ?? [])];
  for (const one of [peer, ...nodes]) one.psks = psks;
  for (const psk of psks) if (!before.includes(psk)) state.psks.add(psk);
  const gone = before.filter((psk) => !psks.includes(psk));
  if (gone.length > 0) {
    for (const one of [peer, ...nodes]) endUnder(state, one, gone, now);
    takeBack(state, gone);
  }
  // With which key this side starts, the other sees only when it does (key-snapshot.ts).
  if (before.length > 0 && psks[0] !== before[0]) startAttempt(state, peer, now);
}

/** Takes a peer's keys from it; its sessions have been ended. */
export function takeKeys(state: State, peer: Peer): void {
  const { psks } = peer;
  peer.psks = [];
  takeBack(state, psks);
}

/** Keys that are taken from peers wait from now on. */
export function keepKeys(state: State): void {
  state.keysAside ??= [];
}

/** Wipes the keys that wait; those that are taken later are wiped at once. */
export function wipeKeys(state: State): void {
  const aside = state.keysAside ?? [];
  state.keysAside = undefined;
  for (const { ring } of aside) wipeUnused(state, ring);
}

/** One that this peer has already, one that waits or another peer has, or a new one. */
function keyOf(state: State, peer: Peer, source: KeySource): Psk {
  if (!(source instanceof Uint8Array)) {
    return held(state, peer, source.fingerprint);
  }
  const isGroup = peer.kind !== "pair";
  const ring = deriveKeyRing(state.crypto, source, isGroup);
  const known = peer.psks.find((psk) => state.crypto.equal(psk.ring.noise, ring.noise));
  wipeKeyRing(state.crypto, ring);
  return known ?? newPsk(source, peer, state.crypto, isGroup);
}

function held(state: State, peer: Peer, fingerprint: string): Psk {
  const isIt = ({ ring }: Psk) => ring.fingerprint === fingerprint;
  const own = peer.psks.find(isIt);
  if (own !== undefined) return own;
  const others = [...state.peers.values()].flatMap(({ psks }) => psks);
  const found = [...(state.keysAside ?? []), ...others].find(isIt);
  if (found === undefined) throw new Error("no such key is held");
  return { ...found, peer };
}

/**
 * Ends what stands on keys that are gone. Where that is the session in use, the other side is told, and drops
 * the one before it too.
 */
function endUnder(state: State, peer: Peer, gone: readonly Psk[], now: Instant): void {
  const { current, previous, endpoint, attempt } = peer;
  const isUnder = (session: Session) => gone.includes(session.psk);
  const isCut = current !== undefined && isUnder(current);
  if (isCut && endpoint !== undefined) sendClose(state, current, endpoint, now);
  dropSessions(state, peer, (session) => isUnder(session) || (isCut && session === previous));
  const isLost = attempt?.pendings.some(({ psk }) => gone.includes(psk)) ?? false;
  if (isLost) endAttempt(state, peer);
  if (isLost || isCut) startAttempt(state, peer, now);
}

function takeBack(state: State, psks: readonly Psk[]): void {
  for (const psk of psks) state.psks.remove(psk);
  if (state.keysAside !== undefined) state.keysAside.push(...psks);
  else for (const { ring } of psks) wipeUnused(state, ring);
}

function wipeUnused(state: State, ring: KeyRing): void {
  const isUsed = [...state.peers.values()].some(({ psks }) =>
    psks.some((psk) => psk.ring === ring),
  );
  if (!isUsed) wipeKeyRing(state.crypto, ring);
}
