/**
 * `iptun status` where the runtime directory is closed to this user.
 *
 * The file system is replaced, because nothing is closed to root, whom tests may run as.
 */
import { expect, it, vi } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import { FakeTerminal, systemError } from "./fake-terminal.ts";

vi.mock("node:fs/promises", async (original) => ({
  ...(await original<typeof import("node:fs/promises")>()),
  readdir: () => Promise.reject(systemError("EACCES")),
}));

it("names the directory and the capability, and exits with 4", async () => {
  vi.stubEnv("RUNTIME_DIRECTORY", "/run/iptun-test");
  const terminal = new FakeTerminal();
  const code = await runCli(["status"], terminal);
  vi.unstubAllEnvs();
  expect(code).toBe(4);
  expect(terminal.stderr).toBe(
    "iptun: no permission to read /run/iptun-test: ask as the daemon's user (or needs CAP_DAC_OVERRIDE)\n",
  );
});
