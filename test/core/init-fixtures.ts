/**
 * Genuine INITs and RESPs without the other side's core around them: what a test of the responder or of the
 * initiator needs (respond.ts, initiate.ts).
 */
import type { Endpoint } from "../../src/core/address.ts";
import type { KeyPair } from "../../src/core/crypto.ts";
import type { DropReason } from "../../src/core/drop-reason.ts";
import { cookieMac, openChallenge } from "../../src/core/handshake/cookie.ts";
import { handshakePrologue } from "../../src/core/handshake/keys.ts";
import { NoiseInitiator, NoiseResponder } from "../../src/core/handshake/noise.ts";
import { receiveInit } from "../../src/core/handshake/respond.ts";
import type { Psk } from "../../src/core/peers/peer.ts";
import type { State } from "../../src/core/state.ts";
import type { Instant } from "../../src/core/time.ts";
import {
  encodeInitPayload,
  encodeRespPayload,
  INIT,
  MESSAGE_TYPE,
  newInit,
  newResp,
  RESP,
  viewOf,
} from "../../src/core/wire.ts";
import { Random } from "../helpers/random.ts";
import { stubCrypto } from "../sim/stub-crypto.ts";
import { id16, rowFrom, START, takeSent, udp } from "./core-fixtures.ts";

/** The cryptography of every initiator. */
export const theirs = stubCrypto(new Random(77));

/** The node whose INIT it is unless told, and the address it comes from. */
export const NODE = id16(2);
export const HOME = udp("192.0.2.1");

export interface InitSpec {
  readonly nodeId?: Uint8Array;
  readonly stamp?: number;
  readonly index?: number;
  readonly ephemeral?: KeyPair;
}

/** An INIT and the Noise state that can read its answer. */
export interface Init {
  readonly bytes: Uint8Array;
  readonly noise: NoiseInitiator;
}

/** A fresh INIT under the key. */
export function makeInit({ ring }: Psk, spec: InitSpec = {}): Init {
  const { nodeId = NODE, stamp = 10, index = 0xa0b0c0d0, ephemeral = theirs.keyPair() } = spec;
  const bytes = newInit(ring.hint, index);
  const prologue = handshakePrologue(bytes, ring.isGroup);
  const noise = new NoiseInitiator(theirs, ring.noise, prologue, ephemeral);
  const payload = encodeInitPayload({ stamp, nodeId, mtu: 1380, keepaliveSeconds: 25 });
  bytes.set(noise.writeFirst(payload), INIT.ephemeral);
  writeMac({ ring }, bytes);
  return { bytes, noise };
}

/** Writes the mac over all that stands before it. */
export function writeMac({ ring }: Pick<Psk, "ring">, init: Uint8Array): void {
  const covered = init.subarray(0, INIT.mac);
  init.set(theirs.blake2b(INIT.SIZE - INIT.mac, [covered], ring.mac), INIT.mac);
}

/** Hands the INIT to the responder as a datagram from an address. */
export function receive(
  state: State,
  { bytes }: Pick<Init, "bytes">,
  from: Endpoint = HOME,
  now: Instant = START,
): DropReason | undefined {
  return receiveInit(state, { bytes, ...rowFrom(from) }, now);
}

/** Sends the INIT, takes the CHALLENGE, and sends the INIT with its cookie; what became of that. */
export function receiveProven(
  state: State,
  psk: Psk,
  init: Init,
  from: Endpoint = HOME,
  now: Instant = START,
): DropReason | undefined {
  const reason = receive(state, init, from, now);
  if (reason !== "challenged") return reason;
  return receive(state, proven(state, psk, init), from, now);
}

/** A RESP of a node to an INIT, as `indices` say where they are not those of its header. */
export function makeResp(
  { ring }: Psk,
  init: Uint8Array,
  spec: { readonly nodeId?: Uint8Array; readonly indices?: readonly [number, number] } = {},
): Uint8Array {
  const noise = new NoiseResponder(theirs, ring.noise, handshakePrologue(init, ring.isGroup));
  if (noise.readFirst(init.subarray(INIT.ephemeral, INIT.cookieMac)) === undefined) {
    throw new Error("the INIT does not open");
  }
  const resp = newResp(0x0a0a0a0a, viewOf(init).getUint32(INIT.senderIndex, true));
  const inner = spec.indices === undefined ? resp : newResp(...spec.indices);
  const node = { nodeId: spec.nodeId ?? NODE, mtu: 1380, keepaliveSeconds: 25 };
  const second = noise.writeSecond(encodeRespPayload(inner, node));
  if (second === undefined) throw new Error("no shared secret");
  resp.set(second.message, RESP.ephemeral);
  writeRespMac({ ring }, resp, init);
  return resp;
}

/** Writes the mac that binds a RESP to its INIT. */
export function writeRespMac(
  { ring }: Pick<Psk, "ring">,
  resp: Uint8Array,
  init: Uint8Array,
): void {
  const covered = [resp.subarray(0, RESP.mac), init.subarray(INIT.mac)];
  resp.set(theirs.blake2b(RESP.SIZE - RESP.mac, covered, ring.mac), RESP.mac);
}

/** The INIT with the cookie of the last CHALLENGE that was queued. */
export function proven(state: State, psk: Psk, { bytes, noise }: Init): Init {
  const challenge = takeSent(state).findLast(({ type }) => type === MESSAGE_TYPE.CHALLENGE);
  if (challenge === undefined) throw new Error("no CHALLENGE was queued");
  return withCookieOf(challenge.bytes, psk, { bytes, noise });
}

/** The INIT with the cookie of a CHALLENGE. */
export function withCookieOf(challenge: Uint8Array, psk: Psk, { bytes, noise }: Init): Init {
  const cookie = openChallenge(theirs, challenge, bytes, psk);
  if (cookie === undefined) throw new Error("the CHALLENGE is not for this INIT");
  const again = bytes.slice();
  again.set(cookieMac(theirs, cookie, again), INIT.cookieMac);
  writeMac(psk, again);
  return { bytes: again, noise };
}
