/**
 * The secrets of a running daemon, as root can know them: its pre-shared key, the sub-keys, and the keys of its sessions
 * as they lie in its key table; and every way of writing them that a program would use.
 */
import { readFileSync } from "node:fs";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { deriveKeyRing, parseKeyText } from "../../src/core/handshake/keys.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { isKeyTable, readMapping, writableMappings } from "../helpers/process-memory.ts";

const KEY_BYTES = 32;
/** An all-zero slot of the table is an empty one; a key has no such run. */
const ZERO = Buffer.alloc(8);

/** The keys in a key file and what is derived from it, in this order: key, K("noise"), K("mac"), K("challenge"). */
export async function keysOfFile(keyFile: string): Promise<readonly Buffer[]> {
  const parsed = parseKeyText(readFileSync(keyFile));
  if ("fault" in parsed) throw new Error(`${keyFile} ${parsed.fault}`);
  const { noise, mac, challenge } = deriveKeyRing(await loadSodium(), parsed.key);
  return [parsed.key, noise, mac, challenge].map((key) => Buffer.from(key));
}

/** What the daemon's key table holds. */
export function keyTable({ child }: Daemon): Buffer {
  const tables = writableMappings(child.pid).filter(isKeyTable);
  return Buffer.concat(tables.map((table) => readMapping(child.pid, table)));
}

/** The keys of the daemon's sessions, two each. */
export function sessionKeysOf(daemon: Daemon): readonly Buffer[] {
  const table = keyTable(daemon);
  const keys: Buffer[] = [];
  for (let at = 0; at + KEY_BYTES <= table.length; at += KEY_BYTES) {
    const key = table.subarray(at, at + KEY_BYTES);
    if (!key.includes(ZERO)) keys.push(Buffer.from(key));
  }
  return keys;
}

/** Both halves of each key: a freed block of memory may have lost the first. */
export function halvesOf(keys: readonly Buffer[]): readonly Buffer[] {
  return keys.flatMap((key) => [
    Buffer.from(key.subarray(0, KEY_BYTES / 2)),
    Buffer.from(key.subarray(KEY_BYTES / 2)),
  ]);
}

/** As bytes, hexadecimal, base64, base64url, and as lists of numbers: the first half, which names it as well. */
export function writtenIn(keys: readonly Buffer[]): readonly Buffer[] {
  return keys.flatMap((key) => {
    const half = key.subarray(0, KEY_BYTES / 2);
    const hex = half.toString("hex");
    const pairs = hex.match(/../g) ?? [];
    const texts = [
      ...[hex, hex.toUpperCase(), pairs.join(" "), pairs.join(":")],
      ...[key.toString("base64").slice(0, 20), key.toString("base64url").slice(0, 20)],
      ...[[...half].join(","), [...half].join(", "), [...half].join(" ")],
      // Of a typed array that is made JSON.
      [...half].map((byte, index) => `"${index}":${byte}`).join(","),
    ];
    return [half, ...texts.map((text) => Buffer.from(text))];
  });
}
