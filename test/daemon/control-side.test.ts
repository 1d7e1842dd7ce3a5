/**
 * The control side over a fake engine, a fake `ip` and manual timers: start, events, polls, stop.
 */
import { mkdtemp, rm, stat } from "node:fs/promises";
import type { NetworkInterfaceInfo } from "node:os";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { dropCounters } from "../../src/core/drop-reason.ts";
import { fetchStatus } from "../../src/daemon/control-client.ts";
import { ControlSide, INTERFACE_POLL_MS, TRACE_POLL_MS } from "../../src/daemon/control-side.ts";
import { DROP_SUMMARY_MS } from "../../src/daemon/drop-summary.ts";
import type { RunProcess } from "../../src/daemon/ip-command.ts";
import type { NodeId } from "../../src/daemon/node-id.ts";
import type { Interfaces } from "../../src/daemon/own-addresses.ts";
import { config, peerConfig } from "./config.ts";
import { FakeEngine } from "./fake-engine.ts";
import { memoryLog } from "./log.ts";
import { FEATURES, tunnelSnapshot } from "./snapshot.ts";
import { ManualTimers, settle } from "./timers.ts";

let directory = "";
let running: ControlSide | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "iptun-side-"));
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  await rm(directory, { recursive: true });
});

describe("starting", () => {
  it("opens the engine, configures the device and says so", async () => {
    const rig = setUp();

    await rig.side.start();

    expect(rig.engine.start?.tun).toEqual({ name: "iptun0", mtu: 1420 });
    expect(rig.ip.at(-1)).toContain("addr add 10.0.0.1/24 dev iptun0");
    expect(rig.log.lines).toContain("info iptun0 is up, listening on UDP port 1194");
  });

  it("gives the keys to the engine and keeps none", async () => {
    const key = new Uint8Array(32).fill(7);
    const rig = setUp({ config: config({ peers: [peerConfig({ keys: [key] })] }) });

    await rig.side.start();

    expect(rig.engine.start?.peers[0]?.keys).toEqual([new Uint8Array(32).fill(7)]);
    expect(key).toEqual(new Uint8Array(32));
  });

  it("warns where the node id is not kept", async () => {
    const rig = setUp({ nodeId: { id: new Uint8Array(16), warning: "node id is not kept" } });

    await rig.side.start();

    expect(rig.log.lines).toContain("warn node id is not kept");
  });

  it("fails with the engine's line, and stops without waiting for it", async () => {
    const rig = setUp();
    rig.engine.answers = false;
    const start = rig.side.start();
    await rig.untilSpawned();

    rig.engine.report({ kind: "fatal", message: "no device", exitCode: 4, detail: undefined });

    await expect(start).rejects.toMatchObject({ message: "no device", exitCode: 4 });
    await rig.side.stop();
    await expect(stat(rig.socketPath)).rejects.toThrow("ENOENT");
  });

  it("fails where the device cannot be configured", async () => {
    const rig = setUp({
      ip: (args) =>
        args[0] === "-batch"
          ? { exitCode: 2, stderr: "RTNETLINK answers: File exists\nCommand failed -:4\n" }
          : { exitCode: 1 },
    });

    await expect(rig.side.start()).rejects.toThrow(
      "'ip route add 10.9.0.0/16 dev iptun0' failed: File exists",
    );
  });

  it("installs no route where routes are off", async () => {
    const rig = setUp({ config: config({ interface: { routes: false } }) });

    await rig.side.start();

    expect(rig.ip.at(-1)).not.toContain("route add");
  });

  it("that was stopped meanwhile configures nothing", async () => {
    const rig = setUp();
    rig.engine.answers = false;
    const start = rig.side.start();
    await rig.untilSpawned();

    const stop = rig.side.stop();
    rig.engine.report({ kind: "ready", features: FEATURES });
    rig.engine.report({ kind: "stopped" });
    await Promise.all([start, stop]);

    expect(rig.ip.some((call) => call.includes("addr add"))).toBe(false);
    expect(rig.timers.delays()).toEqual([]);
  });
});

describe("the status", () => {
  it("is served on the control socket", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.timers.nowMs = 61_000;

    const status = await fetchStatus(rig.socketPath);

    expect(status).toMatchObject({ pid: 42, uptimeSeconds: 61, interface: { name: "iptun0" } });
  });

  it("is refused while starting", async () => {
    const rig = setUp();

    await expect(rig.side.status()).rejects.toThrow("still starting");
  });
});

