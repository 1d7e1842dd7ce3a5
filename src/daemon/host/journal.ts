/**
 * The journal: what a run changes on the host beside its own device, so that the next run can undo it.
 *
 * One file an interface in the state directory, 0600. Each change is on the disk before it is made: written
 * to a file of another name, synced, renamed. A run that ends in order removes the file; one that was killed
 * leaves it. What is read is not trusted: it becomes commands that root runs, so only numbers of a known
 * form are taken from it, and only from a file that nobody else can write.
 */
import { lstatSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { exposureFault, processIdentity, readRegularFile } from "../../config/private-file.ts";
import { codeOf, DaemonError, messageOf } from "../failure.ts";
import { makeDirectory } from "../process/make-directory.ts";
import { isAlive, ownIdentity, type RunIdentity } from "../process/run-identity.ts";
import { writeDurably } from "../process/write-durably.ts";

/** Bytes of the largest journal; one has some 600. */
const MAX_BYTES = 16_384;
const VERSION = 1;

const whole = (most: number) => z.int().min(0).max(most);
const MAX_32 = 0xffff_ffff;

export const changeSchema = z.discriminatedUnion("kind", [
  /** The default route of a family: a route in the table `mark`, and two rules, at `priority` and before it. */
  z.strictObject({
    kind: z.literal("default-route"),
    family: z.literal([4, 6]),
    mark: whole(MAX_32).min(1),
    priority: whole(MAX_32).min(2),
  }),
  /** net.ipv4.conf.all.src_valid_mark, and what it was. */
  z.strictObject({ kind: z.literal("src-valid-mark"), before: z.literal("0") }),
  /** The interface's table of nftables. */
  z.strictObject({ kind: z.literal("firewall") }),
]);

const fileSchema = z.strictObject({
  version: z.literal(VERSION),
  interface: z.string(),
  boot: z.string(),
  netns: z.string(),
  pid: whole(MAX_32).min(1),
  startTicks: whole(Number.MAX_SAFE_INTEGER),
  changes: z.array(changeSchema).max(8),
});

/** One change, with what its undoing needs. */
export type HostChange = z.output<typeof changeSchema>;

/** What the journal's file tells. */
export type JournalState =
  | { readonly kind: "none" }
  /** Changes of a run that is dead. */
  | { readonly kind: "left"; readonly changes: readonly HostChange[] }
  /** Changes that went with their boot or stand in another network namespace. */
  | { readonly kind: "elsewhere"; readonly where: "boot" | "namespace" }
  | { readonly kind: "alive"; readonly pid: number }
  /** Of no use; the reason is a clause that follows the file's name. */
  | { readonly kind: "bad"; readonly reason: string; readonly isDenied: boolean };

/** The journal of one interface. */
export class Journal {
  readonly path: string;
  readonly #interface: string;
  readonly #own: RunIdentity;
  #changes: readonly HostChange[] = [];

  constructor(stateDir: string, interfaceName: string, own: RunIdentity = ownIdentity()) {
    this.path = join(stateDir, `${interfaceName}.journal`);
    this.#interface = interfaceName;
    this.#own = own;
  }

  /** What this run has made and not undone, in the order it was made. */
  get changes(): readonly HostChange[] {
    return this.#changes;
  }

  /** Looks at what an earlier run has left. */
  read(): JournalState {
    if (!isThere(this.path)) return { kind: "none" };
    const content = readRegularFile(this.path, MAX_BYTES, true);
    if ("fault" in content) {
      return bad(content.fault, content.fault.includes("permission denied"));
    }
    const fault = exposureFault(content.stats, processIdentity());
    return fault === undefined ? this.#parse(content.bytes.toString("utf8")) : bad(fault);
  }

  /** Puts a change on the disk; it may be made when this has returned. Throws a DaemonError where it cannot. */
  async record(change: HostChange): Promise<void> {
    this.#changes = [...this.#changes, change];
    await this.#write();
  }

  /** Takes over what an earlier run has left and could not be undone. */
  async keep(changes: readonly HostChange[]): Promise<void> {
    this.#changes = changes;
    if (changes.length > 0) await this.#write();
    else await this.#remove();
  }

  #parse(text: string): JournalState {
    const parsed = fileSchema.safeParse(parseJson(text));
    if (!parsed.success) return bad("does not hold what iptun has written");
    const { interface: name, changes, ...run } = parsed.data;
    if (name !== this.#interface) return bad("is that of another interface");
    const { boot, netns } = this.#own;
    if (run.boot !== boot) return { kind: "elsewhere", where: "boot" };
    if (isAlive(run)) return { kind: "alive", pid: run.pid };
    if (run.netns !== netns) return { kind: "elsewhere", where: "namespace" };
    return { kind: "left", changes };
  }

  async #write(): Promise<void> {
    const changes = this.#changes;
    const content = { version: VERSION, interface: this.#interface, ...this.#own, changes };
    const draft = `${this.path}.new`;
    try {
      makeDirectory(dirname(this.path));
      await rm(draft, { force: true });
      await writeDurably(draft, `${JSON.stringify(content)}\n`);
      await rename(draft, this.path);
      await syncDirectory(dirname(this.path));
    } catch (cause) {
      const why = "without it a killed run would leave its rules behind";
      const remedy =
        "make interface.state_dir a directory that can be written, or set routes = false";
      throw new DaemonError(
        `cannot write ${this.path}: ${messageOf(cause)}; ${why}: ${remedy}`,
        1,
        {
          cause,
        },
      );
    }
  }

  async #remove(): Promise<void> {
    await rm(this.path, { force: true });
    await syncDirectory(dirname(this.path)).catch((error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
    });
  }
}

function bad(reason: string, isDenied = false): JournalState {
  return { kind: "bad", reason, isDenied };
}

function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    // Reading it says what else is wrong.
    return !["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "");
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A rename is on the disk when its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
