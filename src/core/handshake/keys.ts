/**
 * Pre-shared keys: their text, their sub-keys, and the material of a session's transport keys.
 *
 * Standard: PROTOCOL §2 and "Transport keys". The raw key is used for nothing but `deriveKeyRing`;
 * outward a key is only ever its fingerprint.
 *
 * The trap: a fault found in a key's text must not repeat any of the text, for faults reach the log.
 */
import type { HandshakeCrypto } from "../crypto.ts";
import type { KeySource } from "../options.ts";
import { secretBytes } from "../secret.ts";
import { INIT, viewOf } from "../wire.ts";
import { asciiBytes } from "./noise.ts";

/** Bytes of a pre-shared key. */
export const PSK_BYTES = 32;
/** T (32) || P (16), PROTOCOL "Transport keys". */
const MATERIAL_BYTES = 48;

/** What the Noise prologue of a pair's handshake begins with; bytes 0..8 of the INIT follow. */
export const NOISE_PROLOGUE = asciiBytes("iptun/1");
/** The same for a group's key, so that it never works as a pair's. */
export const NOISE_GROUP_PROLOGUE = asciiBytes("iptun/1 group");

/** The Noise prologue of a handshake: the label, then bytes 0..8 of the INIT. */
export function handshakePrologue(init: Uint8Array, isGroup: boolean): Uint8Array {
  const label = isGroup ? NOISE_GROUP_PROLOGUE : NOISE_PROLOGUE;
  const prologue = new Uint8Array(label.length + INIT.ephemeral);
  prologue.set(label);
  prologue.set(init.subarray(0, INIT.ephemeral), label.length);
  return prologue;
}

const DATA_LABEL = asciiBytes("iptun/1 data");
const GROUP_PREFIX = "group:";
const GROUP_CODES = Array.from(GROUP_PREFIX, codeOf);
const [LF, CR, PADDING] = [0x0a, 0x0d, 0x3d];
/** RFC 4648 §4. */
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The sub-keys of one pre-shared key, 32 bytes each, and its two public names. */
export interface KeyRing {
  /** The psk of the Noise pattern. */
  readonly noise: Uint8Array;
  /** Authenticates INIT and RESP. */
  readonly mac: Uint8Array;
  /** Seals the cookie of a CHALLENGE. */
  readonly challenge: Uint8Array;
  /** First 2 bytes of K("hint"), little-endian. */
  readonly hint: number;
  /** First 8 hex digits of K("fingerprint"). */
  readonly fingerprint: string;
  readonly isGroup: boolean;
}

/** Derives the sub-keys; `psk` stays the caller's to wipe. */
export function deriveKeyRing(crypto: HandshakeCrypto, psk: Uint8Array, isGroup = false): KeyRing {
  const scope = isGroup ? NOISE_GROUP_PROLOGUE : NOISE_PROLOGUE;
  const subKey = (name: string) => crypto.blake2b(PSK_BYTES, [scope, asciiBytes(` ${name}`)], psk);
  const [hint, name] = [subKey("hint"), subKey("fingerprint")];
  const ring = {
    noise: subKey("noise"),
    mac: subKey("mac"),
    challenge: subKey("challenge"),
    hint: viewOf(hint).getUint16(0, true),
    fingerprint: hex(name.subarray(0, 4)),
    isGroup,
  };
  // What of them is not public nobody needs.
  for (const rest of [hint, name]) crypto.wipe(rest);
  return ring;
}

/** The bytes among keys, the caller's own arrays. */
export function keyBytes(sources: readonly KeySource[]): readonly Uint8Array[] {
  return sources.filter((source) => source instanceof Uint8Array);
}

/** Overwrites the sub-keys; hint and fingerprint are public. */
export function wipeKeyRing(crypto: HandshakeCrypto, ring: KeyRing): void {
  for (const key of [ring.noise, ring.mac, ring.challenge]) crypto.wipe(key);
}

