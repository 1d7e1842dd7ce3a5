/**
 * The journal's file: what is written, when, and every state in which the next run may find it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type HostChange, Journal } from "../../../src/daemon/host/journal.ts";
import {
  isAlive,
  ownIdentity,
  type RunIdentity,
} from "../../../src/daemon/process/run-identity.ts";

const ROUTE: HostChange = { kind: "default-route", family: 6, mark: 12_288, priority: 32_765 };
const SWITCH: HostChange = { kind: "src-valid-mark", before: "0" };
const FIREWALL: HostChange = { kind: "firewall" };
/** A run of this boot and namespace whose process is gone: this one started at another time. */
const DEAD: RunIdentity = { ...ownIdentity(), startTicks: 1 };

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iptun-journal-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("a journal", () => {
  it("holds each change on the disk when its recording has ended, readable by its owner alone", async () => {
    const state = join(directory, "state");
    const journal = new Journal(state, "iptun0", DEAD);
    for (const [at, change] of [FIREWALL, SWITCH, ROUTE].entries()) {
      await journal.record(change);

      expect(readerOf(state).read()).toEqual({
        kind: "left",
        changes: [FIREWALL, SWITCH, ROUTE].slice(0, at + 1),
      });
    }
    expect(journal.path).toBe(join(state, "iptun0.journal"));
    expect((await stat(journal.path)).mode & 0o777).toBe(0o600);
    expect((await stat(state)).mode & 0o777).toBe(0o700);
    expect(await readdir(state)).toEqual(["iptun0.journal"]);
  });

  it("is gone when nothing is left", async () => {
    const journal = new Journal(directory, "iptun0", DEAD);
    await journal.record(ROUTE);
    await journal.keep([]);

    expect(await readdir(directory)).toEqual([]);
    expect([journal.changes, readerOf().read()]).toEqual([[], { kind: "none" }]);
  });

  it("keeps what could not be undone", async () => {
    const journal = new Journal(directory, "iptun0", DEAD);
    await journal.record(ROUTE);
    await journal.record(FIREWALL);
    await journal.keep([FIREWALL]);

    expect(readerOf().read()).toEqual({ kind: "left", changes: [FIREWALL] });
  });

  it("replaces the draft that a killed run has left", async () => {
    await writeFile(join(directory, "iptun0.journal.new"), "half of", { mode: 0o600 });
    await new Journal(directory, "iptun0", DEAD).record(ROUTE);

    expect(readerOf().read()).toMatchObject({ kind: "left" });
    expect(await readdir(directory)).toEqual(["iptun0.journal"]);
  });

  it("that cannot be written says so with a remedy, and that it is needed", async () => {
    const journal = new Journal(join(directory, "no", "such"), "iptun0", DEAD);

    await expect(journal.record(ROUTE)).rejects.toMatchObject({
      name: "DaemonError",
      message: `cannot write ${journal.path}: cannot make ${directory}/no/such: ${directory}/no does not exist or takes no directories; without it a killed run would leave its rules behind: make interface.state_dir a directory that can be written, or set routes = false`,
    });
  });

  it("that cannot replace what has its name says so too", async () => {
    mkdirSync(join(directory, "iptun0.journal"));

    const journal = new Journal(directory, "iptun0", DEAD);

    await expect(journal.record(ROUTE)).rejects.toThrow("cannot write");
  });
});

