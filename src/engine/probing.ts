/**
 * Probes and speed tests that the control side orders: commands in, reports out. The tunnel does them.
 */
import type { Instant } from "../core/time.ts";
import type { Tunnel } from "../core/tunnel.ts";
import type { Command, Report } from "./messages.ts";

/** The core as it is used here. */
export type ProbingTunnel = Pick<
  Tunnel,
  "ping" | "pollAnswer" | "startSpeedTest" | "stopSpeedTest" | "speedTest"
>;

type CommandOf<Kind extends Command["kind"]> = Extract<Command, { readonly kind: Kind }>;
type ReportOf<Kind extends Report["kind"]> = Extract<Report, { readonly kind: Kind }>;

/** What can be ordered. */
export type ProbingCommand = CommandOf<"probe"> | CommandOf<"speed">;

/** Does what the command says; undefined: there is nothing to report yet. */
export function order(
  tunnel: ProbingTunnel,
  command: ProbingCommand,
  now: Instant,
): ReportOf<"probed"> | ReportOf<"speed"> | undefined {
  return command.kind === "probe" ? probe(tunnel, command, now) : orderSpeed(tunnel, command, now);
}

/** Sends a probe; why it could not, or undefined: an answer may come. */
function probe(
  tunnel: ProbingTunnel,
  { id, peer }: CommandOf<"probe">,
  now: Instant,
): ReportOf<"probed"> | undefined {
  const refusal = tunnel.ping(peer, id, now);
  return refusal === undefined ? undefined : { kind: "probed", id, outcome: refusal };
}

/** The answers that came. */
export function* probeAnswers(tunnel: ProbingTunnel): Generator<ReportOf<"probed">> {
  for (let next = tunnel.pollAnswer(); next !== undefined; next = tunnel.pollAnswer()) {
    const { tag, ...outcome } = next;
    yield { kind: "probed", id: tag, outcome };
  }
}

/** Starts the speed test, ends it, or only looks at it. */
function orderSpeed(
  tunnel: ProbingTunnel,
  { id, order }: CommandOf<"speed">,
  now: Instant,
): ReportOf<"speed"> {
  if (order === "stop") tunnel.stopSpeedTest(now);
  const refusal = typeof order === "string" ? undefined : tunnel.startSpeedTest(order, now);
  return { kind: "speed", id, speed: refusal ?? tunnel.speedTest(now) };
}
