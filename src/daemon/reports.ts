/**
 * What the log hears of the engine: events, runs that the kernel refused, drops and packet lines.
 *
 * The lines are made by event-log, refusal-log and drop-summary; this keeps what they remember and prints. Those who
 * listen to the event stream hear of events and drops what the log does, at every level: so the limits of lines that a
 * stranger can cause hold there too.
 */
import type { DropCounters } from "../core/drop-reason.ts";
import type { TunnelEvent } from "../core/options.ts";
import type { EngineFeatures } from "../engine/messages.ts";
import type { Log } from "../log.ts";
import { type EventStream, plainEvent } from "./control/event-stream.ts";
import type { Trace } from "./engine-link.ts";
import { DropSummary } from "./log/drop-summary.ts";
import { EventLog, type LogLine, packetText } from "./log/event-log.ts";
import { RefusalLog } from "./log/refusal-log.ts";

/** Prints in the log of one tunnel. */
export class Reports {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #stream: EventStream;
  readonly #events = new EventLog();
  readonly #refusals = new RefusalLog();
  readonly #drops = new DropSummary();

  constructor(log: Log, nowMs: () => number, stream: EventStream) {
    this.#log = log;
    this.#nowMs = nowMs;
    this.#stream = stream;
  }

  event(event: TunnelEvent): void {
    const lines = this.#events.lines(event, this.#nowMs());
    this.#print(lines);
    // The last is the event's own; one before it counts those that got none.
    for (const { level, message } of lines.slice(0, -1)) {
      this.#stream.publish(level, message, { kind: "more" });
    }
    const own = lines.at(-1);
    if (own !== undefined) this.#stream.publish(own.level, own.message, plainEvent(event));
  }

  /** `remote`: 16 bytes. */
  runRefused(remote: Uint8Array, errno: string): void {
    this.#print(this.#refusals.lines(remote, errno, this.#nowMs()));
  }

  /** What was dropped since the last call. */
  drops(counters: Readonly<DropCounters>): void {
    for (const { reason, count, level, message } of this.#drops.lines(counters)) {
      this.#log[level](message, { reason, count });
      this.#stream.publish(level, message, { kind: "drops", reason, count });
    }
  }

  trace({ lines, suppressed }: Trace): void {
    for (const packet of lines) this.#log.debug(packetText(packet));
    if (suppressed > 0) this.#log.debug(`${suppressed} more packets and datagrams not shown`);
  }

  /** `offloads`: as text; `mtu`: bytes. */
  started(features: EngineFeatures, offloads: string, mtu: number): void {
    const { tunName, udpPort, receiveBufferBytes, sendBufferBytes } = features;
    this.#log.info(`${tunName} is up, listening on UDP port ${udpPort}; offloads: ${offloads}`, {
      ...{ device: tunName, port: udpPort, mtu },
      offloads: features.offloads.join(),
    });
    const buffers = `receive ${receiveBufferBytes}, send ${sendBufferBytes} bytes`;
    this.#log.debug(
      `socket buffers: ${buffers}; vnet header: ${features.vnetHeader}; cipher: ${features.cipher}`,
    );
  }

  #print(lines: readonly LogLine[]): void {
    for (const { level, message, fields } of lines) this.#log[level](message, fields);
  }
}
