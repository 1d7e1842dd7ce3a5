/**
 * What the kernel says of a running process (man 5 proc): CPU time and resident memory.
 *
 * Counts all its threads. The trap: the second field of /proc/PID/stat is a name that may hold spaces
 * and brackets, so fields are counted from its last bracket.
 */
import { readdirSync, readFileSync } from "node:fs";

/** USER_HZ, which is 100 on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;

/** CPU seconds, user and system, of the process until now. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // Fields 14 and 15 of the page's numbering, which counts from 1 and has two before the slice.
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory, MiB. */
export function residentMiB(pid: number): number {
  return memoryMiB(pid, "VmRSS");
}

/** The most resident memory that the process ever had, MiB. */
export function peakMiB(pid: number): number {
  return memoryMiB(pid, "VmHWM");
}

function memoryMiB(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no memory of its own`);
  return Number(kilobytes) / 1024;
}

/** Fields of /proc/PID/task/TID/status, each with its value in every thread. */
export function threadFields(
  pid: number,
  names: readonly string[],
): Readonly<Record<string, readonly string[]>> {
  const tasks = `/proc/${pid}/task`;
  const texts = readdirSync(tasks).map((id) => readFileSync(`${tasks}/${id}/status`, "latin1"));
  const fieldOf = (text: string, name: string) =>
    new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(text)?.[1] ?? "absent";
  return Object.fromEntries(names.map((name) => [name, texts.map((text) => fieldOf(text, name))]));
}

/** Share of one CPU that the process used while `work` ran: 1 is a whole one. */
export async function cpuShare(pid: number, work: () => Promise<void>): Promise<number> {
  const [cpuBefore, before] = [cpuSeconds(pid), performance.now()];
  await work();
  return (cpuSeconds(pid) - cpuBefore) / ((performance.now() - before) / 1000);
}
