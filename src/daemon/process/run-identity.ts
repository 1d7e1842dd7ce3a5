/**
 * Which run of the program this is, so that a later one can tell whether it still lives.
 *
 * A process is its id and its start time (man 5 proc, field 22 of stat): ids are given out again. What a run
 * does to the network ends with the boot and belongs to a network namespace.
 */
import { readFileSync, readlinkSync } from "node:fs";

/** One process in one network namespace of one boot. */
export interface RunIdentity {
  /** /proc/sys/kernel/random/boot_id */
  readonly boot: string;
  /** As "net:[4026531840]". */
  readonly netns: string;
  readonly pid: number;
  /** Clock ticks from the boot to the start of the process. */
  readonly startTicks: number;
}

/** This process. */
export function ownIdentity(): RunIdentity {
  return {
    boot: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    netns: readlinkSync("/proc/self/ns/net"),
    pid: process.pid,
    startTicks: startTicks(process.pid) ?? 0,
  };
}

/** Whether the process of that run is there; a zombie is not. */
export function isAlive({ pid, startTicks: ticks }: RunIdentity): boolean {
  return startTicks(pid) === ticks;
}

/** undefined: no process of this id runs. */
function startTicks(pid: number): number | undefined {
  const stat = readStat(pid);
  // The second field is a name that may hold blanks and brackets; the third is the state.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const isRunning = fields.length > 19 && fields[0] !== "Z" && fields[0] !== "X";
  return isRunning ? Number(fields[19]) : undefined;
}

function readStat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return "";
  }
}
