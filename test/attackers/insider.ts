/**
 * An attacker who holds a key: genuine INITs in any number, made by the core's own code.
 */
import { readFileSync } from "node:fs";
import { parseKeyText } from "../../src/core/handshake/keys.ts";
import { encodeInitPayload } from "../../src/core/wire.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { Insider } from "../fuzz/targets/insider.ts";

/** What is the same in all its INITs. */
const NODE = { mtu: 1420, keepaliveSeconds: 0 } as const;
/** Nothing is broken in them. */
const GENUINE = { flip: 0, isLowOrder: false } as const;
/** Stamps begin so far ahead, seconds: above any that the node's own daemon has made. */
const AHEAD_SECONDS = 2;

/** The holder of a key file. */
export class KeyHolder {
  readonly #insider: Insider;
  #stamp = Math.floor((Date.now() / 1_000 + AHEAD_SECONDS) * 1e6);

  constructor(insider: Insider) {
    this.#insider = insider;
  }

  /** A fresh INIT of this node (16 bytes), its stamp above that of every one before. */
  init(nodeId: Uint8Array): Uint8Array {
    this.#stamp += 1;
    const payload = encodeInitPayload({ ...NODE, nodeId, stamp: this.#stamp });
    return this.#insider.init({ ...GENUINE, payload }).init;
  }

  /** The INIT with the cookie of the CHALLENGE that it drew; undefined: it is another's. */
  withCookie(init: Uint8Array, challenge: Uint8Array): Uint8Array | undefined {
    return this.#insider.withCookie(init, challenge);
  }
}

export async function openKey(file: string): Promise<KeyHolder> {
  const parsed = parseKeyText(readFileSync(file, "latin1"));
  if ("fault" in parsed) throw new Error(`${file} ${parsed.fault}`);
  return new KeyHolder(new Insider(await loadSodium(), parsed.key, parsed.isGroup));
}
