/**
 * What was sent, as somebody who sees into every host knows it: the model's form of a datagram.
 *
 * A datagram is genuine where its bytes are those that a host sent, so no key is needed to tell; identity
 * of these objects stands for equality of what is sealed in them.
 */
import type { Ip } from "./address.ts";

/** One INIT as it was sent; a resend with a cookie is another one. */
export interface InitSent {
  readonly kind: "init";
  readonly nodeId: string;
  readonly stamp: number;
  /** Which cookie its cookie_mac was made with. */
  readonly cookie: string | undefined;
  /** Sender's index: random, so it is read from the bytes. */
  index: number;
}

/** One RESP; it also stands for the session that it makes. */
export interface RespSent {
  readonly kind: "resp";
  readonly init: InitSent;
  readonly nodeId: string;
  index: number;
}

export interface ChallengeSent {
  readonly kind: "challenge";
  readonly init: InitSent;
  readonly cookie: string;
}

export interface DataSent {
  readonly kind: "data";
  readonly session: RespSent;
  readonly isByInitiator: boolean;
  readonly counter: number;
  readonly content: Content;
}

export type Sent = InitSent | RespSent | ChallengeSent | DataSent;

/** Eight random bytes, told apart by identity. */
export type Token = object;

/** An inner packet; its bytes hold its number, so no two are equal. */
export interface Packet {
  readonly number: number;
  readonly from: Ip;
  readonly to: Ip;
  readonly bytes: Uint8Array;
}

/** Plaintext of DATA. */
export type Content =
  | { readonly kind: "keepalive" | "close" | "probe" | "probeAnswer" }
  | { readonly kind: "pathChallenge" | "pathResponse"; readonly token: Token }
  | { readonly kind: "addresses"; readonly addresses: readonly Ip[] }
  | { readonly kind: "packet"; readonly packet: Packet };

const BYTES = {
  keepalive: 0,
  close: 2,
  probe: 9,
  probeAnswer: 5,
  pathChallenge: 9,
  pathResponse: 9,
} as const;

/** Bytes of a plaintext. */
export function contentBytes(content: Content): number {
  if (content.kind === "packet") return content.packet.bytes.length;
  if (content.kind === "addresses") return 1 + 5 * content.addresses.length;
  return BYTES[content.kind];
}
