/** One level of directory, in one line where it cannot be. */
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeDirectory } from "../../../src/daemon/process/make-directory.ts";

let parent = "";
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "iptun-make-"));
});
afterEach(() => rm(parent, { recursive: true }));

describe("a directory", () => {
  it("is made for its owner alone, and stays when it is asked for again", async () => {
    makeDirectory(join(parent, "a"));
    makeDirectory(join(parent, "a"));

    expect((await stat(join(parent, "a"))).mode & 0o777).toBe(0o700);
  });

  it("without its parent is refused with a line that names the parent", () => {
    expect(() => makeDirectory(join(parent, "a", "b"))).toThrow(
      `cannot make ${parent}/a/b: ${parent}/a does not exist or takes no directories`,
    );
  });

  it("that the kernel will not have is refused and not tried for ever", () => {
    expect(() => makeDirectory("/proc/iptun-x")).toThrow("/proc does not exist or takes no");
  });

  it("below a file is refused with what the kernel says", async () => {
    await writeFile(join(parent, "file"), "");

    expect(() => makeDirectory(join(parent, "file", "a"))).toThrow(/cannot make .*: ENOTDIR/);
  });
});
