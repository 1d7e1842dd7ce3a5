/**
 * Terms as bytes: what the model says of a datagram, computed with real primitives.
 *
 * Written from docs/protocol.md §2 and §3 and the Noise specification, apart from the core, so that a
 * datagram of the core which equals the bytes of its term shows that the model has the wire's layout and
 * key schedule. Fresh values and names of hosts are bound to bytes first.
 */
import sodium from "libsodium-wrappers";
import { joined } from "../sim/twin-crypto.ts";
import { stampOf } from "./messages.ts";
import { nodeOf, type Term } from "./term.ts";

await sodium.ready;

const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "ascii"));

const CONSTANTS: Readonly<Record<string, Uint8Array>> = {
  empty: new Uint8Array(0),
  "no cookie": new Uint8Array(16),
  "zero nonce": new Uint8Array(12),
  "counter 0": new Uint8Array(8),
  "Noise name": padded(ascii("Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b"), 64),
  "RESP head": Uint8Array.of(2, 1, 0, 0),
  "CHALLENGE head": Uint8Array.of(3, 1, 0, 0),
  "DATA head": Uint8Array.of(4, 1, 0, 0),
  "prologue pair": ascii("iptun/1"),
  "prologue group": ascii("iptun/1 group"),
};

/** 2026-01-01 in microseconds since 1970. */
const WALL_START_MICROS = 1_767_225_600_000_000;

/** The wall clock of a stamp of the model, microseconds since 1970; each is a second after the one before. */
export function stampMicros(stamp: number): number {
  return WALL_START_MICROS + stamp * 1e6;
}

export class Evaluator {
  readonly #bytes = new Map<Term, Uint8Array>();

  /** Gives a fresh value or a name its bytes. */
  bind(term: Term, bytes: Uint8Array): void {
    this.#bytes.set(term, bytes.slice());
  }

  isBound(term: Term): boolean {
    return this.#bytes.has(term);
  }

  bytesOf(term: Term): Uint8Array {
    const known = this.#bytes.get(term);
    if (known !== undefined) return known;
    const bytes = this.#compute(term);
    this.#bytes.set(term, bytes);
    return bytes;
  }

  #compute(term: Term): Uint8Array {
    const { kind, label, parts } = nodeOf(term);
    const constant = CONSTANTS[label];
    if (kind === "public" && constant !== undefined) return constant;
    switch (kind) {
      case "public":
        if (label.startsWith("stamp ")) return stampBytes(stampOf(term));
        throw new Error(`no bytes for ${label}`);
      case "fresh":
        throw new Error(`no bytes for ${label}`);
      case "power":
        return this.#power(parts);
      case "join":
        return this.#join(label, parts);
      case "oneWay":
        return this.#oneWay(label, parts);
      case "sealed":
        return this.#seal(label, parts);
    }
  }

  #all(parts: readonly Term[]): Uint8Array[] {
    return parts.map((part) => this.bytesOf(part));
  }

  #power(exponents: readonly Term[]): Uint8Array {
    const [first = new Uint8Array(0), ...others] = this.#all(exponents);
    return others.reduce(
      (point, exponent) => sodium.crypto_scalarmult(exponent, point),
      sodium.crypto_scalarmult_base(first),
    );
  }

  #join(label: string, parts: readonly Term[]): Uint8Array {
    const all = joined(this.#all(parts));
    if (label === "INIT head") return joined([Uint8Array.of(1, 1), all]);
    if (!label.endsWith(" payload")) return all;
    // Capabilities 0, tunnel MTU 1,420, keepalive 0.
    return joined([all, Uint8Array.of(0, 0, 0, 0, 1420 & 0xff, 1420 >> 8, 0, 0)]);
  }

  #oneWay(label: string, parts: readonly Term[]): Uint8Array {
    const [first = new Uint8Array(0), ...rest] = this.#all(parts);
    const [what = "", scope = "", name = ""] = label.split(" ");
    switch (what) {
      case "sub-key":
        return subKey(first, scope, name);
      case "hint":
        return subKey(first, scope, "hint").subarray(0, 2);
      case "fingerprint":
        return ascii(sodium.to_hex(subKey(first, scope, "fingerprint").subarray(0, 4)));
      case "mac":
      case "cookie":
        return blake2b(16, rest, first);
      case "hash":
        return blake2b(64, [first, ...rest]);
      case "transport":
        return blake2b(48, [ascii("iptun/1 data"), ...rest], first.subarray(0, 32));
      default:
        return hkdf(Number(what.slice("hkdf".length)), first, joined(rest));
    }
  }

  #seal(cipher: string, parts: readonly Term[]): Uint8Array {
    const none = new Uint8Array(0);
    const [key = none, nonce = none, data = none, text = none] = this.#all(parts);
    if (cipher === "noise") {
      const cut = key.subarray(0, 32);
      return sodium.crypto_aead_chacha20poly1305_ietf_encrypt(text, data, null, nonce, cut);
    }
    // Of a transport key the last 16 bytes are the first of each nonce.
    const whole = cipher === "data" ? joined([key.subarray(32), nonce]) : nonce;
    const cut = key.subarray(0, 32);
    return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(text, data, null, whole, cut);
  }
}

function stampBytes(stamp: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(stampMicros(stamp)), true);
  return bytes;
}

function blake2b(length: number, parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array {
  return sodium.crypto_generichash(length, joined(parts), key ?? null);
}

function subKey(psk: Uint8Array, scope: string, name: string): Uint8Array {
  return blake2b(32, [ascii(`iptun/1${scope === "group" ? " group" : ""} ${name}`)], psk);
}

/** HKDF of the Noise specification, §4.3, output 1, 2 or 3. */
function hkdf(output: number, chainingKey: Uint8Array, material: Uint8Array): Uint8Array {
  const temporary = hmac(chainingKey, material);
  let last = new Uint8Array(0);
  for (let index = 1; index <= output; index += 1) {
    last = new Uint8Array(hmac(temporary, joined([last, Uint8Array.of(index)])));
  }
  return last;
}

/** HMAC-BLAKE2b (RFC 2104) with a block of 128 bytes. */
function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  const block = padded(key, 128);
  const inner = blake2b(64, [block.map((byte) => byte ^ 0x36), data]);
  return blake2b(64, [block.map((byte) => byte ^ 0x5c), inner]);
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const block = new Uint8Array(length);
  block.set(bytes);
  return block;
}