/** T (32 bytes) || P (16 bytes) of one direction from its 32-byte Noise key and the 64-byte handshake hash. */
export function transportMaterial(
  crypto: HandshakeCrypto,
  key: Uint8Array,
  hash: Uint8Array,
): Uint8Array {
  return crypto.blake2b(MATERIAL_BYTES, [DATA_LABEL, hash], key);
}

/** Why a key must be refused, as the end of a sentence that begins with "the key"; undefined: it is usable. */
export function pskFault(psk: Uint8Array): string | undefined {
  if (psk.length !== PSK_BYTES) return `has ${psk.length} bytes, expected ${PSK_BYTES}`;
  if (psk.every((byte) => byte === 0)) return "is all zero";
  if (psk.every((byte) => byte === psk[0])) return "is one byte repeated";
  return undefined;
}

/**
 * Reads a key file's content: one line of base64, one final LF or CRLF allowed, "group:" before a group's key. As bytes
 * it can be overwritten, which stays the caller's to do; as a string it cannot.
 */
export function parseKeyText(
  text: string | Uint8Array,
): { readonly key: Uint8Array; readonly isGroup: boolean } | { readonly fault: string } {
  if (typeof text === "string") return parseKeyCodes(Array.from(text, codeOf));
  return parseKeyCodes(text);
}

/** The same of character codes. */
function parseKeyCodes(codes: ArrayLike<number>): ReturnType<typeof parseKeyText> {
  const end = lineLength(codes);
  if (end === 0) return { fault: "is empty" };
  for (let at = 0; at < end; at++) {
    if (codes[at] === LF || codes[at] === CR) return { fault: "has more than one line" };
  }
  const isGroup = GROUP_CODES.every((code, at) => codes[at] === code);
  const key = decodeBase64(codes, isGroup ? GROUP_CODES.length : 0, end);
  if (key === undefined) return { fault: "is not standard base64 (passphrases are not accepted)" };
  const fault = pskFault(key);
  return fault === undefined ? { key, isGroup } : { fault };
}

/** Without one final LF or CRLF. */
function lineLength(codes: ArrayLike<number>): number {
  const { length } = codes;
  if (codes[length - 1] !== LF) return length;
  return codes[length - 2] === CR ? length - 2 : length - 1;
}

function codeOf(character: string): number {
  return character.charCodeAt(0);
}

/** A key as one line of text without line end. */
export function formatKeyText(key: Uint8Array, isGroup: boolean): string {
  return (isGroup ? GROUP_PREFIX : "") + encodeBase64(key);
}

/** Strict RFC 4648 §4: padded, no spaces, unused bits zero; undefined where the text is anything else. */
function decodeBase64(
  codes: ArrayLike<number>,
  start: number,
  end: number,
): Uint8Array | undefined {
  if ((end - start) % 4 !== 0) return undefined;
  let padding = 0;
  while (padding < 2 && end - padding > start && codes[end - padding - 1] === PADDING) padding++;
  const bytes = secretBytes(((end - start) / 4) * 3 - padding);
  let bits = 0;
  let bitCount = 0;
  let length = 0;
  for (let at = start; at < end - padding; at++) {
    const value = BASE64.indexOf(String.fromCharCode(codes[at] ?? 0));
    if (value < 0) return undefined;
    bits = ((bits << 6) | value) & 0xfff;
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[length++] = bits >> bitCount;
  }
  const unused = bits & ((1 << bitCount) - 1);
  return unused === 0 ? bytes : undefined;
}

function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let index = 0; index < bytes.length; index += 3) {
    const [a = 0, b = 0, c = 0] = bytes.subarray(index, index + 3);
    const group = (a << 16) | (b << 8) | c;
    for (let shift = 18; shift >= 0; shift -= 6) text += BASE64.charAt((group >> shift) & 63);
  }
  const padding = (3 - (bytes.length % 3)) % 3;
  return text.slice(0, text.length - padding) + "=".repeat(padding);
}

/** Lower-case hex digits, two a byte. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
