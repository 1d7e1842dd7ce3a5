/**
 * The wire: every byte layout of iptun/1, and the functions that write and check messages.
 *
 * Little-endian; sizes are exact. A layout lists its fields with their sizes in bytes, in order, and
 * offsets are computed from that: this table is the only place where they stand. What fields mean is
 * docs/protocol.md's part.
 */

export const VERSION = 1;
export const MESSAGE_TYPE = { INIT: 1, RESP: 2, CHALLENGE: 3, DATA: 4 } as const;

export const TAG_BYTES = 16;
export const NODE_ID_BYTES = 16;
export const EXTENDED_NONCE_BYTES = 24;

/** Handshake request. `ephemeral` and `sealed` are the Noise message; `mac` covers all before it. */
export const INIT = layout({
  type: 1,
  version: 1,
  hint: 2,
  senderIndex: 4,
  ephemeral: 32,
  sealed: 48,
  cookieMac: 16,
  mac: 16,
});

/** Handshake answer. `mac` covers all before it and the INIT's mac. */
export const RESP = layout({
  type: 1,
  version: 1,
  zero: 2,
  senderIndex: 4,
  receiverIndex: 4,
  ephemeral: 32,
  sealed: 48,
  mac: 16,
});

/** Asks the sender of an INIT to prove its address; `sealed` holds the cookie, its associated data is the INIT's mac. */
export const CHALLENGE = layout({
  type: 1,
  version: 1,
  zero: 2,
  receiverIndex: 4,
  nonce: EXTENDED_NONCE_BYTES,
  sealed: 32,
});

/** Exact bytes of each handshake message by its type. */
export const HANDSHAKE_BYTES: Readonly<Record<number, number>> = {
  [MESSAGE_TYPE.INIT]: INIT.SIZE,
  [MESSAGE_TYPE.RESP]: RESP.SIZE,
  [MESSAGE_TYPE.CHALLENGE]: CHALLENGE.SIZE,
};

/** Header of DATA, which is also its associated data; ciphertext and a 16-byte tag follow. */
export const DATA = layout({ type: 1, version: 1, zero: 2, receiverIndex: 4, counter: 8 });

/** The first four bytes of DATA: type, version, zero. */
export const DATA_START = (MESSAGE_TYPE.DATA << 24) | (VERSION << 16);

/** Bytes that DATA adds to its plaintext. */
export const DATA_OVERHEAD = DATA.SIZE + TAG_BYTES;

/** Bytes of the shortest message, which is a keepalive. */
export const LEAST_MESSAGE_BYTES = DATA_OVERHEAD;

/** What a message begins with: its first four bytes (big-endian) under a mask. INIT's last two are its hint. */
export const MESSAGE_STARTS: readonly { readonly mask: number; readonly value: number }[] = [
  { mask: 0xffff_0000 | 0, value: (MESSAGE_TYPE.INIT << 24) | (VERSION << 16) },
  { mask: -1, value: (MESSAGE_TYPE.RESP << 24) | (VERSION << 16) },
  { mask: -1, value: (MESSAGE_TYPE.CHALLENGE << 24) | (VERSION << 16) },
  { mask: -1, value: DATA_START },
];

/** Plaintext inside INIT's `sealed`. */
export const INIT_PAYLOAD = layout({
  stamp: 8,
  nodeId: NODE_ID_BYTES,
  capabilities: 4,
  mtu: 2,
  keepalive: 2,
});

/** Plaintext inside RESP's `sealed`; `indices` repeats the two indices of the RESP. */
export const RESP_PAYLOAD = layout({
  indices: 8,
  nodeId: NODE_ID_BYTES,
  capabilities: 4,
  mtu: 2,
  keepalive: 2,
});

/** First byte of a control frame. */
export const FRAME = {
  PATH_CHALLENGE: 0x01,
  PATH_RESPONSE: 0x02,
  CLOSE: 0x03,
  PROBE: 0x04,
  PROBE_ANSWER: 0x05,
  REPORT: 0x06,
  ADDRESSES: 0x07,
  PART: 0x08,
} as const;
/** Frames up to this type that are unknown are ignored, so that a later version can add one. */
export const FRAME_LAST = 0x0f;

export const PATH_FRAME = layout({ type: 1, token: 8 });
export const CLOSE_FRAME = layout({ type: 1, reason: 1 });
/** `bytes` is the UDP payload of the whole probe: 32 more than the frame with its zero padding. */
export const PROBE_FRAME = layout({ type: 1, id: 2, bytes: 2 });
/** `highest` counter and datagrams `received` but probes, and the own `probes` sealed, of the session that carries it. */
export const REPORT_FRAME = layout({ type: 1, highest: 8, received: 8, probes: 4 });

/** One of the two parts of a packet, whose bytes follow; `place` is 0 for the first and 1 for the second. */
export const PART_FRAME = layout({ type: 1, id: 2, place: 1 });

/** Bit of the first plaintext byte: the transport checksum holds only the pseudo-header sum. */
export const PARTIAL_CHECKSUM_BIT = 0x80;

/** What both sides tell of themselves in a handshake. */
export interface NodeInfo {
  /** 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Tunnel MTU in bytes. */
  readonly mtu: number;
  readonly keepaliveSeconds: number;
}

export interface InitPayload extends NodeInfo {
  /** Microseconds since 1970 by the sender's clock, growing. */
  readonly stamp: number;
}

/** A DataView over exactly the bytes of `array`. */
export function viewOf(array: Uint8Array): DataView {
  return new DataView(array.buffer, array.byteOffset, array.byteLength);
}

