/**
 * What the doctor can find: every problem by its name, where it stands in the report and how bad it is.
 *
 * The names are stable, so that scripts can look for one. A problem is told by a sentence with its cause and one with
 * its remedy; what is in order and what could not be looked at are findings too, so that silence means nothing.
 * The trap: a text may quote what another host or program said, so it is made printable where it is printed.
 */
import type { DropReason } from "../../core/drop-reason.ts";

/** In the order of the report. */
export const SECTIONS = [
  "configuration",
  "kernel",
  "permissions",
  "device",
  "offloads",
  "buffers",
  "clock",
  "names",
  "routing",
  "mtu",
  "firewall",
  "tunnel",
  "peers",
  "drops",
] as const;

export type Section = (typeof SECTIONS)[number];

/** "fault": it cannot work so; "warning": something is lost; "note": worth knowing. */
export type Level = "fault" | "warning" | "note" | "ok";

type ProblemLevel = Exclude<Level, "ok">;

/** Every problem but the drops, which drop-advice.ts has by their reasons. */
export const PROBLEMS = {
  "config-problem": ["configuration", "fault"],
  "config-warning": ["configuration", "note"],
  "host-warning": ["configuration", "warning"],
  "kernel-old": ["kernel", "warning"],
  "no-capability": ["permissions", "fault"],
  "tun-missing": ["device", "fault"],
  "tun-denied": ["device", "fault"],
  "name-taken": ["device", "fault"],
  "offload-missing": ["offloads", "note"],
  "offload-off": ["offloads", "note"],
  "cipher-slow": ["offloads", "note"],
  "buffers-small": ["buffers", "warning"],
  "clock-behind": ["clock", "warning"],
  "clock-unsynced": ["clock", "note"],
  "name-fails": ["names", "fault"],
  "name-slow": ["names", "warning"],
  "no-route": ["routing", "fault"],
  "route-loop": ["routing", "fault"],
  "route-elsewhere": ["routing", "warning"],
  "filter-strict": ["routing", "note"],
  "filter-drops": ["routing", "warning"],
  "not-forwarding": ["routing", "warning"],
  "forwarding-off": ["routing", "note"],
  "link-mtu-small": ["mtu", "warning"],
  "path-mtu-low": ["mtu", "note"],
  "firewall-in": ["firewall", "fault"],
  "firewall-new": ["firewall", "note"],
  "firewall-out": ["firewall", "fault"],
  "firewall-inner": ["firewall", "warning"],
  "firewall-forward": ["firewall", "warning"],
  "firewall-failed": ["firewall", "warning"],
  "not-running": ["tunnel", "note"],
  "link-down": ["tunnel", "fault"],
  "address-lost": ["tunnel", "fault"],
  stranger: ["tunnel", "warning"],
  "limited-source": ["tunnel", "warning"],
  "refused-destination": ["tunnel", "warning"],
  "send-denied": ["tunnel", "warning"],
  "send-unreachable": ["tunnel", "warning"],
  unresolved: ["peers", "fault"],
  unanswered: ["peers", "fault"],
  awaited: ["peers", "note"],
  silent: ["peers", "warning"],
  "one-way": ["peers", "warning"],
  "refused-source": ["peers", "warning"],
  "claims-refused": ["peers", "warning"],
  "keepalive-behind-nat": ["peers", "warning"],
  loss: ["peers", "warning"],
  "slow-path": ["peers", "note"],
} as const satisfies Record<string, readonly [Section, ProblemLevel]>;

export type ProblemId = keyof typeof PROBLEMS | `drop-${DropReason}`;

export interface Finding {
  readonly section: Section;
  readonly level: Level;
  /** "ok": in order; "unseen": it could not be looked at. */
  readonly id: ProblemId | "ok" | "unseen";
  /** One line: what is the case, with its cause. */
  readonly text: string;
  /** One line: what to do; empty where there is nothing. */
  readonly remedy: string;
}

/** A problem that was found. */
export function problem(id: keyof typeof PROBLEMS, text: string, remedy: string): Finding {
  const [section, level] = PROBLEMS[id];
  return { section, level, id, text, remedy };
}

/** Something that is in order. */
export function fine(section: Section, text: string): Finding {
  return { section, level: "ok", id: "ok", text, remedy: "" };
}

/** Something that could not be looked at, and what would let it be. */
export function unseen(section: Section, text: string, remedy: string): Finding {
  return { section, level: "note", id: "unseen", text: `not looked at: ${text}`, remedy };
}

/** Whether a finding is worse than a note. */
export function isBad({ level }: Finding): boolean {
  return level === "fault" || level === "warning";
}
