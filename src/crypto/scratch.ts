/**
 * The memory of libsodium's WebAssembly module, for one call at a time.
 *
 * libsodium-wrappers copies each argument into blocks of the module's memory and frees them as they are, keys too. Here
 * the arguments of a call lie in one block, which is wiped when the call is over, and results leave as copies that
 * stay where they are (core/secret.ts). BOUNDED: the block; longer arguments are a mistake of the caller.
 *
 * The trap: the module's memory may grow, and is another array then; so it is asked for each time.
 */
import type sodium from "libsodium-wrappers";
import { secretCopy } from "../core/secret.ts";

/** Bytes of the block; a handshake message takes some 300. */
const SCRATCH_BYTES = 4_096;
/** libsodium's own arguments need none, but compiled code may want words. */
const ALIGN = 16;

const FUNCTIONS = [
  "_malloc",
  "_crypto_generichash",
  "_crypto_scalarmult",
  "_crypto_scalarmult_base",
  "_crypto_aead_chacha20poly1305_ietf_encrypt",
  "_crypto_aead_chacha20poly1305_ietf_decrypt",
  "_crypto_aead_xchacha20poly1305_ietf_encrypt",
  "_crypto_aead_xchacha20poly1305_ietf_decrypt",
] as const;

/** C functions by name: numbers and addresses in, a status out; a 64-bit length is two numbers, low and high. */
export type SodiumModule = Readonly<
  Record<(typeof FUNCTIONS)[number], (...words: readonly number[]) => number>
> & { readonly HEAPU8: Uint8Array };

/** The module inside the wrappers; throws where it is not what this was written for. */
export function moduleOf(wrappers: typeof sodium): SodiumModule {
  const { libsodium } = wrappers as { readonly libsodium?: Partial<SodiumModule> };
  const missing = FUNCTIONS.filter((name) => typeof libsodium?.[name] !== "function");
  if (missing.length === 0 && libsodium?.HEAPU8 instanceof Uint8Array) {
    return libsodium as SodiumModule;
  }
  throw new Error(`libsodium-wrappers does not give ${["HEAPU8", ...missing].join(", ")}`);
}

/** A block of the module's memory. */
export class Scratch {
  readonly #module: SodiumModule;
  readonly #start: number;
  #used = 0;

  constructor(module: SodiumModule) {
    this.#module = module;
    this.#start = module._malloc(SCRATCH_BYTES);
    if (this.#start === 0) throw new Error("libsodium has no memory");
  }

  /** What the call gives; the block is wiped afterwards. Addresses in it hold during the call only. */
  during<T>(call: () => T): T {
    try {
      return call();
    } finally {
      this.#module.HEAPU8.fill(0, this.#start, this.#start + this.#used);
      this.#used = 0;
    }
  }

  /** The address of a copy of the parts, one behind another. */
  put(...parts: readonly Uint8Array[]): number {
    const address = this.room(parts.reduce((sum, { length }) => sum + length, 0));
    let at = address;
    for (const part of parts) {
      this.#module.HEAPU8.set(part, at);
      at += part.length;
    }
    return address;
  }

  /** The address of room for `length` bytes. */
  room(length: number): number {
    const address = this.#start + this.#used;
    const used = this.#used + Math.ceil(length / ALIGN) * ALIGN;
    if (used > SCRATCH_BYTES)
      throw new RangeError(`libsodium is given over ${SCRATCH_BYTES} bytes`);
    this.#used = used;
    return address;
  }

  /** A copy of what lies at the address. */
  take(address: number, length: number): Uint8Array {
    return secretCopy(this.#module.HEAPU8.subarray(address, address + length));
  }
}