/** INIT with type, version, hint and index set; the Noise message and the macs are the caller's. */
export function newInit(hint: number, senderIndex: number): Uint8Array {
  const init = new Uint8Array(INIT.SIZE);
  const view = viewOf(init);
  view.setUint8(INIT.type, MESSAGE_TYPE.INIT);
  view.setUint8(INIT.version, VERSION);
  view.setUint16(INIT.hint, hint, true);
  view.setUint32(INIT.senderIndex, senderIndex, true);
  return init;
}

/** RESP with type, version and both indices set. */
export function newResp(senderIndex: number, receiverIndex: number): Uint8Array {
  const resp = new Uint8Array(RESP.SIZE);
  const view = viewOf(resp);
  view.setUint8(RESP.type, MESSAGE_TYPE.RESP);
  view.setUint8(RESP.version, VERSION);
  view.setUint32(RESP.senderIndex, senderIndex, true);
  view.setUint32(RESP.receiverIndex, receiverIndex, true);
  return resp;
}

/** CHALLENGE with type, version and index set. */
export function newChallenge(receiverIndex: number): Uint8Array {
  const challenge = new Uint8Array(CHALLENGE.SIZE);
  const view = viewOf(challenge);
  view.setUint8(CHALLENGE.type, MESSAGE_TYPE.CHALLENGE);
  view.setUint8(CHALLENGE.version, VERSION);
  view.setUint32(CHALLENGE.receiverIndex, receiverIndex, true);
  return challenge;
}

/** The 32 plaintext bytes of an INIT. */
export function encodeInitPayload(payload: InitPayload): Uint8Array {
  const bytes = new Uint8Array(INIT_PAYLOAD.SIZE);
  viewOf(bytes).setBigUint64(INIT_PAYLOAD.stamp, BigInt(payload.stamp), true);
  writeNodeInfo(bytes, payload);
  return bytes;
}

/** The INIT's payload, or undefined where its stamp lies beyond 2^53 microseconds (the year 2255). */
export function decodeInitPayload(bytes: Uint8Array): InitPayload | undefined {
  if (bytes.length !== INIT_PAYLOAD.SIZE) return undefined;
  const stamp = viewOf(bytes).getBigUint64(INIT_PAYLOAD.stamp, true);
  if (stamp > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return { stamp: Number(stamp), ...readNodeInfo(bytes) };
}

/** The 32 plaintext bytes of a RESP; `resp` already carries its indices. */
export function encodeRespPayload(resp: Uint8Array, info: NodeInfo): Uint8Array {
  const bytes = new Uint8Array(RESP_PAYLOAD.SIZE);
  bytes.set(respIndices(resp), RESP_PAYLOAD.indices);
  writeNodeInfo(bytes, info);
  return bytes;
}

/** The RESP's payload, or undefined where it was not made for the two indices of `resp`. */
export function decodeRespPayload(resp: Uint8Array, bytes: Uint8Array): NodeInfo | undefined {
  if (bytes.length !== RESP_PAYLOAD.SIZE) return undefined;
  const outer = respIndices(resp);
  if (!outer.every((byte, index) => byte === bytes[RESP_PAYLOAD.indices + index])) return undefined;
  return readNodeInfo(bytes);
}

/** Reads a 64-bit little-endian number below 2^53; larger ones come back as Infinity. */
export function readUint64(view: DataView, offset: number): number {
  const high = view.getUint32(offset + 4, true);
  if (high > 0x1fffff) return Number.POSITIVE_INFINITY;
  return high * 0x1_0000_0000 + view.getUint32(offset, true);
}

function respIndices(resp: Uint8Array): Uint8Array {
  return resp.subarray(RESP.senderIndex, RESP.ephemeral);
}

/** INIT_PAYLOAD and RESP_PAYLOAD agree from `nodeId` on; a test holds that. */
function writeNodeInfo(bytes: Uint8Array, info: NodeInfo): void {
  const view = viewOf(bytes);
  bytes.set(info.nodeId, INIT_PAYLOAD.nodeId);
  view.setUint16(INIT_PAYLOAD.mtu, info.mtu, true);
  view.setUint16(INIT_PAYLOAD.keepalive, info.keepaliveSeconds, true);
}

function readNodeInfo(bytes: Uint8Array): NodeInfo {
  const view = viewOf(bytes);
  return {
    nodeId: bytes.slice(INIT_PAYLOAD.nodeId, INIT_PAYLOAD.nodeId + NODE_ID_BYTES),
    mtu: view.getUint16(INIT_PAYLOAD.mtu, true),
    keepaliveSeconds: view.getUint16(INIT_PAYLOAD.keepalive, true),
  };
}

type Layout<T> = { readonly [K in keyof T]: number } & { readonly SIZE: number };

/** Offsets of fields that follow one another, and their sum as SIZE. */
function layout<const T extends Record<string, number>>(sizes: T): Layout<T> {
  const offsets: Record<string, number> = {};
  let offset = 0;
  for (const [name, size] of Object.entries(sizes)) {
    offsets[name] = offset;
    offset += size;
  }
  return { ...offsets, SIZE: offset } as Layout<T>;
}

/** How many DATA messages from `offset` on, of `size` bytes each, have the first one's index and count on from its counter. */
export function countingOn(view: DataView, offset: number, size: number, end: number): number {
  const index = view.getInt32(offset + DATA.receiverIndex);
  const low = view.getUint32(offset + DATA.counter, true);
  const high = view.getInt32(offset + DATA.counter + 4);
  let count = 1;
  for (let next = offset + size; next + size <= end; next += size) {
    const isNext =
      view.getInt32(next) === DATA_START &&
      view.getInt32(next + DATA.receiverIndex) === index &&
      view.getUint32(next + DATA.counter, true) === low + count &&
      view.getInt32(next + DATA.counter + 4) === high;
    if (!isNext) break;
    count += 1;
  }
  return count;
}
