/**
 * `iptun keygen`: a new pre-shared key, to standard output or to a file of its own.
 *
 * The file is created, never overwritten, and only its owner can read it. What names the key afterwards,
 * its fingerprint, goes to standard error.
 *
 * The trap: a key's text exists as a JavaScript string on the way; it cannot be overwritten, only
 * forgotten. The bytes are.
 */
import type { HandshakeCrypto } from "../core/crypto.ts";
import {
  deriveKeyRing,
  formatKeyText,
  PSK_BYTES,
  pskFault,
  wipeKeyRing,
} from "../core/handshake/keys.ts";
import { loadSodium } from "../crypto/sodium.ts";
import { createPrivateFile, printSecret } from "./private-files.ts";
import type { Terminal } from "./terminal.ts";

/** A key as text, and the name by which it is spoken of. */
export interface NewKey {
  /** One line of base64 without line end. */
  readonly text: string;
  readonly fingerprint: string;
}

/** Makes a key, of a pair or of a group; `out` is the file to create. */
export async function keygen(
  out: string | undefined,
  isGroup: boolean,
  terminal: Terminal,
): Promise<void> {
  const key = newKey(await loadSodium(), isGroup);
  const bytes = Buffer.from(`${key.text}\n`, "latin1");
  try {
    if (out === undefined) await printSecret(bytes, "--out", terminal);
    else createPrivateFile({ path: out, bytes, noun: "a key" });
  } finally {
    bytes.fill(0);
  }
  await terminal.err(
    `iptun: ${out === undefined ? "new key" : `key in ${out}`}, fingerprint ${key.fingerprint}\n`,
  );
}

/** A key that was never used. */
export function newKey(crypto: HandshakeCrypto, isGroup: boolean): NewKey {
  const key = randomKey(crypto);
  const text = formatKeyText(key, isGroup);
  const ring = deriveKeyRing(crypto, key, isGroup);
  crypto.wipe(key);
  wipeKeyRing(crypto, ring);
  return { text, fingerprint: ring.fingerprint };
}

function randomKey(crypto: HandshakeCrypto): Uint8Array {
  for (;;) {
    const key = crypto.random(PSK_BYTES);
    if (pskFault(key) === undefined) return key;
  }
}
