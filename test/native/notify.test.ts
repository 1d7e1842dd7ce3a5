/**
 * Datagrams to a service manager's socket, by path and by abstract name, with descriptors and without a reader.
 */
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Child } from "../../scripts/netns/process.ts";
import { buildNotifyReceiver } from "../helpers/notify-receiver.ts";
import { testNative } from "./native.ts";

const native = testNative();
const directory = mkdtempSync(join(tmpdir(), "iptun-notify-"));
const encoder = new TextEncoder();
let program: string;
let receiver: Child | undefined;

beforeAll(() => {
  program = buildNotifyReceiver(directory);
});
afterEach(async () => {
  await receiver?.stop("SIGKILL");
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("notify", () => {
  it.each([
    ["a path", join(directory, "socket")],
    ["an abstract name", `@iptun-notify-${process.pid}`],
  ])("sends its text to %s", async (_what, path) => {
    const { waitForOutput } = await listen(path);

    expect(send(path, "STATUS=2 of 3 peers up\nREADY=1")).toBe("0");

    await waitForOutput(/^STATUS=2 of 3 peers up\|READY=1$/m);
  });

  it("sends descriptors along", async () => {
    const path = join(directory, "keeper");
    const { waitForOutput } = await listen(path);
    const file = join(directory, "kept");
    writeFileSync(file, "what it holds");
    const fd = openSync(file, "r");

    expect(send(path, "FDSTORE=1", [fd, 1])).toBe("0");
    native.close(fd);

    await waitForOutput(/^FDSTORE=1 \[2: what it holds\]$/m);
  });

  it("never waits for a manager that does not read", async () => {
    const path = join(directory, "deaf");
    await listen(path, "deaf");
    const answers = Array.from({ length: 2_000 }, () => send(path, "WATCHDOG=1"));

    expect(answers[0]).toBe("0");
    expect(answers.at(-1)).toBe("EAGAIN");
  });

  it.each([
    ["nobody listens", join(directory, "nobody"), "READY=1", [], "ENOENT"],
    ["the path is relative", "socket", "READY=1", [], "EINVAL"],
    ["the path is empty", "", "READY=1", [], "EINVAL"],
    ["the path is longer than 107 bytes", `/${"x".repeat(107)}`, "READY=1", [], "EINVAL"],
    ["there is no text", "/tmp", "", [], "EINVAL"],
    ["a descriptor is none", "@iptun-nobody", "FDSTORE=1", [9_999], "EBADF"],
    [
      "there are too many descriptors",
      "/tmp",
      "FDSTORE=1",
      Array.from({ length: 65 }, () => 1),
      "EINVAL",
    ],
  ])("says so where %s", (_what, path, text, descriptors, expected) => {
    expect(send(path, text, descriptors)).toBe(expected);
  });
});

function send(path: string, text: string, descriptors: readonly number[] = []): string {
  const args = [encoder.encode(path), encoder.encode(text), Int32Array.from(descriptors)] as const;
  const status = native.notify(...args);
  return status === 0 ? "0" : native.errnoName(status);
}

async function listen(path: string, ...mode: readonly "deaf"[]) {
  const child = new Child([program, path, ...mode], { env: { LD_PRELOAD: "" } });
  receiver = child;
  await child.waitForOutput(/^ready$/m);
  return { waitForOutput: (pattern: RegExp) => child.waitForOutput(pattern) };
}
