/**
 * The lab's side of flood.c: an attacker on a wire of its own, to whom everything goes that has no other route.
 *
 * So an answer to a forged source comes to the attacker, and is counted. It runs on one processor, because the
 * machine has few: the daemons keep the others.
 */
import { cpus } from "node:os";
import type { Host } from "../../scripts/netns/lab.ts";
import { expectSuccess, finish } from "../../scripts/netns/process.ts";
import { PORT, STRANGER } from "../../scripts/netns/topology.ts";
import { compiled } from "./compile.ts";

/** Where the datagrams claim to come from. */
export type Sources =
  | { readonly kind: "random" }
  | { readonly kind: "pool"; readonly size: number }
  | { readonly kind: "one"; readonly address: string; readonly port: number };

/** What is in them: a beginning and random bytes up to a random length, or a file's datagrams one after another. */
export type Content =
  | { readonly prefix?: Uint8Array; readonly least: number; readonly most: number }
  /** `count` at most; without it again and again. */
  | { readonly file: string; readonly count?: number };

export interface FloodOrder {
  readonly ratePerSecond: number;
  readonly seconds: number;
  readonly sources: Sources;
  readonly content: Content;
}

/** What an attacker did, and what it drew. */
export interface FloodReport {
  /** What was asked for. */
  readonly ratePerSecond: number;
  readonly sent: number;
  /** UDP payload. */
  readonly bytes: number;
  readonly seconds: number;
  /** Datagrams that came to the attacker, and their payload. */
  readonly answers: number;
  readonly answerBytes: number;
}

/** Sends whatever has no other route from `target` over the wire to the attacker. */
export function leadAnswersTo(target: Host): void {
  target.ip("route", "replace", "default", "via", STRANGER.outer4);
}

/** Floods the iptun of `target` from `attacker`, the stranger of topology.ts; settles when it is over. */
export async function flood(attacker: Host, target: Host, order: FloodOrder): Promise<FloodReport> {
  const { ratePerSecond, seconds } = order;
  const program = compiled(attacker.lab, "flood");
  const to = ["eth0", macOf(target), STRANGER.right4, String(PORT)];
  const how = [String(ratePerSecond), String(seconds)];
  const pinned = ["taskset", "-c", String(cpus().length - 1)];
  const words = [...sourceWords(order.sources), ...contentWords(order.content)];
  const child = attacker.start([...pinned, program, ...to, ...how, ...words]);
  const finished = await finish(child, (seconds + 20) * 1000);
  const report = JSON.parse(expectSuccess(finished, child.command));
  return { ...report, ratePerSecond } as FloodReport;
}

function macOf(target: Host): string {
  const [link] = JSON.parse(target.ip("-j", "link", "show", "dev", "eth1")) as [
    { readonly address: string },
  ];
  return link.address;
}

function sourceWords(sources: Sources): readonly string[] {
  switch (sources.kind) {
    case "random":
      return ["random"];
    case "pool":
      return ["pool", String(sources.size)];
    case "one":
      return ["one", sources.address, String(sources.port)];
    default:
      return sources satisfies never;
  }
}

function contentWords(content: Content): readonly string[] {
  if ("file" in content) return ["file", content.file, String(content.count ?? 0)];
  const hex = Buffer.from(content.prefix ?? []).toString("hex");
  return ["junk", hex === "" ? "-" : hex, String(content.least), String(content.most)];
}
