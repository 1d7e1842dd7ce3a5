/**
 * The demo: two hosts, one key, real packets, and four attackers who get nothing.
 *
 * Run by scripts/demo, which installs and builds first. It uses iptun only as an operator would (keygen,
 * --config, status) and shows by search of a capture that nothing of the inside is seen outside; the same
 * search of a capture inside the tunnel finds it, so the search can find. Ends with 1 when any line of
 * the report fails.
 */
import { createHash, randomBytes } from "node:crypto";
import { openSync, readFileSync, writeSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { readDatagrams, startCapture } from "./netns/capture.ts";
import { makeKey } from "./netns/daemon.ts";
import { withLab } from "./netns/lab.ts";
import { countNeedles, samples } from "./netns/search.ts";
import { type Attack, attack } from "./netns/show-attacks.ts";
import { ADDRESSES, bringUp, makePair, type Pair, TUN } from "./netns/topology.ts";
import { percentileMs, ping, transferFile } from "./netns/traffic.ts";

const FILE_BYTES = 200e6;
/** BOUNDED: packets of the file's transfer that each capture keeps, about 30 MB. */
const CAPTURED_PACKETS = 20_000;
/** A packet carries some 1,300 bytes of the file, so each captured one holds a whole sample. */
const SAMPLE_STEP_BYTES = 1024;
const SAMPLED_BYTES = 40e6;

const { left, right } = ADDRESSES;

process.stdout.write(`
iptun demo: two hosts, one key, real packets

  left  ${left.outer4}  --------- veth ---------  ${right.outer4}  right
        ${left.inner4}  ======== tunnel ========  ${right.inner4}
        ${left.inner6}    ======== tunnel ========  ${right.inner6}

`);
const start = performance.now();
let failures = 0;

await withLab(async (lab) => {
  const pair = await makePair(lab);
  const quiet = await showFirstPackets(pair);
  const bulk = await showFile(pair);
  showSecrecy(quiet, bulk);
  await showAttacks(pair, bulk.outside);
  await showEnd(pair);
});
line(failures === 0, "all of it", `${((performance.now() - start) / 1000).toFixed(1)} s`);
process.exitCode = failures === 0 ? 0 : 1;

/** Captures of the same traffic, outside and inside the tunnel, and samples of the file that crossed. */
interface Bulk {
  readonly outside: string;
  readonly inside: string;
  readonly samples: readonly Buffer[];
}

/** Starts both ends and pings; returns the capture of all that crossed the wire by then. */
async function showFirstPackets(pair: Pair): Promise<string> {
  const capture = await startCapture(pair.left.host, "eth0", { filter: "udp" });
  const started = performance.now();
  await Promise.all([pair.left.start(), pair.right.start()]);
  await bringUp(pair);
  line(true, "tunnel up", `${Math.round(performance.now() - started)} ms after both were started`);
  await showPing(pair, "IPv4", right.inner4);
  await showPing(pair, "IPv6", right.inner6);
  await capture.stop();
  return capture.file;
}

async function showPing(pair: Pair, family: string, target: string): Promise<void> {
  const { sent, received, replies } = await ping(pair.left.host, target, 20);
  const rtt = percentileMs(replies, 0.5).toFixed(2);
  const detail = `${received} of ${sent} answered, median ${rtt} ms`;
  line(sent === 20 && received === 20, `ping over ${family}`, detail);
}

/** Sends a random file through the tunnel, captured on both sides of the encryption. */
async function showFile(pair: Pair): Promise<Bulk> {
  const { host } = pair.left;
  const file = join(host.dir, "random.bin");
  const sum = writeRandomFile(file);
  const limit = { maxPackets: CAPTURED_PACKETS };
  const outside = await startCapture(host, "eth0", { ...limit, filter: "udp" });
  const inside = await startCapture(host, TUN, limit);
  const { bytes, sha256, seconds } = await transferFile(host, pair.right.host, right.inner4, file);
  await Promise.all([outside.stop(), inside.stop()]);
  const isSame = bytes === FILE_BYTES && sha256 === sum;
  const rate = ((FILE_BYTES * 8) / seconds / 1e6).toFixed(0);
  line(
    isSame,
    "file of 200 MB over TCP",
    `SHA-256 ${sum.slice(0, 16)}... is equal; ${rate} Mbit/s`,
  );
  const sampled = samples(readFileSync(file).subarray(0, SAMPLED_BYTES), SAMPLE_STEP_BYTES);
  return { outside: outside.file, inside: inside.file, samples: sampled };
}

function writeRandomFile(file: string): string {
  const hash = createHash("sha256");
  const descriptor = openSync(file, "w", 0o600);
  for (let written = 0; written < FILE_BYTES; written += 1e6) {
    const block = randomBytes(1e6);
    hash.update(block);
    writeSync(descriptor, block);
  }
  return hash.digest("hex");
}

/** Looks for the file and the inner addresses in what crossed the wire. */
function showSecrecy(quiet: string, bulk: Bulk): void {
  const outside = readFileSync(bulk.outside);
  const inside = readFileSync(bulk.inside);
  const megabytes = (outside.length / 1e6).toFixed(0);
  const hidden = countNeedles(outside, bulk.samples);
  const shown = countNeedles(inside, bulk.samples);
  line(
    hidden === 0 && shown > 1000 && outside.length > 10e6,
    "the file is not visible outside",
    `${hidden} of its samples in ${megabytes} MB of the wire, ${shown} inside the tunnel`,
  );
  const handshake = readFileSync(quiet);
  // Four bytes turn up by chance in megabytes of noise; alone they are searched in the short capture.
  const found = countNeedles(handshake, innerAddresses()) + countNeedles(outside, addressPairs());
  const insidePairs = countNeedles(inside, addressPairs());
  line(
    found === 0 && insidePairs > 1000,
    "no inner address outside",
    `${found} in both captures of the wire, ${insidePairs} inside the tunnel`,
  );
}

/** The four inner addresses as they stand in packets. */
function innerAddresses(): readonly Buffer[] {
  return [left.inner4, right.inner4, left.inner6, right.inner6].map(addressBytes);
}

/** Source and destination together, as an IP header has them; IPv6 addresses also alone. */
function addressPairs(): readonly Buffer[] {
  const [left4, right4] = [addressBytes(left.inner4), addressBytes(right.inner4)];
  return [
    Buffer.concat([left4, right4]),
    Buffer.concat([right4, left4]),
    addressBytes(left.inner6),
    addressBytes(right.inner6),
  ];
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail = ""] = address.split("::");
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const bytes = Buffer.alloc(16);
  for (const [index, group] of groups(head).entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  }
  for (const [index, group] of groups(tail).reverse().entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), 14 - index * 2);
  }
  return bytes;
}

/** Lets a stranger try with what can be learned from the wire. */
async function showAttacks(pair: Pair, capture: string): Promise<void> {
  const genuine = readDatagrams(capture).filter(
    ({ destinationPort, payload }) => destinationPort === 1194 && payload[0] === 4,
  );
  const strangersKey = await makeKey(pair.left.host.lab.dir, "stranger.key");
  await attack(pair, genuine, strangersKey, (outcome: Attack) => {
    line(outcome.isRefused, outcome.title, outcome.detail);
  });
}

async function showEnd(pair: Pair): Promise<void> {
  const started = performance.now();
  const ends = await Promise.all([pair.left.stop(), pair.right.stop()]);
  const milliseconds = Math.round(performance.now() - started);
  const isClean = ends.every(({ code }) => code === 0);
  const isGone = ![pair.left, pair.right].some(({ host }) => host.hasDevice(TUN));
  line(
    isClean && isGone,
    "both ends stop on SIGTERM",
    `after ${milliseconds} ms, devices are gone`,
  );
}

function line(isGood: boolean, title: string, detail: string): void {
  if (!isGood) failures += 1;
  process.stdout.write(`  ${isGood ? "ok  " : "FAIL"}  ${title.padEnd(34)}${detail}\n`);
}
