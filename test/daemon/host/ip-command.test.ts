/**
 * Batches of `ip`: what is written to it and what becomes of its complaints. The last group runs real
 * programs, to hold the process runner to what the others assume.
 */
import { describe, expect, it } from "vitest";
import { DaemonError } from "../../../src/daemon/failure.ts";
import {
  type ProcessResult,
  type RunProcess,
  readIp,
  runIpBatch,
  runIpBatchForced,
  runProcess,
} from "../../../src/daemon/host/ip-command.ts";

const COMMANDS = [
  ["addr", "add", "10.0.0.1/24", "dev", "iptun0"],
  ["route", "add", "10.9.0.0/16", "dev", "iptun0"],
];

describe("a batch", () => {
  it("is one process with a line a command", async () => {
    const ip = fakeIp();

    await runIpBatch(COMMANDS, ip.run);

    expect(ip.calls).toEqual([
      {
        file: "ip",
        args: ["-batch", "-"],
        input: "addr add 10.0.0.1/24 dev iptun0\nroute add 10.9.0.0/16 dev iptun0\n",
      },
    ]);
  });

  it("without commands starts nothing", async () => {
    const ip = fakeIp();

    await runIpBatch([], ip.run);
    await runIpBatchForced([], ip.run);

    expect(ip.calls).toEqual([]);
  });

  it.each(["iptun0; reboot", "two words", "line\nbreak", "$(id)", "quo'te", ""])(
    "refuses the word %j, which could become another command",
    async (word) => {
      const ip = fakeIp();

      await expect(runIpBatch([["link", "set", word]], ip.run)).rejects.toThrow("not an argument");

      expect(ip.calls).toEqual([]);
    },
  );

  it("that fails names the command of the failing line and what ip said", async () => {
    const ip = fakeIp({
      exitCode: 1,
      stderr: "RTNETLINK answers: File exists\nCommand failed -:2\n",
    });

    await expect(runIpBatch(COMMANDS, ip.run)).rejects.toMatchObject({
      message:
        "'ip route add 10.9.0.0/16 dev iptun0' failed: File exists (another device has this route: change allowed_ips, or set routes = false)",
      exitCode: 1,
    });
  });

  it("of one family says so", async () => {
    const ip = fakeIp();

    await runIpBatch(COMMANDS, ip.run, ["-6"]);
    await runIpBatchForced(COMMANDS, ip.run, ["-6"]);

    expect(ip.calls.map(({ args }) => args.join(" "))).toEqual([
      "-6 -batch -",
      "-6 -force -batch -",
    ]);
  });

  it("whose rule is not understood advises a newer ip", async () => {
    const stderr = 'Error: argument "x" is wrong: Failed to parse rule type\nCommand failed -:1\n';
    const ip = fakeIp({ exitCode: 255, stderr });

    await expect(runIpBatch([["rule", "add", "x"]], ip.run)).rejects.toThrow(
      `'ip rule add x' failed: argument "x" is wrong: Failed to parse rule type (this ip is too old: install a newer iproute2, or set routes = false)`,
    );
  });

  it("that fails for an address that is there has no advice about routes", async () => {
    const ip = fakeIp({ exitCode: 1, stderr: "Error: File exists\nCommand failed -:1\n" });

    await expect(runIpBatch(COMMANDS, ip.run)).rejects.toMatchObject({
      message: "'ip addr add 10.0.0.1/24 dev iptun0' failed: File exists",
    });
  });

  it("that may not change the network ends with the permission's exit code", async () => {
    const ip = fakeIp({
      exitCode: 1,
      stderr: "RTNETLINK answers: Operation not permitted\nCommand failed -:1\n",
    });

    await expect(runIpBatch(COMMANDS, ip.run)).rejects.toMatchObject({ exitCode: 4 });
  });

  it("that fails silently names the exit code", async () => {
    const ip = fakeIp({ exitCode: 255 });

    await expect(runIpBatch(COMMANDS, ip.run)).rejects.toThrow("exit code 255");
  });

  it("says what to install where there is no ip", async () => {
    const ip = fakeIp({ exitCode: undefined, startError: "spawn ip ENOENT" });

    await expect(runIpBatch(COMMANDS, ip.run)).rejects.toThrow(
      "cannot run ip: spawn ip ENOENT (install iproute2)",
    );
  });

  it("that was killed says so", async () => {
    const ip = fakeIp({ exitCode: undefined });

    await expect(runIpBatch(COMMANDS, ip.run)).rejects.toThrow("cannot run ip: it was killed");
  });
});

