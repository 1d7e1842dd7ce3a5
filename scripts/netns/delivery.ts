/**
 * The lab's side of delivery-agent.ts: streams and datagrams from one host to another, and what became of them.
 */
import { join } from "node:path";
import type { Host } from "./lab.ts";
import { pause, ROOT } from "./process.ts";

/** Time for the last datagrams to arrive. */
const SETTLE_MS = 200;

/** An address of the receiver, and its ports there. */
export interface Place {
  readonly address: string;
  readonly tcpPort: number;
  readonly udpPort: number;
}

/** What the sender is told. */
export interface DeliveryOrder {
  readonly places: readonly Place[];
  /** TCP connections to each place, and bytes of each. */
  readonly streams: number;
  readonly streamBytes: number;
  /** Runs of datagrams to each place, about 20 in each. */
  readonly bursts: number;
}

export interface SenderReport {
  /** SHA-256 of each stream. */
  readonly hashes: readonly string[];
  /** Datagrams. */
  readonly sent: number;
}

export interface ReceiverReport {
  /** SHA-256 of each stream. */
  readonly hashes: readonly string[];
  /** Datagrams. */
  readonly received: number;
  /** Different datagrams that are, byte for byte, what was sent under their number. */
  readonly distinct: number;
  /** Datagrams that are not. */
  readonly wrong: number;
}

/** What was sent, and what arrived. */
export interface Delivery {
  readonly sender: SenderReport;
  readonly receiver: ReceiverReport;
}

/** Sends streams and datagrams at the same time to all `addresses` of the receiver. */
export async function deliver(
  sender: Host,
  receiver: Host,
  addresses: readonly string[],
  order: Omit<DeliveryOrder, "places">,
): Promise<Delivery> {
  const agent = join(ROOT, "scripts/netns/delivery-agent.ts");
  const program = [process.execPath, "--import", "tsx", agent];
  const listener = receiver.start([...program, "receive", ...addresses]);
  const [, places = ""] = await listener.waitForOutput(/places (.*)\n/);
  const whole: DeliveryOrder = { ...order, places: JSON.parse(places) as readonly Place[] };
  const output = await sender.output([...program, "send", JSON.stringify(whole)]);
  await pause(SETTLE_MS);
  const { stdout } = await listener.stop();
  return {
    sender: JSON.parse(/report (.*)\n/.exec(output)?.[1] ?? "") as SenderReport,
    receiver: JSON.parse(/report (.*)\n/.exec(stdout)?.[1] ?? "") as ReceiverReport,
  };
}
