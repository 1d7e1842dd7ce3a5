/**
 * The lab's side of udp-agent.ts: starts a sender in a namespace and gives it orders.
 *
 * It carries bytes only; what is forged, replayed or junk is decided by the test.
 */
import { join } from "node:path";
import type { Host } from "./lab.ts";
import { type Child, nextMessage, ROOT } from "./process.ts";

/** Datagrams of random bytes, after a fixed beginning, at a steady rate. */
export interface FloodOrder {
  readonly kind: "flood";
  readonly address: string;
  readonly port: number;
  readonly ratePerSecond: number;
  readonly seconds: number;
  /** First bytes of each datagram, base64. */
  readonly prefix: string;
  /** Length of each; random up to 1,400 when absent. */
  readonly bytes?: number;
}

/** Datagrams to send once each. */
export interface SendOrder {
  readonly kind: "send";
  readonly address: string;
  readonly port: number;
  /** Datagrams, base64. */
  readonly payloads: readonly string[];
}

export type SenderOrder = FloodOrder | SendOrder | { readonly kind: "report" };

/** What a sender did and drew. */
export interface SenderReport {
  sent: number;
  /** Datagrams received. */
  answers: number;
  answerBytes: number;
  isDone: boolean;
}

/** A UDP socket inside a namespace. */
export class UdpSender {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  /** Sends datagrams, once each. */
  async send(
    address: string,
    port: number,
    payloads: readonly Uint8Array[],
  ): Promise<SenderReport> {
    const encoded = payloads.map((payload) => Buffer.from(payload).toString("base64"));
    return await this.#order({ kind: "send", address, port, payloads: encoded });
  }

  /** Floods; settles when the last datagram was sent. */
  async flood(
    order: Omit<FloodOrder, "kind" | "prefix">,
    prefix: Uint8Array = new Uint8Array(),
  ): Promise<SenderReport> {
    const encoded = Buffer.from(prefix).toString("base64");
    return await this.#order({ kind: "flood", ...order, prefix: encoded });
  }

  /** Counters until now. */
  async report(): Promise<SenderReport> {
    return await this.#order({ kind: "report" });
  }

  /** Ends the process. */
  async close(): Promise<void> {
    await this.#child.stop();
  }

  async #order(order: SenderOrder): Promise<SenderReport> {
    const answer = nextMessage<SenderReport>(this.#child);
    this.#child.process.send(order);
    return await answer;
  }
}

/** Starts a sender bound to `address` (all of one family: "0.0.0.0" or "::") and `port` (0: any). */
export async function startSender(host: Host, address = "0.0.0.0", port = 0): Promise<UdpSender> {
  const agent = join(ROOT, "scripts/netns/udp-agent.ts");
  const command = [process.execPath, "--import", "tsx", agent, address, String(port)];
  const child = host.start(command, { hasChannel: true });
  await nextMessage<SenderReport>(child);
  return new UdpSender(child);
}
