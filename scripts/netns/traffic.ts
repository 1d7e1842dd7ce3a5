/**
 * Traffic through a tunnel and what came of it: ping with every reply kept, iperf3 as numbers, a file.
 *
 * ping and iperf3 are the distribution's, so that nothing of ours measures ours. The trap: iperf3 reports
 * a failure inside its JSON with exit code 1, and the server must listen before the client starts.
 */
import { join } from "node:path";
import type { Host } from "./lab.ts";
import { type Child, expectSuccess, ROOT } from "./process.ts";

export interface PingReply {
  readonly sequence: number;
  /** Seconds since 1970 with fraction. */
  readonly at: number;
  readonly rttMs: number;
}

/** What a ping saw. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly replies: readonly PingReply[];
  readonly output: string;
}

/** A ping that runs until it is stopped. */
export class Ping {
  readonly #child: Child;

  constructor(host: Host, target: string, intervalSeconds: number, extra: readonly string[] = []) {
    const interval = ["-i", String(intervalSeconds)];
    this.#child = host.start(["ping", "-n", "-D", "-W", "1", ...interval, ...extra, target]);
  }

  /** Replies until now. */
  get replies(): readonly PingReply[] {
    return parseReplies(this.#child.stdout);
  }

  /** Ends the ping and returns what it saw. */
  async stop(): Promise<PingResult> {
    return parsePing((await this.#child.stop("SIGINT")).stdout);
  }

  /** Waits for a ping with a count (`-c`) to end by itself. */
  async finish(): Promise<PingResult> {
    const { stdout, stderr } = await this.#child.ended;
    return parsePing(stdout + stderr);
  }
}

/** Sends `count` pings and waits for the answers. */
export async function ping(
  host: Host,
  target: string,
  count: number,
  intervalSeconds = 0.05,
): Promise<PingResult> {
  return await new Ping(host, target, intervalSeconds, ["-c", String(count)]).finish();
}

/** The longest time between two replies, milliseconds. */
export function longestGapMs(replies: readonly PingReply[]): number {
  let longest = 0;
  for (const [index, reply] of replies.entries()) {
    const before = replies[index - 1];
    if (before !== undefined) longest = Math.max(longest, reply.at - before.at);
  }
  return longest * 1000;
}

/** The round trip time that a share (0 to 1) of the replies stays below, milliseconds. */
export function percentileMs(replies: readonly PingReply[], share: number): number {
  const sorted = replies.map((reply) => reply.rttMs).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle value, or the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

function parsePing(output: string): PingResult {
  const summary = /(\d+) packets transmitted, (\d+) received/.exec(output);
  return {
    sent: Number(summary?.[1] ?? 0),
    received: Number(summary?.[2] ?? 0),
    replies: parseReplies(output),
    output,
  };
}

function parseReplies(output: string): readonly PingReply[] {
  const pattern = /^\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+) .*time=([\d.]+) ms/gm;
  return [...output.matchAll(pattern)].map((match) => ({
    at: Number(match[1]),
    sequence: Number(match[2]),
    rttMs: Number(match[3]),
  }));
}

/** One iperf3 run. */
export interface Throughput {
  readonly bitsPerSecond: number;
  readonly bytes: number;
  readonly retransmits: number;
}

export interface ThroughputOptions {
  readonly seconds?: number;
  /** Bytes to send; takes the place of `seconds`. */
  readonly bytes?: number;
  /** The server sends. */
  readonly isReverse?: boolean;
  /** Upper bound of the sender's rate, bit/s; unbounded by default. */
  readonly bitsPerSecond?: number;
}

/** TCP from `client` to `server` (or back), measured at the receiver; throws on any error of iperf3. */
export async function tcpThroughput(
  client: Host,
  server: Host,
  address: string,
  options: ThroughputOptions = {},
): Promise<Throughput> {
  const listener = server.start(["iperf3", "-s", "-1", "-B", address, "--forceflush"]);
  await listener.waitForOutput(/Server listening/);
  const length =
    options.bytes === undefined
      ? ["-t", String(options.seconds ?? 2)]
      : ["-n", String(options.bytes)];
  const command = [
    ...["iperf3", "-c", address, "-J", ...length],
    ...(options.isReverse === true ? ["-R"] : []),
    ...(options.bitsPerSecond === undefined ? [] : ["-b", String(options.bitsPerSecond)]),
  ];
  const finished = await client.run(command, { timeoutMs: 900_000 });
  await listener.stop();
  return parseThroughput(expectSuccess(finished, command));
}

function parseThroughput(json: string): Throughput {
  const report = JSON.parse(json) as IperfReport;
  const { sum_received: received, sum_sent: sent } = report.end;
  return {
    bitsPerSecond: received.bits_per_second,
    bytes: received.bytes,
    retransmits: sent.retransmits ?? 0,
  };
}

/** The part of iperf3's JSON that is read. */
interface IperfReport {
  readonly end: {
    readonly sum_sent: { readonly retransmits?: number };
    readonly sum_received: { readonly bits_per_second: number; readonly bytes: number };
  };
}

/** What arrived of a file, and how long it took from the sender's start. */
export interface Transfer {
  readonly bytes: number;
  readonly sha256: string;
  readonly seconds: number;
}

/** Carries `file` over one TCP connection to `address` on `receiver`. */
export async function transferFile(
  sender: Host,
  receiver: Host,
  address: string,
  file: string,
): Promise<Transfer> {
  const agent = join(ROOT, "scripts/netns/file-transfer.ts");
  const program = [process.execPath, "--import", "tsx", agent];
  const listener = receiver.start([...program, "receive", address]);
  const [, port = ""] = await listener.waitForOutput(/port (\d+)/);
  const started = performance.now();
  await sender.output([...program, "send", file, address, port]);
  const [, bytes, sha256 = ""] = await listener.waitForOutput(/received (\d+) (\w+)/);
  return { bytes: Number(bytes), sha256, seconds: (performance.now() - started) / 1000 };
}
