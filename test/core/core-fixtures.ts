/**
 * A core without a tunnel around it, for tests of one of its parts: a state with stub cryptography, peers
 * that start nothing by themselves, and sessions that no handshake made.
 *
 * The stub's ciphertext is the plaintext, so what was sealed can be read from what was queued.
 */
import { type Endpoint, endpointFrom } from "../../src/core/address.ts";
import { messageBatch } from "../../src/core/batch.ts";
import { TRANSMIT_QUEUE } from "../../src/core/constants.ts";
import { keyBytes } from "../../src/core/handshake/keys.ts";
import { newPsk } from "../../src/core/handshake/psk.ts";
import { DEFAULT_LIMITS, type PeerOptions, type TunnelOptions } from "../../src/core/options.ts";
import { admit } from "../../src/core/peers/members.ts";
import { isNode, type Node, Peer, type Psk, type Session } from "../../src/core/peers/peer.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { confirmSession, makeSession } from "../../src/core/session/sessions.ts";
import { freshIndex, newState, type State } from "../../src/core/state.ts";
import type { Instant } from "../../src/core/time.ts";
import { DATA } from "../../src/core/wire.ts";
import { ipBytes, ipText, prefix } from "../helpers/address.ts";
import { Random } from "../helpers/random.ts";
import { STUB_CIPHER, stubCrypto } from "../sim/stub-crypto.ts";
import { NonceLedger, TwinAead } from "../sim/twin-aead.ts";

export const START = 1_000_000 as Instant;

/** Fewer sources than by default: their table is most of what a state takes to make. */
const LIMITS = { ...DEFAULT_LIMITS, sources: 64 };

/** A state without peers, which holds `keySlots` transport keys at most. */
export function newCore(options: Partial<TunnelOptions> = {}, keySlots?: number): State {
  const crypto = stubCrypto(new Random(1));
  const aead = new TwinAead(new NonceLedger(), STUB_CIPHER, keySlots);
  const whole: TunnelOptions = {
    nodeId: id16(1),
    mtu: 1420,
    listenPort: 1194,
    ownAddresses: [],
    limits: LIMITS,
    offloads: { joinTcp: false, joinUdp: false, runs: false },
    ...options,
  };
  return newState(whole, { crypto, aead }, START);
}

/** A peer with one key, random unless given, in the tables where a tunnel has it; `allowed` are its prefixes as text. */
export function addPeer(
  state: State,
  spec: Partial<PeerOptions> & { readonly allowed?: readonly string[] } = {},
): { readonly peer: Peer; readonly psk: Psk } {
  const options: PeerOptions = {
    name: "other",
    keys: [],
    endpoints: [],
    hasConfiguredEndpoint: (spec.endpoints ?? []).length > 0,
    allowedIps: (spec.allowed ?? []).map(prefix),
    keepaliveSeconds: 0,
    roaming: "validated",
    ...spec,
  };
  const peer = new Peer(options, state.limits, state, START);
  const isGroup = peer.kind !== "pair";
  const key = keyBytes(options.keys)[0] ?? state.crypto.random(32);
  const psk = newPsk(key, peer, state.crypto, isGroup);
  peer.psks = [psk];
  state.psks.add(psk);
  for (const one of peer.allowedIps) state.routes.insert(one, peer);
  state.peers.set(peer.name, peer);
  return { peer, psk };
}

/** A node of the group that `psk` is the key of, without a session. */
export function addNode(state: State, psk: Psk, nodeId: Uint8Array, from = "192.0.2.1"): Node {
  const node = admit(state, psk, nodeId, udp(from), START);
  if (!isNode(node)) throw new Error("the key is no group's");
  return node;
}

/** What may be said of a session; the rest is of one that this side answered. */
export interface SessionSpec {
  readonly isInitiator?: boolean;
  readonly born?: Instant;
  readonly stamp?: number;
  readonly nodeId?: Uint8Array;
  readonly path?: Endpoint;
}

/** A session that waits for its confirmation. */
export function addSession(
  state: State,
  peer: Peer,
  { isInitiator = false, born = START, stamp = 1, nodeId = id16(2), path }: SessionSpec = {},
): Session {
  const [psk] = peer.psks;
  if (psk === undefined) throw new Error("the peer has no key");
  const { crypto } = state;
  const session = makeSession(state, {
    peer,
    psk,
    isInitiator,
    localIndex: freshIndex(state),
    remoteIndex: freshIndex(state),
    born,
    stamp,
    node: { nodeId, mtu: 1420, keepaliveSeconds: 0 },
    path: path ?? udp("192.0.2.1"),
    keys: {
      initiatorToResponder: crypto.random(32),
      responderToInitiator: crypto.random(32),
      hash: crypto.random(64),
    },
  });
  if (session === undefined) throw new Error("no key slot is free");
  return session;
}

/** A session in use. */
export function addConfirmed(state: State, peer: Peer, spec: SessionSpec = {}): Session {
  const session = addSession(state, peer, spec);
  confirmSession(state, session, spec.born ?? START);
  return session;
}

/** A datagram that was queued, as it can be read with the stub. */
export interface Sent {
  readonly to: string;
  readonly type: number;
  /** Plaintext of DATA. */
  readonly plaintext: readonly number[];
  readonly bytes: Uint8Array;
}

/** Made once: it is large, and what is read from it is copied. */
const BATCH = messageBatch(new Uint8Array(65_536), TRANSMIT_QUEUE);

/** Takes everything that was queued. */
export function takeSent({ transmits }: Pick<State, "transmits">): Sent[] {
  const sent: Sent[] = [];
  while (transmits.count > 0) {
    transmits.drainInto(BATCH);
    for (let row = 0; row < BATCH.count; row += 1) sent.push(sentIn(BATCH, row * MESSAGE_FIELDS));
  }
  return sent;
}

function sentIn({ arena, rows }: { arena: Uint8Array; rows: Int32Array }, base: number): Sent {
  const offset = rows[base + MESSAGE.OFFSET] ?? 0;
  const bytes = arena.slice(offset, offset + (rows[base + MESSAGE.LENGTH] ?? 0));
  const remote = rows.slice(base + MESSAGE.REMOTE, base + MESSAGE.REMOTE + 4);
  return {
    to: ipText(new Uint8Array(remote.buffer)),
    type: bytes[DATA.type] ?? 0,
    plaintext: [...bytes.subarray(DATA.SIZE, -16)],
    bytes,
  };
}

/** Every event that waits. */
export function takeEvents({ events }: Pick<State, "events">): unknown[] {
  const taken: unknown[] = [];
  for (let event = events.shift(); event !== undefined; event = events.shift()) taken.push(event);
  return taken;
}

/** A UDP address at port 1194 unless told. */
export function udp(ip: string, port = 1194): Endpoint {
  return endpointFrom(ipBytes(ip), port);
}

/** Message rows of which the second, at `base`, came from an address. */
export function rowFrom(from: Endpoint): { readonly rows: Int32Array; readonly base: number } {
  const rows = new Int32Array(2 * MESSAGE_FIELDS);
  rows.set(from.words, MESSAGE_FIELDS + MESSAGE.REMOTE);
  return { rows, base: MESSAGE_FIELDS };
}

/** 16 bytes that name a number; the first four are the same for all below 2^32. */
export function id16(value: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(12, value);
  return bytes;
}