describe("a forced batch", () => {
  it("runs all commands and returns the complaints", async () => {
    const ip = fakeIp({
      exitCode: 1,
      stderr:
        'RTNETLINK answers: No such process\nCommand failed -:1\nCannot find device "x"\nCommand failed -:2\n',
    });

    const complaints = await runIpBatchForced(COMMANDS, ip.run);

    expect(ip.calls[0]?.args).toEqual(["-force", "-batch", "-"]);
    expect(complaints).toEqual(["No such process", 'Cannot find device "x"']);
  });

  it("that cannot start is a complaint, not an exception", async () => {
    const ip = fakeIp({ exitCode: undefined, startError: "spawn ip ENOENT" });

    expect(await runIpBatchForced(COMMANDS, ip.run)).toEqual(["spawn ip ENOENT"]);
  });
});

describe("reading", () => {
  it("gives the output", async () => {
    const ip = fakeIp({ stdout: "[]" });

    expect(await readIp(["-j", "addr"], ip.run)).toBe("[]");
  });

  it("gives nothing where the command fails, as for a device that does not exist", async () => {
    const ip = fakeIp({ exitCode: 1, stderr: 'Device "iptun0" does not exist.\n' });

    expect(await readIp(["-j", "addr", "show", "dev", "iptun0"], ip.run)).toBeUndefined();
  });

  it("fails where ip cannot be run", async () => {
    const ip = fakeIp({ exitCode: undefined, startError: "spawn ip EACCES" });

    await expect(readIp(["-j", "addr"], ip.run)).rejects.toThrow(DaemonError);
  });
});

describe("a process", () => {
  it("gets its input and no environment but a path and the C locale", async () => {
    const result = await runProcess(
      "sh",
      ["-c", "cat; env | grep -v -e PWD -e SHLVL -e '^_='"],
      "in\n",
    );

    expect(result).toMatchObject({ exitCode: 0, startError: undefined, stderr: "" });
    expect(result.stdout).toMatch(/^in\n/);
    expect(
      result.stdout
        .split("\n")
        .map((line) => line.split("=")[0])
        .sort(),
    ).toEqual(["", "LC_ALL", "PATH", "in"]);
  });

  it("that fails gives its exit code and what it said", async () => {
    const result = await runProcess("sh", ["-c", "echo no >&2; exit 3"], "");

    expect(result).toEqual({ exitCode: 3, stdout: "", stderr: "no\n", startError: undefined });
  });

  it("that does not exist gives the reason", async () => {
    const result = await runProcess("/nonexistent/ip", [], "x");

    expect(result.exitCode).toBeUndefined();
    expect(result.startError).toContain("ENOENT");
  });

  it("that ends before it read its input is no failure of ours", async () => {
    const result = await runProcess("true", [], "x".repeat(1_000_000));

    expect(result.exitCode).toBe(0);
  });
});

function fakeIp(result: Partial<ProcessResult> = {}) {
  const calls: { file: string; args: readonly string[]; input: string }[] = [];
  const run: RunProcess = async (file, args, input) => {
    calls.push({ file, args, input });
    return { exitCode: 0, stdout: "", stderr: "", startError: undefined, ...result };
  };
  return { calls, run };
}
