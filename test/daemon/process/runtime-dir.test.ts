/**
 * Where the control socket lives, and that its directory is safe.
 */
import { chmod, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  controlSocketPath,
  prepareRuntimeDir,
  runtimeDir,
} from "../../../src/daemon/process/runtime-dir.ts";

const ME = process.getuid?.() ?? 0;

describe("the runtime directory", () => {
  it.each([
    [
      "systemd's",
      { RUNTIME_DIRECTORY: "/run/iptun-a", XDG_RUNTIME_DIR: "/run/user/0" },
      0,
      "/run/iptun-a",
    ],
    ["the first of systemd's", { RUNTIME_DIRECTORY: "/run/a:/run/b" }, 1000, "/run/a"],
    ["root's", { XDG_RUNTIME_DIR: "/run/user/0" }, 0, "/run/iptun"],
    ["root's where systemd's is empty", { RUNTIME_DIRECTORY: "" }, 0, "/run/iptun"],
    ["a user's", { XDG_RUNTIME_DIR: "/run/user/1000" }, 1000, "/run/user/1000/iptun"],
  ])("is %s", (_name, env, uid, expected) => {
    expect(runtimeDir({ env, uid })).toBe(expected);
  });

  it.each([{}, { XDG_RUNTIME_DIR: "" }])(
    "of a user without one is an error that says what to set",
    (env) => {
      expect(() => runtimeDir({ env, uid: 1000 })).toThrow("RUNTIME_DIRECTORY or XDG_RUNTIME_DIR");
    },
  );
});

describe("the control socket's path", () => {
  it("names the interface", () => {
    expect(controlSocketPath("iptun0", { env: {}, uid: 0 })).toBe("/run/iptun/iptun0.sock");
  });

  it("that a socket cannot have is an error", () => {
    const env = { RUNTIME_DIRECTORY: `/run/${"x".repeat(100)}` };

    expect(() => controlSocketPath("iptun0", { env, uid: 0 })).toThrow("longer than 107 bytes");
  });
});

describe("preparing the directory", () => {
  let parent = "";
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), "iptun-runtime-"));
  });
  afterEach(() => rm(parent, { recursive: true }));

  it("makes it for its owner alone", async () => {
    prepareRuntimeDir(join(parent, "iptun"), ME);

    expect((await stat(join(parent, "iptun"))).mode & 0o777).toBe(0o700);
  });

  it("takes one that is there and only its owner can write to", async () => {
    await chmod(parent, 0o755);

    expect(() => prepareRuntimeDir(parent, ME)).not.toThrow();
  });

  it("refuses one that others can write to", async () => {
    await chmod(parent, 0o777);

    expect(() => prepareRuntimeDir(parent, ME)).toThrow("no other can write to");
  });

  it("refuses one of another user", () => {
    expect(() => prepareRuntimeDir(parent, ME + 1)).toThrow("of this user");
  });

  it("refuses a link, which may lead anywhere", async () => {
    await symlink(parent, join(parent, "link"));

    expect(() => prepareRuntimeDir(join(parent, "link"), ME)).toThrow("must be a directory");
  });

  it("does not try for ever where the kernel takes no directory", () => {
    expect(() => prepareRuntimeDir("/proc/iptun-x", ME)).toThrow(
      "cannot make /proc/iptun-x: /proc",
    );
  });

  it("says what is in the way", async () => {
    await writeFile(join(parent, "file"), "");

    expect(() => prepareRuntimeDir(join(parent, "file", "iptun"), ME)).toThrow("cannot make");
  });
});
