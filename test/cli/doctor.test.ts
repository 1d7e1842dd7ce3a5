/**
 * `iptun doctor` as it prints, on a host that the test plays. What it finds on a real one is in test/netns.
 */
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type DoctorQuestion, doctor } from "../../src/cli/doctor.ts";
import { runCli } from "../../src/cli/program.ts";
import type { StatusDocument } from "../../src/daemon/control/status.ts";
import type { Instruments } from "../../src/daemon/doctor/gather.ts";
import { DaemonError, EXIT } from "../../src/daemon/failure.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { KEY_A } from "../helpers/config-samples.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { peerStatus, statusDocument } from "./status-fixture.ts";

/** Of a host that is well: CAP_NET_ADMIN is held, nothing is filtered. */
const FILES: Readonly<Record<string, string>> = {
  "/proc/self/status": "CapEff:\t000001ffffffffff\n",
  "/proc/sys/net/core/rmem_max": "212992\n",
  "/proc/sys/net/core/wmem_max": "212992\n",
  "/proc/sys/net/ipv4/ip_forward": "1\n",
  "/proc/sys/net/ipv6/conf/all/forwarding": "1\n",
  "/proc/net/netstat": "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 0 0\n",
};
const OUTPUTS: Readonly<Record<string, string>> = {
  nft: '{"nftables": []}',
  timedatectl: "yes\n",
};

describe("the report", () => {
  it("has a block for each section, the worst first, with marks and remedies", async () => {
    const { terminal, code } = await examine({ file: configFile(`endpoint = "a.example:1194"`) });

    expect(terminal.stdout).toBe(`configuration
  ok       FILE is right, and its keys are private
kernel
  ok       Linux 6.1.0-13-amd64
permissions
  ok       CAP_NET_ADMIN is held
device
  ok       /dev/net/tun can be opened
  ok       the name iptun0 is free
offloads
  note     Linux 6.1 lacks uso; Linux has it since 6.2 [offload-missing]
           -> nothing to do: it works without, slower; docs/offloads.md
  ok       by its version the kernel has: tso, gso, gro
buffers
  ok       net.core.rmem_max and wmem_max allow 208 KiB; CAP_NET_ADMIN passes them
clock
  ok       the clock says 2026-11-29T00:00:00.000Z
  ok       it is kept right by NTP
names
  FAULT    a.example of peer b does not resolve (no such name, after 0 s) [name-fails]
           -> correct 'endpoint', or see which name server /etc/resolv.conf names
routing
  ok       no reverse path filter is strict
  ok       this host forwards IPv4
firewall
  ok       no rule drops the tunnel's packets (looked at: the filter chains of nftables with hooks input, output and forward; of addresses, limits and sets nothing is said)
tunnel
  note     not running (no daemon on RUN/iptun0.sock) [not-running]
           -> most causes show only while the tunnel runs: start it and ask again
1 fault, 2 notes
`);
    expect([code, terminal.stderr]).toEqual([1, ""]);
  });

  it("is JSON where that is asked for, and never has a key", async () => {
    const { terminal } = await examine({ file: configFile() }, {}, true);

    const { ok, findings } = JSON.parse(terminal.stdout);
    expect(ok).toBe(true);
    expect(findings).toContainEqual({
      section: "kernel",
      level: "ok",
      id: "ok",
      text: "Linux 6.1.0-13-amd64",
      remedy: "",
    });
    expect(terminal.stdout).not.toContain(KEY_A.slice(0, 12));
  });

  it("of a configuration that is wrong names each problem, and goes on without it", async () => {
    const file = configFile("keepalive = -1\nroaming = 3");
    const { terminal, code } = await examine({ file });

    expect(terminal.stdout).toMatch(/FAULT {4}FILE:\d+: peer\[b\]\.keepalive: /);
    expect(terminal.stdout).toMatch(/FAULT {4}FILE:\d+: peer\[b\]\.roaming: /);
    expect(terminal.stdout).toContain("kernel\n  ok ");
    expect(terminal.stdout).not.toContain(KEY_A.slice(0, 12));
    expect(code).toBe(1);
  });

  it("without anything to ask about says what it could not look at, with exit code 0", async () => {
    const nothing = { read: () => undefined, list: () => [], changedMs: () => undefined };
    const fails = async () => {
      return { exitCode: undefined, stdout: "", stderr: "", startError: "spawn ENOENT" };
    };
    const { terminal, code } = await examine({}, { ...nothing, runProcess: fails });

    expect(terminal.stdout).toContain("not looked at: the configuration (none was named)");
    expect(terminal.stdout).toContain("not looked at: net.core.rmem_max and wmem_max");
    expect(terminal.stdout).toContain("not looked at: whether NTP keeps the clock");
    expect(terminal.stdout).toContain("FAULT    CAP_NET_ADMIN is missing");
    expect(code).toBe(1);
  });

  it("says of a device file that may not be opened what to do", async () => {
    const checkTun = async () => {
      throw new DaemonError("no permission to open it: chmod it", EXIT.NO_PERMISSION);
    };
    const { terminal } = await examine({}, { checkTun });
    expect(terminal.stdout).toContain(
      "FAULT    no permission to open it [tun-denied]\n           -> chmod it\n",
    );
  });
});

