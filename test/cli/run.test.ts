/**
 * `iptun run`: what the daemon is given, and what it ends with.
 */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import type { Config } from "../../src/config/config.ts";
import { ConfigFiles, configText } from "../config/config-files.ts";
import { KEY_A } from "../helpers/config-samples.ts";
import { FakeTerminal } from "./fake-terminal.ts";

const runDaemon = vi.hoisted(() => vi.fn<(config: Config) => Promise<number>>());
vi.mock("../../src/daemon/daemon.ts", () => ({ runDaemon }));

beforeEach(() => {
  runDaemon.mockReset();
});

describe("run", () => {
  it.each([[["run", "--config"]], [["run", "-c"]], [["--config"]], [["-c"]]])(
    "as %j hands the configuration to the daemon",
    async (words) => {
      runDaemon.mockResolvedValue(0);
      const file = new ConfigFiles().write("c.toml", configText());
      const terminal = new FakeTerminal();
      const code = await runCli([...words, file], terminal);
      expect(code).toBe(0);
      expect(terminal.stdout + terminal.stderr).toBe("");
      expect(runDaemon).toHaveBeenCalledOnce();
      const [config] = runDaemon.mock.calls[0] ?? [];
      expect(config?.file).toBe(file);
      expect(config?.peers[0]?.keys).toEqual([new Uint8Array(Buffer.from(KEY_A, "base64"))]);
    },
  );

  it.each([0, 1, 3, 4])("ends with the daemon's exit code %i", async (exitCode) => {
    runDaemon.mockResolvedValue(exitCode);
    const file = new ConfigFiles().write("c.toml", configText());
    expect(await runCli(["run", "-c", file], new FakeTerminal())).toBe(exitCode);
  });

  it("prints warnings before it starts", async () => {
    const terminal = new FakeTerminal();
    runDaemon.mockImplementation(() => {
      expect(terminal.stderr).toContain("iptun: warning: ");
      return Promise.resolve(0);
    });
    const file = new ConfigFiles().write("c.toml", `[[peer]]\nkey = "${KEY_A}"\n`);
    await runCli(["run", "-c", file], terminal);
    expect(terminal.stderr).toBe(
      `iptun: warning: ${file}: interface.address: none is given, so the device gets no address\n`,
    );
  });

  it("does not start with a wrong configuration", async () => {
    const file = new ConfigFiles().write("c.toml", configText({ device: "mtu = 1" }));
    expect(await runCli(["run", "-c", file], new FakeTerminal())).toBe(78);
    expect(runDaemon).not.toHaveBeenCalled();
  });

  it("says in one line what the daemon threw", async () => {
    runDaemon.mockRejectedValue(new Error("something\nwent wrong"));
    const terminal = new FakeTerminal();
    const file = new ConfigFiles().write("c.toml", configText());
    expect(await runCli(["run", "-c", file], terminal)).toBe(1);
    expect(terminal.stderr).toBe("iptun: something went wrong\n");
  });
});
