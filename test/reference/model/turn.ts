/**
 * What a host does by itself and for its user: timers (rules 5, 6, 8, 11 and "Limits"), packets (rule 14), orders.
 */
import type { Address } from "./address.ts";
import { probe } from "./claims.ts";
import { canStart, repeatConfirmation, sendInit, startAttempt } from "./initiator.ts";
import { refuse } from "./limits.ts";
import { holderOf } from "./nodes.ts";
import { receiveHandshake } from "./receive.ts";
import type { Packet } from "./records.ts";
import { WAITING_PACKETS, WORK_OF_TURN } from "./rules.ts";
import { seal } from "./seal.ts";
import { armRekey, close, endAttempt, expire, nextExpiry } from "./slots.ts";
import { drop, everyPeer, isUsable, type Model, type Peer, type Timer } from "./state.ts";

/** When something is due by itself. */
export function nextDue(model: Model): number {
  if (model.deferred.length > 0) return model.now;
  let due = Number.POSITIVE_INFINITY;
  for (const peer of everyPeer(model)) due = Math.min(due, dueOf(model, peer));
  return due;
}

function dueOf(model: Model, peer: Peer): number {
  let due = nextExpiry(model, peer);
  for (const [timer] of ACTIONS) due = Math.min(due, peer.timers[timer]);
  return due;
}

/** Begins a turn: handshakes that were put off, then whatever is due. */
export function beginTurn(model: Model, hint: number): void {
  takeDeferred(model, hint);
  for (let round = 0; round < 1_000; round += 1) {
    const peer = everyPeer(model).find((one) => dueOf(model, one) <= model.now);
    if (peer === undefined) return;
    fire(model, peer);
  }
  throw new Error("the model's timers never come to rest");
}

function takeDeferred(model: Model, hint: number): void {
  model.work = 0;
  const waiting = model.deferred.splice(0);
  for (const [index, arrival] of waiting.entries()) {
    if (model.work >= WORK_OF_TURN) {
      model.deferred.unshift(...waiting.slice(index));
      return;
    }
    const reason = receiveHandshake(model, arrival, hint);
    if (reason !== undefined) refuse(model, reason, arrival.from);
  }
}

/** Expiry comes first: nothing after it may use a session over its age. */
function fire(model: Model, peer: Peer): void {
  if (nextExpiry(model, peer) <= model.now) expire(model, peer);
  for (const [timer, act] of ACTIONS) {
    if (peer.timers[timer] > model.now) continue;
    peer.timers[timer] = Number.POSITIVE_INFINITY;
    act(model, peer);
  }
}

type Action = (model: Model, peer: Peer) => void;

const ACTIONS: readonly (readonly [Timer, Action])[] = [
  ["stale", forgetEndpoint],
  ["giveUp", giveUp],
  ["retry", retry],
  ["rekey", renew],
  [
    "unanswered",
    (model, peer) => {
      if (startAttempt(model, peer)) model.tally.note("unanswered");
    },
  ],
  ["confirm", repeatConfirmation],
  ["passive", passiveKeepalive],
  ["keepalive", configuredKeepalive],
  ["contest", probe],
];

function forgetEndpoint(model: Model, peer: Peer): void {
  if (peer.endpoint !== undefined) model.tally.note("stale");
  peer.endpoint = undefined;
  peer.pathChallenge = undefined;
}

/** Rule 5: after 90 s it waits for traffic or the keepalive timer. */
function giveUp(model: Model, peer: Peer): void {
  model.tally.note("gaveUp");
  endAttempt(model, peer);
  drop(model, "queue_timeout", peer.waiting.length);
  peer.waiting = [];
  peer.timers.keepalive = model.now + peer.keepalive;
  armRekey(peer);
}

function retry(model: Model, peer: Peer): void {
  if (peer.attempt !== undefined) sendInit(model, peer, peer.attempt);
}

function renew(model: Model, peer: Peer): void {
  const isInitiator = peer.current?.isInitiator === true;
  if (!startAttempt(model, peer)) return;
  model.tally.note(isInitiator ? "rekeyInitiator" : "rekeyResponder");
}

function passiveKeepalive(model: Model, { current, endpoint }: Peer): void {
  if (current === undefined || endpoint === undefined) return;
  if (seal(model, current, { kind: "keepalive" }, endpoint)) model.tally.note("passiveKeepalive");
}

/** Without a session it starts a handshake. */
function configuredKeepalive(model: Model, peer: Peer): void {
  const { current, endpoint } = peer;
  peer.timers.keepalive = model.now + peer.keepalive;
  if (current === undefined) {
    if (startAttempt(model, peer)) model.tally.note("keepaliveStarted");
  } else if (endpoint !== undefined) {
    model.tally.note("configuredKeepalive");
    seal(model, current, { kind: "probe" }, endpoint);
  }
}

/** Packets from the device. */
export function sendPackets(model: Model, packets: readonly Packet[]): void {
  for (const packet of packets) sendPacket(model, packet);
}

function sendPacket(model: Model, packet: Packet): void {
  const { entry, options } = model;
  const isRouted = options.peer.isInside(packet.to);
  const peer = entry.kind === "group" ? holderOf(model, packet.to) : entry;
  if (!isRouted || peer === undefined) drop(model, "no_peer");
  else if (!isUsable(model, peer.current)) wait(model, peer, packet);
  else if (peer.endpoint === undefined) drop(model, "no_endpoint");
  else seal(model, peer.current, { kind: "packet", packet }, peer.endpoint);
}

/** Rule 14: it waits, and starts a handshake. */
function wait(model: Model, peer: Peer, packet: Packet): void {
  if (!canStart(peer)) {
    drop(model, "no_endpoint");
    return;
  }
  model.tally.note("waited");
  if (peer.waiting.length === WAITING_PACKETS) {
    model.tally.note("waitingFull");
    drop(model, "queue_full");
    peer.waiting.shift();
  }
  peer.waiting.push(packet);
  startAttempt(model, peer);
}

/** What waited goes out as soon as a session is there. */
export function flush(model: Model): void {
  for (const peer of everyPeer(model)) {
    if (!peer.isFlushable) continue;
    peer.isFlushable = false;
    if (!isUsable(model, peer.current)) continue;
    const packets = peer.waiting;
    peer.waiting = [];
    if (packets.length > 0) model.tally.note("flushed");
    sendPackets(model, packets);
  }
}

/** A new host: its keepalive counts from now, and a handshake starts where it can. */
export function start(model: Model): void {
  model.entry.timers.keepalive = model.now + model.entry.keepalive;
  startAttempt(model, model.entry);
}

/** The user asks for a new session. */
export function rekey(model: Model): void {
  startAttempt(model, model.entry);
}

/** The user ends all sessions: a close frame on each. */
export function closeAll(model: Model): void {
  for (const peer of everyPeer(model)) {
    for (const session of [peer.current, peer.previous]) {
      if (session === undefined) continue;
      if (peer.endpoint !== undefined) seal(model, session, { kind: "close" }, peer.endpoint);
      close(model, session);
    }
  }
}

/** The configured name has other addresses. */
export function setEndpoints(model: Model, addresses: readonly Address[]): void {
  const { entry } = model;
  const hadNone = entry.configured.length === 0;
  entry.configured = addresses.map((remote) => ({ remote, local: 0 }));
  if (entry.current !== undefined) return;
  if (entry.attempt !== undefined && hadNone) entry.timers.retry = model.now;
  startAttempt(model, entry);
}
