/**
 * Which problems of the doctor are provoked by which file, and the record of those that were.
 *
 * The table is typed by the problems, so a new one does not compile without a place; each file ends with a test that
 * it has provoked all of its own.
 */
import { expect } from "vitest";
import type { Diagnosis } from "../../scripts/netns/daemon.ts";
import type { PROBLEMS } from "../../src/daemon/doctor/finding.ts";

/** The two drops that a kernel decides are provoked here too; test/daemon/doctor-drops.test.ts has the others. */
type Provoked = keyof typeof PROBLEMS | "drop-udp_send" | "drop-tun_write";

/** "host": nothing runs; "tunnel": it does. */
const PLACES: Readonly<Record<Provoked, "host" | "tunnel">> = {
  "config-problem": "host",
  "config-warning": "host",
  "host-warning": "tunnel",
  "kernel-old": "host",
  "no-capability": "host",
  "tun-missing": "host",
  "tun-denied": "host",
  "name-taken": "host",
  "offload-missing": "host",
  "offload-off": "tunnel",
  "cipher-slow": "tunnel",
  "buffers-small": "host",
  "clock-behind": "host",
  "clock-unsynced": "host",
  "name-fails": "host",
  "name-slow": "host",
  "no-route": "host",
  "route-loop": "tunnel",
  "route-elsewhere": "tunnel",
  "filter-strict": "host",
  "filter-drops": "tunnel",
  "not-forwarding": "host",
  "forwarding-off": "host",
  "link-mtu-small": "host",
  "path-mtu-low": "tunnel",
  "firewall-in": "host",
  "firewall-new": "host",
  "firewall-out": "host",
  "firewall-inner": "host",
  "firewall-forward": "host",
  "firewall-failed": "tunnel",
  "not-running": "host",
  "link-down": "tunnel",
  "address-lost": "tunnel",
  stranger: "tunnel",
  "limited-source": "tunnel",
  "refused-destination": "tunnel",
  "send-denied": "tunnel",
  "send-unreachable": "tunnel",
  unresolved: "tunnel",
  unanswered: "tunnel",
  awaited: "tunnel",
  silent: "tunnel",
  "one-way": "tunnel",
  "refused-source": "tunnel",
  "claims-refused": "tunnel",
  "keepalive-behind-nat": "host",
  loss: "tunnel",
  "slow-path": "tunnel",
  "drop-udp_send": "tunnel",
  "drop-tun_write": "tunnel",
};

/** What one file has provoked and found. */
export class Provocations {
  readonly #place: "host" | "tunnel";
  readonly #seen = new Set<string>();

  constructor(place: "host" | "tunnel") {
    this.#place = place;
  }

  /** Expects the problem among the findings, with this sentence and a remedy. */
  expect({ code, findings }: Diagnosis, id: Provoked, sentence: RegExp): void {
    const texts = findings.filter((one) => one.id === id).map(({ text }) => text);
    const shown = JSON.stringify(findings, undefined, 1);
    expect(texts.join("\n"), `${id} in ${shown}`).toMatch(sentence);
    const found = findings.find((one) => one.id === id);
    expect(found?.remedy, id).toMatch(/^\S.{10,}/);
    const isBad = findings.some(({ level }) => level === "fault" || level === "warning");
    expect(code, id).toBe(isBad ? 1 : 0);
    this.#seen.add(id);
  }

  /** Expects that every problem of this file was found. */
  expectAll(): void {
    const own = Object.entries(PLACES).filter(([, place]) => place === this.#place);
    expect([...this.#seen].toSorted()).toEqual(own.map(([id]) => id).toSorted());
  }
}

/** Expects none of the problems. */
export function expectNone({ findings }: Diagnosis, ...ids: readonly Provoked[]): void {
  expect(findings.filter(({ id }) => ids.includes(id as Provoked))).toEqual([]);
}

/** A program that finds `file` in the place of `path`; a mount that nobody else sees. */
export function hiding(path: string, file: string): readonly string[] {
  const bind = 'mount --bind "$2" "$1" && shift 2 && exec "$@"';
  return ["unshare", "--mount", "sh", "-c", bind, "sh", path, file];
}

/** A program without CAP_NET_ADMIN. */
export const WITHOUT_NET_ADMIN = [
  ...["setpriv", "--ambient-caps", "-all", "--inh-caps", "-all", "--bounding-set", "-net_admin"],
] as const;
