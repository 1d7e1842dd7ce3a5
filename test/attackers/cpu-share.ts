/**
 * Gives a process a share of one processor, by a control group of its own: as if the machine were a smaller one.
 *
 * Both versions of control groups (man 7 cgroups); it needs root. The period is short, so that what stands still within
 * it is less than a socket's buffer holds.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../scripts/netns/process.ts";

const ROOTS = { v2: "/sys/fs/cgroup", v1: "/sys/fs/cgroup/cpu" } as const;
const PERIOD_MICROS = 5_000;

/** A share that is in force until it is ended. */
export class CpuShare {
  readonly #folder: string;
  readonly #root: string;

  /** `share`: 1 is a whole processor. Takes all threads of the process. */
  constructor(pid: number, share: number) {
    const isV2 = existsSync(join(ROOTS.v2, "cgroup.controllers"));
    this.#root = isV2 ? ROOTS.v2 : ROOTS.v1;
    this.#folder = join(this.#root, `iptun-${process.pid}-${pid}`);
    mkdirSync(this.#folder);
    const quota = String(Math.round(share * PERIOD_MICROS));
    if (isV2) this.#write("cpu.max", `${quota} ${PERIOD_MICROS}`);
    else {
      this.#write("cpu.cfs_period_us", String(PERIOD_MICROS));
      this.#write("cpu.cfs_quota_us", quota);
    }
    this.#write("cgroup.procs", String(pid));
  }

  /** Gives it back all there is; the process may have ended. */
  async end(pid: number): Promise<void> {
    if (readdirSync("/proc").includes(String(pid)))
      writeFileSync(join(this.#root, "cgroup.procs"), String(pid));
    await until("the end of a control group", 5_000, () => {
      try {
        rmdirSync(this.#folder);
        return true;
      } catch {
        return undefined;
      }
    });
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text);
  }
}
