/**
 * Events of the core and packet lines as log lines.
 *
 * Levels: what an operator should see at the default level is info (up, down, moved) or warn (somebody
 * sends what no key here opens); rekeys and packets are debug. BOUNDED: lines that a stranger can cause
 * are limited in all, because each may come from another forged address.
 */
import type { TunnelEvent } from "../../core/options.ts";
import { formatAddress, formatEndpoint } from "../../core/prefix.ts";
import type { PacketLine } from "../../engine/messages.ts";
import { RateLimit } from "./rate-limit.ts";

/** Log lines a minute about strangers, all addresses together. */
export const STRANGER_LINES_PER_MINUTE = 10;

/** Log lines a minute about nodes of groups that come, move and go. */
const NODE_LINES_PER_MINUTE = 120;
/** Log lines a minute about addresses that two nodes of a group want. */
const CLAIM_LINES_PER_MINUTE = 10;

export type Level = "warn" | "info" | "debug";

/** A line to log. */
export interface LogLine {
  readonly level: Level;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

type EventOf<Kind extends TunnelEvent["kind"]> = Extract<TunnelEvent, { readonly kind: Kind }>;

const DOWN_REASONS: Readonly<Record<EventOf<"down">["reason"], string>> = {
  closed: "closed by the other side",
  expired: "its session expired",
  removed: "removed from the configuration",
};

/** Turns events into lines; remembers how many strangers it reported. */
export class EventLog {
  readonly #nodes = new RateLimit(NODE_LINES_PER_MINUTE);
  readonly #claims = new RateLimit(CLAIM_LINES_PER_MINUTE);
  readonly #strangers = new RateLimit(STRANGER_LINES_PER_MINUTE);

  /** The lines for one event; none where the limit is reached. */
  lines(event: TunnelEvent, nowMs: number): readonly LogLine[] {
    const lines = this.#allLines(event, nowMs);
    const isOfNode = "peer" in event && event.peer.includes("/");
    return isOfNode && !("holder" in event) ? this.#nodeLines(lines, nowMs) : lines;
  }

  /** A member of a group can bring and take away as many nodes as it likes. */
  #nodeLines(lines: readonly LogLine[], nowMs: number): readonly LogLine[] {
    if (lines.every(({ level }) => level === "debug")) return lines;
    const { isAllowed, suppressed } = this.#nodes.take(nowMs);
    const message = `${suppressed} more lines about nodes of groups`;
    const rest: LogLine[] = suppressed === 0 ? [] : [{ level: "info", message, fields: {} }];
    return isAllowed ? [...rest, ...lines] : rest;
  }

  #allLines(event: TunnelEvent, nowMs: number): readonly LogLine[] {
    switch (event.kind) {
      case "session":
        return [sessionLine(event)];
      case "down":
        return [line("info", `peer ${event.peer} is down: ${DOWN_REASONS[event.reason]}`, event)];
      case "endpoint":
        return [endpointLine(event)];
      case "dead":
        return [deadLine(event)];
      case "stale":
        return [staleLine(event)];
      case "unanswered":
        return [unansweredLine(event)];
      case "claim":
      case "moved":
        return this.#claimLines(event, nowMs);
      case "mtu":
        return [mtuLine(event)];
      case "stranger":
        return this.#strangerLines(event, nowMs);
      case "lost":
        return [{ level: "warn", message: `${event.count} events were lost`, fields: {} }];
      default:
        return event satisfies never;
    }
  }

  /** Any member of a group can cause such a line, so they are limited in all. */
  #claimLines(event: EventOf<"claim"> | EventOf<"moved">, nowMs: number): readonly LogLine[] {
    const { isAllowed, suppressed } = this.#claims.take(nowMs);
    const rest: LogLine[] =
      suppressed === 0
        ? []
        : [{ level: "warn", message: `${suppressed} more such claims`, fields: {} }];
    if (!isAllowed) return rest;
    const { peer, holder } = event;
    const address = formatAddress(event.prefix.bytes);
    const message =
      event.kind === "claim"
        ? `${peer} claims ${address}, which ${holder} holds: it is refused as long as ${holder} answers`
        : `${address} moved from ${holder}, which did not answer, to ${peer}`;
    return [...rest, { level: "warn", message, fields: { peer, holder } }];
  }

  #strangerLines({ source, reason }: EventOf<"stranger">, nowMs: number): readonly LogLine[] {
    const { isAllowed, suppressed } = this.#strangers.take(nowMs);
    const rest: LogLine[] =
      suppressed === 0
        ? []
        : [{ level: "warn", message: `${suppressed} more such addresses`, fields: {} }];
    if (!isAllowed) return rest;
    const message = `datagrams arrive from ${formatEndpoint(source)} which no key configured here opens`;
    return [...rest, { level: "warn", message, fields: { reason } }];
  }
}

/** A packet line's text: "inbound datagram 1452 bytes from 192.0.2.1:1194". */
export function packetText(packet: PacketLine): string {
  const { direction, layer, length, source, destination, port } = packet;
  const text = (address: Uint8Array | undefined) =>
    address === undefined
      ? undefined
      : port === 0
        ? formatAddress(address)
        : formatEndpoint({ address, port, scope: 0 });
  const from = source === undefined ? "" : ` from ${text(source)}`;
  const to = destination === undefined ? "" : ` to ${text(destination)}`;
  return `${direction} ${layer} ${length} bytes${from}${to}`;
}

function sessionLine(event: EventOf<"session">): LogLine {
  const { peer, isNew, isInitiator, fingerprint, endpoint } = event;
  const where = endpoint === undefined ? "" : ` at ${formatEndpoint(endpoint)}`;
  const message = isNew ? `peer ${peer} is up${where}` : `new session with peer ${peer}${where}`;
  const fields = { peer, key: fingerprint, role: isInitiator ? "initiator" : "responder" };
  return { level: isNew ? "info" : "debug", message, fields };
}

function endpointLine({ peer, from, to }: EventOf<"endpoint">): LogLine {
  const message =
    from === undefined
      ? `peer ${peer} is at ${formatEndpoint(to)}`
      : `peer ${peer} moved from ${formatEndpoint(from)} to ${formatEndpoint(to)}`;
  // The first address stands in the line that says the peer is up.
  return { level: from === undefined ? "debug" : "info", message, fields: { peer } };
}

function deadLine(event: EventOf<"dead">): LogLine {
  const { peer, endpoint } = event;
  const message = `peer ${peer} does not answer at ${formatEndpoint(endpoint)}: its other endpoints are tried`;
  return line("warn", message, event);
}

function mtuLine({ peer, from, mtu, pathMtu }: EventOf<"mtu">): LogLine {
  const message = `peer ${peer}: the path carries ${pathMtu} bytes, so packets of ${mtu}`;
  // A path that shrinks is why a transfer stalls for a moment.
  return { level: mtu < from ? "info" : "debug", message, fields: { peer, mtu } };
}

function staleLine(event: EventOf<"stale">): LogLine {
  const rest = event.endpointForgotten ? ", its address is forgotten" : "";
  return line("info", `peer ${event.peer} is silent${rest}`, event);
}

function unansweredLine(event: EventOf<"unanswered">): LogLine {
  return line("info", `peer ${event.peer} has not answered for ${event.seconds} s`, event);
}

function line(level: Level, message: string, { peer }: { readonly peer: string }): LogLine {
  return { level, message, fields: { peer } };
}
