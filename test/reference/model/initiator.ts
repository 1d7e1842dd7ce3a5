/**
 * The initiator (rules 3 to 6): attempts, their INITs, RESP and CHALLENGE.
 */

import { Violation } from "../violation.ts";
import { adopt } from "./endpoint.ts";
import { newSession } from "./new-session.ts";
import type { InitSent, Sent } from "./records.ts";
import {
  ANSWERABLE_INITS,
  CONFIRM_AT,
  COOKIE_RESENDS,
  COOKIE_RIDES,
  GIVE_UP,
  RETRY_SLOW_AT,
  RETRY_SLOW_WAIT,
  RETRY_WAIT,
  RETRY_WAITS,
  UNHEARD,
} from "./rules.ts";
import { noteHeard, sendConfirmation } from "./seal.ts";
import { confirm, endAttempt } from "./slots.ts";
import type { Attempt, Model, Peer, Pending, Way } from "./state.ts";

/** Starts an attempt, if none is under way and there is an address or a name. */
export function startAttempt(model: Model, peer: Peer): boolean {
  if (peer.attempt !== undefined || !canStart(peer)) return false;
  peer.attempt = { startedAt: model.now, tries: 0, resends: 0, pendings: [] };
  peer.timers.giveUp = model.now + GIVE_UP;
  sendInit(model, peer, peer.attempt);
  return true;
}

/** A group's hub never starts. */
export function canStart({ kind, endpoint, hasConfigured }: Peer): boolean {
  return (kind === "pair" || kind === "hub") && (endpoint !== undefined || hasConfigured);
}

/** Rule 5: a fresh INIT, alternating between the endpoint in use and the configured ones. */
export function sendInit(model: Model, peer: Peer, attempt: Attempt): void {
  const to = nextWay(peer, attempt);
  attempt.tries += 1;
  armRetry(model, peer, attempt);
  if (to === undefined) return;
  if (peer.endpoint !== undefined && to.remote !== peer.endpoint.remote) {
    model.tally.note("alternated");
  }
  model.lastStamp = Math.max(Math.floor(model.wallMicros), model.lastStamp + 1);
  const { nodeId } = model.options;
  const version: InitSent = {
    kind: "init",
    nodeId,
    stamp: model.lastStamp,
    cookie: heldCookie(model, peer),
    index: Number.NaN,
  };
  const pending: Pending = { peer, version, versions: [version], sentAt: model.now, to };
  attempt.pendings.push(pending);
  const oldest = attempt.pendings.length > ANSWERABLE_INITS ? attempt.pendings.shift() : undefined;
  if (oldest !== undefined) model.pendings.delete(oldest.version.index);
  expectInit(model, pending, (bytes) => {
    version.index = wordAt(bytes, 4);
    if (peer.attempt?.pendings.includes(pending) === true) {
      model.pendings.set(version.index, pending);
    }
  });
}

function expectInit(
  model: Model,
  { version, to }: Pending,
  onSent: ((bytes: Uint8Array) => void) | undefined,
): void {
  const common = { type: 1, length: 120, receiverIndex: undefined, counter: undefined };
  model.expected.push({ ...common, to, sent: version, onSent });
}

function nextWay({ endpoint, configured }: Peer, { tries }: Attempt): Way | undefined {
  if (endpoint === undefined) return configured[tries % configured.length];
  const ways = [endpoint, ...configured.filter(({ remote }) => remote !== endpoint.remote)];
  return ways[tries % ways.length];
}

/** Rule 4: a cookie rides for 120 s. */
function heldCookie({ now }: Model, { cookie }: Peer): string | undefined {
  return cookie !== undefined && cookie.until > now ? cookie.text : undefined;
}

