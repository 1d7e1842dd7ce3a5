/**
 * Who pays: the source limiter, and the cookies with which a source proves its address.
 */
import { type Address, type Ip, ipOf } from "./address.ts";
import { Bucket } from "./bucket.ts";
import type { InitSent } from "./records.ts";
import { COOKIE_SECRET } from "./rules.ts";
import { drop, type Model, newSecret } from "./state.ts";

/** Refused because a bucket is empty: counted, and the source looks busy, but it pays no more. */
const REFUSED = ["source_limited", "open_limited"];
/** Refused for want of something of ours. */
const OWN_LIMITS = ["handshake_budget", "group_full", "key_table_full", "no_room"];

/** A datagram failed before it was trusted: it is counted, and its source pays. */
export function refuse(model: Model, reason: string, from: Address): void {
  drop(model, reason);
  if (REFUSED.includes(reason)) {
    if (reason === "source_limited") model.tally.note("sourceLimited");
    touch(model, ipOf(from));
  } else if (!OWN_LIMITS.includes(reason)) charge(model, ipOf(from));
}

/** Takes a token of a source; a new one has a full bucket, and the longest idle one is forgotten for it. */
export function charge(model: Model, source: Ip): void {
  const { sources, options, now } = model;
  const { sourceRatePerSecond, sourceBurst, sources: most } = options.limits;
  const known = touch(model, source);
  const [longestIdle] = sources.keys();
  if (known === undefined && sources.size >= most && longestIdle !== undefined) {
    sources.delete(longestIdle);
  }
  const bucket = known ?? new Bucket(sourceRatePerSecond, sourceBurst, now);
  sources.set(source, bucket);
  bucket.take(now);
}

export function isSourceEmpty({ sources, now }: Model, source: Ip): boolean {
  return sources.get(source)?.isEmpty(now) ?? false;
}

/** The source is the one that was busy last. */
function touch({ sources }: Model, source: Ip): Bucket | undefined {
  const bucket = sources.get(source);
  if (bucket === undefined) return undefined;
  sources.delete(source);
  sources.set(source, bucket);
  return bucket;
}

/** The cookie of an address, a node and the present secret. */
export function cookieFor(model: Model, nodeId: string, from: Address): string {
  renewSecrets(model);
  return cookieText(model.secrets.present, nodeId, from);
}

/** Rule 1: made under the present secret or the one before, for this address and node. */
export function isCookieValid(model: Model, init: InitSent, from: Address): boolean {
  renewSecrets(model);
  const { present, before } = model.secrets;
  if (init.cookie === undefined) return false;
  const isOfPresent = init.cookie === cookieText(present, init.nodeId, from);
  const isOfBefore = init.cookie === cookieText(before, init.nodeId, from);
  if (isOfBefore) model.tally.note("cookieOfBefore");
  if (!isOfPresent && !isOfBefore) noteRefused(model, init, from);
  return isOfPresent || isOfBefore;
}

function noteRefused({ tally }: Model, { cookie, nodeId }: InitSent, from: Address): void {
  const isOfHere = cookie?.endsWith(cookieText("", nodeId, from)) === true;
  tally.note(isOfHere ? "cookieTooOld" : "cookieOfElsewhere");
}

function cookieText(secret: number | "", nodeId: string, from: Address): string {
  return `${secret}/${from}/${nodeId}`;
}

/** A secret is replaced when it is 120 s old and asked for; one that would be older than 240 s is not kept at all. */
function renewSecrets({ secrets, now }: Model): void {
  const age = now - secrets.madeAt;
  if (age < COOKIE_SECRET) return;
  secrets.before = age < 2 * COOKIE_SECRET ? secrets.present : newSecret();
  secrets.present = newSecret();
  secrets.madeAt = now;
}