describe("a running tunnel", () => {
  it("is found by the configuration's name, by its own, or because it is the only one", async () => {
    await serve(statusDocument([peerStatus({ pathMtu: 1500 })]));
    for (const question of [{ file: configFile() }, { name: "iptun0" }, {}]) {
      const { terminal } = await examine(question);
      expect(terminal.stdout).toContain("iptun0 runs: process 4711, up 7380 s, UDP port 1194");
      expect(terminal.stdout).toContain("b: 0.0 % of the datagrams from there and 2.1 % of those");
      expect(terminal.stdout).toContain("the socket asked for 7 MiB and got 3.5 MiB");
    }
  });

  it("by a name that none can have is a wrong use", async () => {
    const terminal = new FakeTerminal();
    expect(await runCli(["doctor", "--interface", "a/b"], terminal)).toBe(2);
    expect(terminal.stderr).toBe('iptun: "a/b" cannot name an interface\n');
  });
});

/** Runs the command on a host that is well but for `changes`; file names are made the same in every run. */
async function examine(
  question: Partial<DoctorQuestion>,
  changes: Partial<Instruments> = {},
  isJson = false,
) {
  const terminal = new FakeTerminal();
  const run = runtimeDir();
  const asked = { file: undefined, name: undefined, ...question };
  const code = await doctor(asked, isJson, terminal, { ...host(), ...changes });
  terminal.stdout = terminal.stdout
    .replaceAll(question.file ?? "no file", "FILE")
    .replaceAll(run, "RUN");
  return { terminal, code };
}

function host(): Instruments {
  return {
    read: (path) => FILES[path],
    list: () => [],
    changedMs: () => undefined,
    runProcess: async (program) => {
      const stdout = OUTPUTS[program];
      const exitCode = stdout === undefined ? 1 : 0;
      return { exitCode, stdout: stdout ?? "", stderr: "", startError: undefined };
    },
    lookup: async () => {
      throw new Error("no such name");
    },
    checkTun: async () => undefined,
    release: "6.1.0-13-amd64",
    wallMs: () => Date.UTC(2026, 10, 29),
    nowMs: () => 0,
  };
}

let directory = "";

/** Where this test's control sockets are. */
function runtimeDir(): string {
  if (directory !== "") return directory;
  const files = new ConfigFiles();
  directory = join(files.directory, "run");
  mkdirSync(directory);
  vi.stubEnv("RUNTIME_DIRECTORY", directory);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    directory = "";
  });
  return directory;
}

/** A configuration with one peer "b" and these lines. */
function configFile(lines = ""): string {
  const files = new ConfigFiles();
  return files.write(
    "iptun.toml",
    `[interface]
name = "iptun0"
address = ["10.0.0.1/24"]
state_dir = "${files.directory}"
[[peer]]
name = "b"
key = "${KEY_A}"
allowed_ips = ["10.0.0.2/32"]
${lines}
`,
  );
}

async function serve(document: StatusDocument): Promise<void> {
  const server = createServer((_, response) => response.end(JSON.stringify(document)));
  const path = join(runtimeDir(), "iptun0.sock");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    server.close();
  });
}
