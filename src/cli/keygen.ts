/**
 * `iptun keygen`: a new pre-shared key, to standard output or to a file of its own.
 *
 * The file is created, never overwritten, and only its owner can read it. What names the key afterwards,
 * its fingerprint, goes to standard error.
 *
 * The trap: a key's text exists as a JavaScript string on the way; it cannot be overwritten, only
 * forgotten. The bytes are.
 */
import { closeSync, constants, fsyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import type { HandshakeCrypto } from "../core/crypto.ts";
import { deriveKeyRing, formatKeyText, PSK_BYTES, pskFault, wipeKeyRing } from "../core/keys.ts";
import { loadSodium } from "../crypto/sodium.ts";
import { codeOf, DaemonError, EXIT, messageOf } from "../daemon/failure.ts";
import type { Terminal } from "./terminal.ts";

/** Mode bits through which others could use a file. */
const FOREIGN_BITS = 0o077;

/** Makes a key, of a pair or of a group; `out` is the file to create. */
export async function keygen(
  out: string | undefined,
  isGroup: boolean,
  terminal: Terminal,
): Promise<void> {
  const crypto = await loadSodium();
  const key = newKey(crypto);
  const text = Buffer.from(`${formatKeyText(key, isGroup)}\n`, "latin1");
  const fingerprint = takeFingerprint(crypto, key, isGroup);
  try {
    if (out === undefined) await print(text, terminal);
    else createKeyFile(out, text);
  } finally {
    text.fill(0);
  }
  await terminal.err(
    `iptun: ${out === undefined ? "new key" : `key in ${out}`}, fingerprint ${fingerprint}\n`,
  );
}

function newKey(crypto: HandshakeCrypto): Uint8Array {
  for (;;) {
    const key = crypto.random(PSK_BYTES);
    if (pskFault(key) === undefined) return key;
  }
}

/** The key's public name; the key is wiped. */
function takeFingerprint(crypto: HandshakeCrypto, key: Uint8Array, isGroup: boolean): string {
  const ring = deriveKeyRing(crypto, key, isGroup);
  crypto.wipe(key);
  wipeKeyRing(crypto, ring);
  return ring.fingerprint;
}

async function print(text: Buffer, terminal: Terminal): Promise<void> {
  const mode = terminal.outFileMode();
  if (mode !== undefined && (mode & FOREIGN_BITS) !== 0) {
    const shown = mode.toString(8).padStart(4, "0");
    await terminal.err(
      `iptun: warning: standard output is a file that others can use (mode ${shown}); chmod 600 it, or use --out FILE\n`,
    );
  }
  await terminal.out(text);
}

function createKeyFile(file: string, text: Buffer): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  let descriptor: number;
  try {
    descriptor = openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw creationError(file, cause);
  }
  try {
    for (let done = 0; done < text.length; ) done += writeSync(descriptor, text, done);
    fsyncSync(descriptor);
  } catch (cause) {
    // Half a key is of no use, and a second attempt would find the file in its way.
    unlinkSync(file);
    throw new DaemonError(`cannot write ${file}: ${messageOf(cause)}`, EXIT.FAILURE, { cause });
  } finally {
    closeSync(descriptor);
  }
}

function creationError(file: string, cause: unknown): DaemonError {
  switch (codeOf(cause)) {
    case "EEXIST":
      return new DaemonError(`${file} exists already; a key is never overwritten`);
    case "EACCES":
    case "EPERM":
      return new DaemonError(
        `no permission to create ${file}: choose a directory of your own (or needs CAP_DAC_OVERRIDE)`,
        EXIT.NO_PERMISSION,
        { cause },
      );
    case "ENOENT":
      return new DaemonError(`cannot create ${file}: its directory does not exist`);
    default:
      return new DaemonError(`cannot create ${file}: ${messageOf(cause)}`, EXIT.FAILURE, { cause });
  }
}
