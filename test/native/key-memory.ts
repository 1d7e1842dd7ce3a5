/**
 * Counts the copies of a subkey in this process's memory while it is in use and after it was wiped, for the
 * cipher that the argument names.
 *
 * The needle must not find itself: only its first half is ever held plain, the second half is compared
 * through a mask, and the window that memory is read into is cleared after each read. Source of the
 * vector: draft-irtf-cfrg-xchacha-03 §2.2.1.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { SEAL, SEAL_FIELDS } from "../../src/core/rows.ts";
import { CIPHER } from "../../src/io/native.ts";
import { testNative } from "./native.ts";

const MASK = 0xa5;
const WINDOW_BYTES = 1 << 20;
const HALF_BYTES = 16;
const FIRST_HALF = Buffer.from("82413b4227b27bfed30e42508a877d73", "hex");
/** a0f9e4d58a74a853c12ec41326d3ecdc, each byte with the mask. */
const SECOND_HALF_MASKED = Buffer.from("055c41702fd10df6648b61b683764979", "hex");

const native = testNative();
const material = Uint8Array.from({ length: 48 }, (_, index) => (index < 32 ? index : 0));
material.set(Buffer.from("000000090000004a0000000031415927", "hex"), 32);

native.cipherKind(process.argv[2] === "EVP" ? CIPHER.EVP : CIPHER.PRIMITIVES);
native.keyLoad(0, material);
for (const length of [0, 100, 1400, 5000]) sealAndOpen(length);
const inUse = copies();
native.keyWipe(0);
process.stdout.write(
  JSON.stringify({ inUse, afterWipe: copies(), flags: tableFlags(), mayLock: mayLock() }),
);

function sealAndOpen(length: number): void {
  const datagram = new Uint8Array(length + 32);
  const rows = new Int32Array(SEAL_FIELDS);
  rows[SEAL.IN_LENGTH] = length;
  rows[SEAL.SEGMENTS] = 1;
  native.seal(new Uint8Array(length), datagram, rows, 1);
  rows.set([0, datagram.length, 0]);
  if (native.open(datagram, rows, 1) !== 1) throw new Error(`${length} bytes did not open`);
}

function copies(): number {
  const memory = openSync("/proc/self/mem", "r");
  const window = Buffer.alloc(WINDOW_BYTES);
  let found = 0;
  for (const [start, end] of writableRanges())
    for (let at = start; at < end; at += WINDOW_BYTES - 2 * HALF_BYTES)
      found += copiesIn(memory, window, at, Math.min(WINDOW_BYTES, end - at));
  closeSync(memory);
  return found;
}

function copiesIn(memory: number, window: Buffer, at: number, length: number): number {
  let found = 0;
  try {
    const read = window.subarray(0, readSync(memory, window, 0, length, at));
    for (let i = read.indexOf(FIRST_HALF); i >= 0; i = read.indexOf(FIRST_HALF, i + 1))
      if (isSecondHalf(read.subarray(i + HALF_BYTES, i + 2 * HALF_BYTES))) found++;
  } catch (error) {
    // A range that is reserved but not backed cannot be read, and holds nothing.
    if ((error as NodeJS.ErrnoException).code !== "EIO") throw error;
  }
  window.fill(0);
  return found;
}

function isSecondHalf(bytes: Buffer): boolean {
  return (
    bytes.length === HALF_BYTES &&
    bytes.every((byte, index) => (byte ^ MASK) === SECOND_HALF_MASKED[index])
  );
}

/** VmFlags (man 5 proc) of the key table, the one mapping with "wf", wiped on fork. */
function tableFlags(): string[] {
  const lines = readFileSync("/proc/self/smaps", "utf8").split("\n");
  const flags = lines.filter((line) => line.startsWith("VmFlags:")).map((line) => line.split(" "));
  return flags.find((words) => words.includes("wf")) ?? [];
}

/** Whether the limit of locked memory has room for the table. */
function mayLock(): boolean {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const limit = /Max locked memory\s+(\S+)/.exec(limits)?.[1];
  return limit === "unlimited" || Number(limit) > 1_000_000;
}

function writableRanges(): [number, number][] {
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => / rw/.test(line))
    .map((line) => {
      const [start = "", end = ""] = line.split(" ", 1)[0]?.split("-") ?? [];
      return [Number.parseInt(start, 16), Number.parseInt(end, 16)];
    });
}