/** Rule 5: 0.3, 0.3, 0.6 s, then every second until 30 s, then every 5 s, each with 0..20 % more. */
function armRetry(model: Model, peer: Peer, { startedAt, tries }: Attempt): void {
  const isSlow = model.now - startedAt >= RETRY_SLOW_AT;
  if (isSlow) model.tally.note("slowRetry");
  const wait = RETRY_WAITS[tries - 1] ?? (isSlow ? RETRY_SLOW_WAIT : RETRY_WAIT);
  const drawn = model.options.jitters.shift();
  if (drawn === undefined) throw new Violation("outputs", "an INIT is due that was not made");
  peer.timers.retry = model.now + wait * (1 + (0.2 * drawn) / 255);
}

/** A RESP: why it is refused, or undefined. */
export function receiveResp(
  model: Model,
  sent: Sent | undefined,
  index: number,
): string | undefined {
  const pending = model.pendings.get(index);
  if (pending === undefined) {
    model.tally.note("lateResp");
    return "unexpected_response";
  }
  if (sent?.kind !== "resp" || sent.init !== pending.version) {
    if (sent?.kind === "resp") model.tally.note("respOfOtherVersion");
    return "bad_mac";
  }
  const { peer, version, sentAt, to } = pending;
  if (peer.attempt?.pendings.at(-1) !== pending) model.tally.note("oldRespUsed");
  if (peer.current !== undefined && (peer.attempt?.tries ?? 0) > 1) {
    model.tally.note("rekeyUnderLoss");
  }
  const session = newSession(peer, sent, true, sentAt, to);
  model.sessions.set(version.index, session);
  endAttempt(model, peer);
  noteHeard(model, peer, false, false);
  confirm(model, session);
  if (session === peer.current || peer.endpoint === undefined) adopt(model, peer, to, sentAt);
  if (session.isEnded) return undefined;
  sendConfirmation(model, session, to);
  peer.confirming = { session, since: model.now, sent: 0 };
  armConfirm(peer);
  return undefined;
}

/** Rule 6: again after 0.3, 1, 3, 7 s, and a new handshake after 15 s. */
export function repeatConfirmation(model: Model, peer: Peer): void {
  const { confirming } = peer;
  if (confirming === undefined) return;
  if (confirming.sent === CONFIRM_AT.length) {
    if (startAttempt(model, peer)) model.tally.note("unheard");
    return;
  }
  confirming.sent += 1;
  model.tally.note("confirmRepeated");
  const [path] = confirming.session.paths;
  if (path !== undefined) sendConfirmation(model, confirming.session, path);
  armConfirm(peer);
}

function armConfirm({ confirming, timers }: Peer): void {
  if (confirming === undefined) return;
  timers.confirm = confirming.since + (CONFIRM_AT[confirming.sent] ?? UNHEARD);
}

/** A CHALLENGE: its INIT goes out again with a cookie, at most three times an attempt. */
export function receiveChallenge(
  model: Model,
  sent: Sent | undefined,
  index: number,
): string | undefined {
  const pending = model.pendings.get(index);
  if (pending === undefined) {
    model.tally.note("lateChallenge");
    return "unexpected_response";
  }
  const { peer, version } = pending;
  if (sent?.kind !== "challenge" || sent.init !== version) {
    if (sent?.kind === "challenge") model.tally.note("lateChallenge");
    return "handshake_failed";
  }
  peer.cookie = { text: sent.cookie, until: model.now + COOKIE_RIDES };
  const { attempt } = peer;
  if (attempt === undefined) return undefined;
  if (attempt.resends === COOKIE_RESENDS) {
    model.tally.note("resendsSpent");
    return undefined;
  }
  attempt.resends += 1;
  // With a cookie that it carried before it is the same again, to the byte.
  const before = pending.versions.find(({ cookie }) => cookie === sent.cookie);
  pending.version = before ?? { ...version, cookie: sent.cookie };
  if (before === undefined) pending.versions.push(pending.version);
  expectInit(model, pending, undefined);
  armRetry(model, peer, attempt);
  return undefined;
}

export function wordAt(bytes: Uint8Array, offset: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(offset, offset + 4);
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