describe("names", () => {
  it("are resolved after the start and handed to the engine", async () => {
    const rig = setUp({ config: withHost("vpn.example.org"), answers: [["192.0.2.2"]] });

    await rig.side.start();
    await settle();

    expect(rig.asked).toEqual(["vpn.example.org 0"]);
    expect(rig.engine.commands).toMatchObject([
      {
        kind: "apply",
        changes: [{ kind: "set-endpoints", name: "b", endpoints: [{ port: 1194 }] }],
      },
    ]);
  });

  it("that do not resolve are told and tried again", async () => {
    const rig = setUp({ config: withHost("vpn.example.org"), answers: [new Error("EAI_AGAIN")] });

    await rig.side.start();
    await settle();

    expect(rig.log.lines).toContain(
      "warn cannot resolve vpn.example.org of peer b: EAI_AGAIN; next try in 1 s",
    );
    expect(rig.timers.delays()).toContain(1_000);
  });

  it("are asked for again when the peer does not answer", async () => {
    const rig = setUp({
      config: withHost("vpn.example.org"),
      answers: [["192.0.2.2"], ["192.0.2.3"]],
    });
    await rig.side.start();
    await settle();
    rig.timers.nowMs += 30_000;

    rig.engine.report({ kind: "events", events: [{ kind: "unanswered", peer: "b", seconds: 30 }] });
    await settle();

    expect(rig.asked).toHaveLength(2);
  });

  it.each([
    [
      "a bound IPv6 address",
      Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Array<number>(12).fill(1)),
      6,
    ],
    ["every address", new Uint8Array(16), 0],
  ])("are asked for in the families of %s", async (_name, address, family) => {
    const base = withHost("vpn.example.org");
    const rig = setUp({
      config: { ...base, interface: { ...base.interface, listen: { address, port: 1194 } } },
    });

    await rig.side.start();

    expect(rig.asked).toEqual([`vpn.example.org ${family}`]);
  });
});

describe("events", () => {
  it("are logged and acknowledged", async () => {
    const rig = setUp();
    await rig.side.start();

    rig.engine.report({ kind: "events", events: [{ kind: "down", peer: "b", reason: "closed" }] });

    expect(rig.log.lines.at(-1)).toBe("info peer b is down: closed by the other side");
    expect(rig.engine.commands.at(-1)).toEqual({ kind: "acknowledge" });
  });
});

describe("the poll of interfaces", () => {
  it("tells the engine of new own addresses, and only of those", async () => {
    const rig = setUp();
    await rig.side.start();
    await rig.timers.fire(INTERFACE_POLL_MS);
    const before = rig.engine.commands.length;

    rig.world.interfaces = { ...UP, eth0: [info("192.0.2.9")] };
    await rig.timers.fire(INTERFACE_POLL_MS);
    await rig.timers.fire(INTERFACE_POLL_MS);

    expect(before).toBe(0);
    expect(rig.engine.commands).toMatchObject([
      { kind: "apply", changes: [{ kind: "own-addresses" }] },
    ]);
  });

  it("reports a link that is down once, and repairs it when it is up again", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.world.interfaces = {};
    await rig.timers.fire(INTERFACE_POLL_MS);
    await rig.timers.fire(INTERFACE_POLL_MS);
    const status = await rig.side.status();

    rig.world.interfaces = UP;
    await rig.timers.fire(INTERFACE_POLL_MS);

    expect(rig.log.lines.filter((line) => line.includes("link"))).toEqual([
      "warn link iptun0 is down: packets are dropped until it is up",
      "info link iptun0 is up again",
    ]);
    expect(status.interface.isLinkUp).toBe(false);
    expect(rig.ip.at(-1)).toMatch(/^-force -batch - < addr replace 10.0.0.1\/24 dev iptun0/);
  });

  it("takes the engine's word for a link that is down", async () => {
    const rig = setUp();
    await rig.side.start();

    rig.engine.report({ kind: "link", isUp: false });

    expect(rig.log.lines.at(-1)).toContain("link iptun0 is down");
  });
});

describe("drops", () => {
  it("are summed up every 10 s", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.engine.snapshot = tunnelSnapshot({ drops: { ...dropCounters(), forged: 3 } });

    await rig.timers.fire(DROP_SUMMARY_MS);
    await rig.timers.fire(DROP_SUMMARY_MS);

    expect(rig.log.lines.filter((line) => line.includes("dropped"))).toEqual([
      "info dropped 3 packets (forged): data does not open under the session key",
    ]);
  });
});

