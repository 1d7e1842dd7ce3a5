/**
 * Traffic through a tunnel and what came of it: ping with every reply kept, iperf3 as numbers, a file.
 *
 * ping and iperf3 are the distribution's, so that nothing of ours measures ours. The trap: iperf3 reports
 * a failure inside its JSON with exit code 1, and the server must listen before the client starts.
 */
import { join } from "node:path";
import type { Host } from "./lab.ts";
import { type Child, expectSuccess, ROOT } from "./process.ts";

/** iperf3's own default. */
const PORT = 5201;
/** What iperf3 may take on top of its seconds: a control connection through a flooded tunnel is slow. */
const GRACE_MS = 20_000;
const LONGEST_MS = 900_000;
/** A request younger than this when ping ends may still have its answer on the way. */
const IN_FLIGHT_SECONDS = 0.1;

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
  readonly #intervalSeconds: number;

  constructor(
    host: Pick<Host, "start">,
    target: string,
    intervalSeconds: number,
    extra: readonly string[] = [],
  ) {
    const interval = ["-i", String(intervalSeconds)];
    this.#intervalSeconds = intervalSeconds;
    this.#child = host.start(["ping", "-n", "-D", "-W", "1", ...interval, ...extra, target]);
  }

  /** Replies until now. */
  get replies(): readonly PingReply[] {
    return parseReplies(this.#child.stdout);
  }

  /** Ends the ping and returns what it saw, without the last requests whose answers it did not wait for. */
  async stop(): Promise<PingResult> {
    const result = parsePing((await this.#child.stop("SIGINT")).stdout);
    return withoutInFlight(result, Math.ceil(IN_FLIGHT_SECONDS / this.#intervalSeconds));
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

function withoutInFlight(result: PingResult, most: number): PingResult {
  const { sent, replies } = result;
  // ping numbers its requests from 1, in 16 bits.
  const answered = new Set(replies.map(({ sequence }) => sequence));
  let unanswered = 0;
  while (unanswered < Math.min(most, sent) && !answered.has((sent - unanswered) & 0xffff))
    unanswered += 1;
  return { ...result, sent: sent - unanswered };
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
  /** Connections at the same time; 1 by default. */
  readonly streams?: number;
}

/** TCP from `client` to `server` (or back), measured at the receiver; throws on any error of iperf3. */
export async function tcpThroughput(
  client: Host,
  server: Host,
  address: string,
  options: ThroughputOptions = {},
): Promise<Throughput> {
  const { seconds = 2, bytes } = options;
  const command = [
    ...(bytes === undefined ? ["-t", String(seconds)] : ["-n", String(bytes)]),
    ...(options.isReverse === true ? ["-R"] : []),
    ...(options.bitsPerSecond === undefined ? [] : ["-b", String(options.bitsPerSecond)]),
    ...(options.streams === undefined ? [] : ["-P", String(options.streams)]),
  ];
  const timeoutMs = bytes === undefined ? seconds * 1000 + GRACE_MS : LONGEST_MS;
  const report = await runIperf({ client, server, address, port: PORT, timeoutMs }, command);
  const { sum_received: received, sum_sent: sent } = report.end;
  return {
    bitsPerSecond: received.bits_per_second,
    bytes: received.bytes,
    retransmits: sent.retransmits ?? 0,
  };
}

/** What a UDP sender offered and what its receiver got. */
export interface Flood {
  /** Datagrams a second that the sender handed to its kernel. */
  readonly offeredPerSecond: number;
  /** Datagrams a second that the receiver read. */
  readonly deliveredPerSecond: number;
}

export interface FloodOptions {
  readonly seconds: number;
  /** Payload of each datagram. */
  readonly bytes: number;
  /** Datagrams a second to offer; as many as the sender can by default. */
  readonly ratePerSecond?: number;
  /** Port of the iperf3 server, so that several can run at once; 5201 by default. */
  readonly port?: number;
}

/** UDP from `client` to `server`; throws on any error of iperf3. */
export async function udpFlood(
  client: Host,
  server: Host,
  address: string,
  options: FloodOptions,
): Promise<Flood> {
  const { seconds, bytes, ratePerSecond } = options;
  const bitsPerSecond = Math.round((ratePerSecond ?? 0) * bytes * 8);
  const { end } = await runIperf(
    { client, server, address, port: options.port ?? PORT, timeoutMs: seconds * 1000 + GRACE_MS },
    ["-u", "-b", String(bitsPerSecond), "-l", String(bytes), "-t", String(seconds)],
  );
  return {
    offeredPerSecond: (end.sum_sent.packets ?? 0) / end.sum_sent.seconds,
    deliveredPerSecond: end.sum_received.bytes / bytes / end.sum_received.seconds,
  };
}

/** Where an iperf3 runs, and how long at most. */
interface IperfPlace {
  readonly client: Host;
  readonly server: Host;
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
}

/** Runs an iperf3 server for one client, and the client; returns what the client reports. */
async function runIperf(place: IperfPlace, options: readonly string[]): Promise<IperfReport> {
  const { client, server, address, timeoutMs } = place;
  const port = ["-p", String(place.port)];
  const listener = server.start(["iperf3", "-s", "-1", "-B", address, ...port, "--forceflush"]);
  try {
    await listener.waitForOutput(/Server listening/);
    const command = ["iperf3", "-c", address, ...port, "-J", ...options];
    const finished = await client.run(command, { timeoutMs });
    return JSON.parse(expectSuccess(finished, command)) as IperfReport;
  } finally {
    await listener.stop();
  }
}

/** The part of iperf3's JSON that is read. */
interface IperfReport {
  readonly end: {
    readonly sum_sent: {
      readonly seconds: number;
      readonly retransmits?: number;
      readonly packets?: number;
    };
    readonly sum_received: {
      readonly seconds: number;
      readonly bits_per_second: number;
      readonly bytes: number;
    };
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

/** What became of a TCP stream, as its receiver saw it. */
export interface Stream {
  readonly bytes: number;
  /** Longest time between two arrivals, milliseconds. */
  readonly longestMs: number;
  /** Bytes of the last second. */
  readonly lastSecond: number;
}

/** Sends one TCP stream from `client` to `server` as fast as it goes. */
export async function tcpStream(
  client: Host,
  server: Host,
  address: string,
  seconds: number,
): Promise<Stream> {
  const program = [
    process.execPath,
    "--import",
    "tsx",
    join(ROOT, "scripts/netns/stream-agent.ts"),
  ];
  const listener = server.start([...program, "receive", address]);
  const [, port = ""] = await listener.waitForOutput(/port (\d+)/);
  await client.output([...program, "send", address, port, String(seconds)]);
  const [json] = await listener.waitForOutput(/\{.*\}/);
  return JSON.parse(json) as Stream;
}