describe("what is found", () => {
  it("is nothing where there is none, or no directory", async () => {
    await writeFile(join(directory, "file"), "");
    for (const place of [directory, join(directory, "no"), join(directory, "file")]) {
      expect(readerOf(place).read()).toEqual({ kind: "none" });
    }
  });

  it("of another boot went with it", async () => {
    await write({ boot: "00000000-0000-0000-0000-000000000000" });
    expect(readerOf().read()).toEqual({ kind: "elsewhere", where: "boot" });
  });

  it("of another network namespace is there", async () => {
    await write({ netns: "net:[1]" });
    expect(readerOf().read()).toEqual({ kind: "elsewhere", where: "namespace" });
  });

  it("of a run that lives is its own, in whatever namespace", async () => {
    await write({ startTicks: ownIdentity().startTicks });
    expect(readerOf().read()).toEqual({ kind: "alive", pid: process.pid });
    await write({ startTicks: ownIdentity().startTicks, netns: "net:[1]" });
    expect(readerOf().read()).toEqual({ kind: "alive", pid: process.pid });
  });

  it("of another interface is not taken for this one's", async () => {
    await write({ interface: "iptun1" });
    expect(readerOf().read()).toEqual(bad("is that of another interface"));
  });

  it.each([
    ["another form", { version: 2 }],
    ["a field too many", { more: 1 }],
    ["no list", { changes: "none" }],
    ["a change that is none", { changes: [{ kind: "reboot" }] }],
    ["a word for a number", { changes: [{ ...ROUTE, mark: "1; reboot" }] }],
    ["no mark", { changes: [{ ...ROUTE, mark: 0 }] }],
    ["another family", { changes: [{ ...ROUTE, family: 5 }] }],
    ["a priority that leaves no room", { changes: [{ ...ROUTE, priority: 1 }] }],
    ["a priority of more than 32 bits", { changes: [{ ...ROUTE, priority: 2 ** 32 }] }],
    ["another value to put back", { changes: [{ ...SWITCH, before: "2" }] }],
    ["a field of its own", { changes: [{ ...FIREWALL, table: "inet filter" }] }],
    ["very many changes", { changes: Array.from({ length: 9 }, () => FIREWALL) }],
    ["a pid of a group", { pid: -1 }],
  ])("with %s is of no use", async (_, changes) => {
    await write(changes);
    expect(readerOf().read()).toEqual(bad("does not hold what iptun has written"));
  });

  it("cut short at any byte is of no use", async () => {
    await write({});
    const text = await readFile(pathOf(), "utf8");
    for (let length = 0; length < text.trimEnd().length; length++) {
      await writeFile(pathOf(), text.slice(0, length));
      expect(readerOf().read(), `${length} bytes`).toMatchObject({ kind: "bad" });
    }
  });

  it("that is very long is not read", async () => {
    await writeFile(pathOf(), " ".repeat(20_000), { mode: 0o600 });
    expect(readerOf().read()).toEqual(bad("is longer than 16384 bytes"));
  });

  it.each([0o644, 0o620, 0o602])(
    "that others could read or write (%o) is of no use",
    async (mode) => {
      await write({});
      chmodSync(pathOf(), mode);
      expect(readerOf().read()).toMatchObject({ kind: "bad", isDenied: false });
    },
  );

  it("that is a link, or a directory, is of no use", async () => {
    await write({});
    symlinkSync(pathOf(), join(directory, "iptun1.journal"));
    mkdirSync(join(directory, "iptun2.journal"));

    expect(new Journal(directory, "iptun1").read()).toMatchObject({ kind: "bad" });
    expect(new Journal(directory, "iptun2").read()).toMatchObject({ kind: "bad" });
  });

  it.runIf(process.getuid?.() === 0)("of another user is of no use", async () => {
    await write({});
    chownSync(pathOf(), 12_345, 0);
    expect(readerOf().read()).toMatchObject({ kind: "bad" });
  });

  it.runIf(process.getuid?.() === 0)("where one may not look is told apart", async () => {
    await write({});
    chmodSync(directory, 0o700);
    process.seteuid?.(12_345);
    const state = readerOf().read();
    process.seteuid?.(0);

    expect(state).toMatchObject({ kind: "bad", isDenied: true });
  });
});

describe("a run", () => {
  it("lives while its process does; another with its id is another", () => {
    expect(isAlive(ownIdentity())).toBe(true);
    expect(isAlive(DEAD)).toBe(false);
    expect(isAlive({ ...DEAD, pid: 2 ** 31 })).toBe(false);
  });

  it("that nobody has waited for is dead", async () => {
    // The shell's child ends; what takes the shell's place never waits for it.
    const shell = spawn("sh", ["-c", "sleep 0.5 & echo $!; exec sleep 10"]);
    const [line] = (await once(shell.stdout, "data")) as [Buffer];
    const pid = Number(line.toString());
    const startTicks = Number((await readFile(`/proc/${pid}/stat`, "latin1")).split(" ")[21]);
    const run = { ...DEAD, pid, startTicks };
    await vi.waitFor(() => expect(isAlive(run)).toBe(false), 5_000);

    expect(await readFile(`/proc/${pid}/stat`, "latin1")).toContain(") Z ");
    shell.kill("SIGKILL");
  });
});

/** A journal with one change of a dead run, changed as given. */
async function write(changes: Readonly<Record<string, unknown>>): Promise<void> {
  const file = { version: 1, interface: "iptun0", ...DEAD, changes: [ROUTE], ...changes };
  await writeFile(pathOf(), `${JSON.stringify(file)}\n`, { mode: 0o600 });
}

function pathOf(): string {
  return join(directory, "iptun0.journal");
}

/** The journal as the next run opens it. */
function readerOf(stateDir = directory): Journal {
  return new Journal(stateDir, "iptun0");
}

function bad(reason: string) {
  return { kind: "bad", reason, isDenied: false };
}