describe("packet lines", () => {
  it("are fetched every second at debug level, with a count of the rest", async () => {
    const rig = setUp({ config: config({ log: { level: "debug", format: "auto" } }) });
    await rig.side.start();
    rig.engine.answers = false;
    await rig.timers.fire(TRACE_POLL_MS);

    const line = { direction: "inbound", layer: "packet", length: 84, port: 0 } as const;
    const lines = [{ ...line, source: undefined, destination: undefined }];
    rig.engine.report({ kind: "trace", id: 1, lines, suppressed: 5 });
    await settle();

    expect(rig.log.lines.slice(-2)).toEqual([
      "debug inbound packet 84 bytes",
      "debug 5 more packets and datagrams not shown",
    ]);
    rig.engine.answers = true;
  });

  it("are not asked for at other levels", async () => {
    const rig = setUp();

    await rig.side.start();

    expect(rig.timers.delays()).not.toContain(TRACE_POLL_MS);
  });
});

describe("the end", () => {
  it("of the engine is passed on, its detail at debug level", async () => {
    const rig = setUp();
    await rig.side.start();

    rig.engine.report({
      kind: "fatal",
      message: "TUN device iptun0 is gone",
      exitCode: 1,
      detail: "x",
    });

    await expect(rig.side.ended).rejects.toMatchObject({ message: "TUN device iptun0 is gone" });
    expect(rig.log.lines.at(-1)).toBe("debug x");
  });

  it("of a poll that the engine's end refuses is no second failure", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.engine.answers = false;
    await rig.timers.fire(DROP_SUMMARY_MS);

    rig.engine.die("the engine ended with code 1");
    await settle();

    expect(rig.log.lines.at(-1)).toContain("the engine ended with code 1");
  });

  it("by stopping sends the stop, removes the socket and ends all timers", async () => {
    const rig = setUp();
    await rig.side.start();

    await rig.side.stop();

    expect(rig.engine.commands.at(-1)).toEqual({ kind: "stop" });
    expect(rig.timers.delays()).toEqual([]);
    await expect(stat(rig.socketPath)).rejects.toThrow("ENOENT");
  });

  it("takes off what was put on an attached device", async () => {
    const rig = setUp({
      ip: (args) => ({ stdout: args[1] === "addr" ? '[{"flags":["UP"],"mtu":1500}]' : "" }),
    });
    await rig.side.start();

    await rig.side.stop();

    expect(rig.ip.at(-1)).toMatch(/^-force -batch - < route del 10.9.0.0\/16 dev iptun0/);
  });
});

const UP: Interfaces = { lo: [info("127.0.0.1")], iptun0: [info("10.0.0.1")] };

interface Options {
  readonly config?: Config;
  readonly nodeId?: NodeId;
  readonly answers?: readonly (readonly string[] | Error)[];
  readonly ip?: (args: readonly string[]) => {
    readonly exitCode?: number;
    readonly stdout?: string;
    readonly stderr?: string;
  };
}

function setUp(options: Options = {}) {
  const engine = new FakeEngine();
  const timers = new ManualTimers();
  const log = memoryLog();
  const ip: string[] = [];
  const asked: string[] = [];
  const answers = [...(options.answers ?? [])];
  const socketPath = join(directory, "iptun0.sock");
  const world = { interfaces: UP };
  const answerIp = options.ip ?? ((args) => ({ exitCode: args[0] === "-j" ? 1 : 0 }));
  const runProcess: RunProcess = async (_file, args, input) => {
    ip.push(`${args.join(" ")} < ${input.trim().split("\n").join(", ")}`);
    return { exitCode: 0, stdout: "", stderr: "", startError: undefined, ...answerIp(args) };
  };
  const rig = {
    ...{ engine, timers, log, ip, asked, socketPath, world },
    untilSpawned: async () => {
      while (engine.start === undefined) await settle();
    },
    side: new ControlSide(options.config ?? config(), log, {
      spawn: engine.spawn,
      runProcess,
      lookup: async (host, family) => {
        asked.push(`${host} ${family}`);
        const answer = answers.shift() ?? new Error("no answer was prepared");
        if (answer instanceof Error) throw answer;
        return answer;
      },
      interfaces: () => world.interfaces,
      loadNodeId: async () => options.nodeId ?? { id: new Uint8Array(16), warning: undefined },
      socketPath,
      startTimer: timers.start,
      nowMs: () => timers.nowMs,
      residentBytes: () => 1_000,
      version: "0.1.0",
      pid: 42,
    }),
  };
  running = rig.side;
  return rig;
}

function withHost(host: string): Config {
  return config({ peers: [peerConfig({ endpoint: { host, port: 1194 } })] });
}

function info(address: string): NetworkInterfaceInfo {
  return { address, netmask: "", mac: "", internal: false, cidr: null, family: "IPv4" };
}
