/** `iptun reload` and `iptun confirm`: what is asked of the daemon, what is printed, and the exit codes. */
import { createServer } from "node:http";
import { expect, it, onTestFinished, vi } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import type { ReloadAnswer } from "../../src/daemon/reload/reloader.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { FakeTerminal } from "./fake-terminal.ts";

/** Runs a command beside a daemon that answers so; what it was asked, and what the command said. */
async function run(args: readonly string[], answer: object, code = 200) {
  const files = new ConfigFiles();
  vi.stubEnv("RUNTIME_DIRECTORY", files.directory);
  onTestFinished(() => void vi.unstubAllEnvs());
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(code).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => {
    server.listen(`${files.directory}/iptun0.sock`, resolve);
  });
  onTestFinished(() => void server.close());
  const terminal = new FakeTerminal();
  const exitCode = await runCli([...args, "-i", "iptun0"], terminal);
  return { asked, exitCode, stdout: terminal.stdout, stderr: terminal.stderr };
}

const APPLIED: ReloadAnswer = {
  outcome: "applied",
  changes: ["peer b: allowed_ips + 10.8.0.0/24", "log: level info -> debug"],
  warnings: ["interface.mtu: 1500 makes fragments"],
  confirmSeconds: null,
};

it("a reload prints a line for each change, and warnings beside", async () => {
  expect(await run(["reload"], APPLIED)).toEqual({
    asked: ["POST /v1/reload"],
    exitCode: 0,
    stdout: "peer b: allowed_ips + 10.8.0.0/24\nlog: level info -> debug\n",
    stderr: "iptun: warning: interface.mtu: 1500 makes fragments\n",
  });
});

it("a reload that finds nothing changed says so", async () => {
  const { stdout } = await run(["reload"], { ...APPLIED, changes: [], warnings: [] });
  expect(stdout).toBe("nothing has changed\n");
});

it("a reload to be confirmed says until when", async () => {
  const answer = { ...APPLIED, changes: ["peer c: added"], warnings: [], confirmSeconds: 60 };
  const { asked, stdout } = await run(["reload", "--confirm", "60"], answer);
  expect(asked).toEqual(["POST /v1/reload?confirm=60"]);
  expect(stdout).toBe("peer c: added\ntaken back in 60 s unless 'iptun confirm' comes\n");
});

it("a reload that is refused says each reason, with exit code 1", async () => {
  const answer = { outcome: "refused", reasons: ["interface.name a -> b: needs a restart", "x"] };
  const done = await run(["reload"], answer);
  expect([done.exitCode, done.stderr, done.stdout]).toEqual([
    1,
    "iptun: not reloaded: interface.name a -> b: needs a restart\niptun: not reloaded: x\n",
    "",
  ]);
});

it("a bad file is told as check tells it, with exit code 78", async () => {
  const text = "/a.toml:3: interface.mtu: is 5\n/a.toml:4: log.level: is 7";
  const answer = { outcome: "bad-configuration", file: "/a.toml", problems: [], text };
  const done = await run(["reload"], answer);
  expect([done.exitCode, done.stderr]).toEqual([78, `${text}\n`]);
});

it("JSON is the daemon's answer as it came, with the same exit code", async () => {
  const answer = { outcome: "refused", reasons: ["x"] };
  const done = await run(["reload", "--json"], answer);
  expect([done.exitCode, JSON.parse(done.stdout), done.stderr]).toEqual([1, answer, ""]);
});

it("what the daemon could not do is one line", async () => {
  const done = await run(["reload"], { error: "'ip route add x' failed: File exists" }, 503);
  expect([done.exitCode, done.stderr]).toEqual([
    1,
    "iptun: the daemon answered 503: 'ip route add x' failed: File exists\n",
  ]);
});

it("a time that is no number is a usage error, and nobody is asked", async () => {
  const done = await run(["reload", "--confirm", "soon"], APPLIED);
  expect([done.exitCode, done.asked]).toEqual([2, []]);
  expect(done.stderr).toBe("iptun: --confirm: expected whole seconds, such as 60\n");
});

it("a confirmation says that it is done", async () => {
  const done = await run(["confirm"], { outcome: "confirmed" });
  expect([done.asked, done.stdout, done.exitCode]).toEqual([
    ["POST /v1/confirm"],
    "confirmed\n",
    0,
  ]);
});
