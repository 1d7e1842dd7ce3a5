/**
 * The node id's file: made once, kept, and done without where it cannot be.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadNodeId } from "../../../src/daemon/process/node-id.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "iptun-node-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("a node id", () => {
  it("is made on first use, readable by its owner alone", async () => {
    const state = join(directory, "state");

    const { id, warning } = await loadNodeId(state, "iptun0");

    expect([id.length, warning]).toEqual([16, undefined]);
    expect((await stat(join(state, "iptun0.id"))).mode & 0o777).toBe(0o600);
    expect((await stat(state)).mode & 0o777).toBe(0o700);
    expect(await readFile(join(state, "iptun0.id"), "utf8")).toBe(
      `${Buffer.from(id).toString("hex")}\n`,
    );
  });

  it("is the same at the next start", async () => {
    const first = await loadNodeId(directory, "iptun0");

    const second = await loadNodeId(directory, "iptun0");

    expect(second).toEqual(first);
  });

  it("is another for another interface", async () => {
    const first = await loadNodeId(directory, "iptun0");

    const second = await loadNodeId(directory, "iptun1");

    expect(second.id).not.toEqual(first.id);
  });

  it("is one for many that start at once", async () => {
    const ids = await Promise.all(
      Array.from({ length: 8 }, async () => (await loadNodeId(directory, "iptun0")).id.join()),
    );

    expect(new Set(ids).size).toBe(1);
  });

  it("leaves no draft behind", async () => {
    await loadNodeId(directory, "iptun0");

    expect(await readdir(directory)).toEqual(["iptun0.id"]);
  });
});

describe("a node id that cannot be kept", () => {
  it.each([
    ["is too short", "abcd\n"],
    ["is not hexadecimal", `${"z".repeat(32)}\n`],
    ["is empty", ""],
    ["has a second line", `${"a".repeat(32)}\n\n`],
  ])("because the file %s is random, with a warning, and the file stays", async (_name, text) => {
    await writeFile(join(directory, "iptun0.id"), text);

    const first = await loadNodeId(directory, "iptun0");
    const second = await loadNodeId(directory, "iptun0");

    expect(first.warning).toContain("iptun0.id does not hold 32 hexadecimal digits");
    expect(first.id).not.toEqual(second.id);
    expect(await readFile(join(directory, "iptun0.id"), "utf8")).toBe(text);
  });

  it("because it is a directory is random, with a warning", async () => {
    await mkdir(join(directory, "iptun0.id"));

    const { id, warning } = await loadNodeId(directory, "iptun0");

    expect(id.length).toBe(16);
    expect(warning).toContain("node id is not kept");
  });

  it.each([
    ["its parent is missing", "a/b", "/a does not exist or takes no directories"],
    [
      "the kernel takes none there",
      "/proc/iptun-x",
      "/proc does not exist or takes no directories",
    ],
  ])("because %s is random, with a warning", async (_name, state, words) => {
    const { warning } = await loadNodeId(resolve(directory, state), "iptun0");

    expect(warning).toContain(words);
  });

  it("because the state directory cannot be made is random, with a warning", async () => {
    await writeFile(join(directory, "file"), "");

    const { warning } = await loadNodeId(join(directory, "file"), "iptun0");

    expect(warning).toContain("ENOTDIR");
  });
});
