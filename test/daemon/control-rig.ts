/** A control side over a fake engine, a fake `ip` and manual timers, stopped after each test. */
import { mkdtemp, rm } from "node:fs/promises";
import type { NetworkInterfaceInfo } from "node:os";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { ControlSide } from "../../src/daemon/control-side.ts";
import type { DeviceState } from "../../src/daemon/host/device-state.ts";
import type { RunProcess } from "../../src/daemon/host/ip-command.ts";
import { Journal } from "../../src/daemon/host/journal.ts";
import { Network } from "../../src/daemon/host/network.ts";
import type { News } from "../../src/daemon/host/network-news.ts";
import type { Interfaces } from "../../src/daemon/host/own-addresses.ts";
import type { NodeId } from "../../src/daemon/process/node-id.ts";
import { Notifier, type ServiceManager } from "../../src/daemon/process/notifier.ts";
import type { StartedWith } from "../../src/daemon/succession/inherited.ts";
import type { Predecessor } from "../../src/daemon/succession/take-over.ts";
import type { LastEndpoint } from "../../src/engine/messages.ts";
import { config, peerConfig } from "./config.ts";
import { FakeEngine } from "./fake-engine.ts";
import { memoryLog } from "./log.ts";
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

export const WHOLE: DeviceState = {
  isUp: true,
  mtu: 1420,
  addresses: ["10.0.0.1/24", "fd00::1/64"],
  routes: ["10.9.0.0/16"],
};

/** 2026-01-02T03:04:05Z, when the rig's clock begins. */
export const WALL_MS = 1_767_323_045_000;

const NOTHING_INHERITED: StartedWith = {
  ...{ tun: undefined, udp: undefined, control: undefined },
  isUdpGiven: false,
};

export const UP: Interfaces = { lo: [info("127.0.0.1")], iptun0: [info("10.0.0.1")] };

interface Options {
  readonly config?: Config;
  readonly nodeId?: NodeId;
  readonly manager?: ServiceManager;
  /** The kernel tells of changes. */
  readonly hasNews?: boolean;
  readonly answers?: readonly (readonly string[] | Error)[];
  readonly startedWith?: StartedWith;
  readonly predecessor?: Predecessor;
  /** What the run before has kept. */
  readonly endpoints?: readonly LastEndpoint[];
  /** What sending descriptors answers. */
  readonly sendResult?: number;
  /** In place of `ip` and its answers. */
  readonly run?: RunProcess;
  /** Told of each step of the start. */
  readonly stopAt?: (call: string) => void;
  readonly ip?: (args: readonly string[]) => {
    readonly exitCode?: number;
    readonly stdout?: string;
    readonly stderr?: string;
  };
}

export function setUp(options: Options = {}) {
  const engine = new FakeEngine();
  const timers = new ManualTimers();
  const log = memoryLog();
  const ip: string[] = [];
  const asked: string[] = [];
  /** What the service manager was told. */
  const told: string[] = [];
  const answers = [...(options.answers ?? [])];
  const socketPath = join(directory, "iptun0.sock");
  const world: {
    interfaces: Interfaces;
    state: DeviceState | undefined;
    validMark: string;
    /** Brings news while somebody listens. */
    tell: ((news: News) => void) | undefined;
    /** What the configuration's file holds, or why it cannot be read. */
    file: Config | Error;
  } = {
    ...{ interfaces: UP, state: WHOLE, validMark: "0", tell: undefined },
    file: structuredClone(options.config ?? config()),
  };
  const kept: { endpoints: readonly LastEndpoint[] } = { endpoints: options.endpoints ?? [] };
  const answerIp = options.ip ?? ((args) => ({ exitCode: args[0] === "-j" ? 1 : 0 }));
  const runProcess: RunProcess = async (_file, args, input) => {
    ip.push(`${args.join(" ")} < ${input.trim().split("\n").join(", ")}`);
    options.stopAt?.(args.join(" "));
    return { exitCode: 0, stdout: "", stderr: "", startError: undefined, ...answerIp(args) };
  };
  const rig = {
    /** Leaves a control side that hangs to itself. */
    forget: () => {
      running = undefined;
    },
    ...{ engine, timers, log, ip, asked, told, socketPath, world, kept },
    untilSpawned: async () => {
      while (engine.start === undefined) await settle();
    },
    side: new ControlSide(options.config ?? config(), log, {
      spawn: engine.spawn,
      runProcess: options.run ?? runProcess,
      makeNetwork: (wanted, before) => new Network(wanted, before, options.run ?? runProcess),
      lookup: async (host, family) => {
        asked.push(`${host} ${family}`);
        const answer = answers.shift() ?? new Error("no answer was prepared");
        if (answer instanceof Error) throw answer;
        return answer;
      },
      interfaces: () => world.interfaces,
      linkMtu: () => 1500,
      look: async () => world.state,
      observer: new Notifier({
        manager: options.manager,
        native: {
          notify: (_path, text, descriptors) => {
            if (descriptors.length === 0) told.push(new TextDecoder().decode(text));
            return 0;
          },
          errnoName: String,
        },
        startTimer: timers.start,
        monotonicMicros: () => 5n,
        log,
      }),
      listenForNews: (_device, onNews) => {
        if (options.hasNews !== true) return undefined;
        world.tell = onNews;
        return () => {
          world.tell = undefined;
        };
      },
      loadConfig: () => {
        if (world.file instanceof Error) throw world.file;
        return structuredClone(world.file);
      },
      loadNodeId: async () => {
        options.stopAt?.("node id");
        return options.nodeId ?? { id: new Uint8Array(16), warning: undefined };
      },
      journal: new Journal(directory, "iptun0"),
      sysctl: {
        read: () => world.validMark,
        write: (_name, value) => {
          world.validMark = value;
        },
      },
      socketPath,
      startedWith: options.startedWith ?? NOTHING_INHERITED,
      predecessor: options.predecessor,
      lastEndpoints: {
        read: () => kept.endpoints,
        write: async (endpoints) => {
          kept.endpoints = endpoints;
        },
      },
      send: (path, descriptors) => {
        ip.push(`descriptors ${descriptors.join(" ")} to ${path}`);
        return options.sendResult ?? 0;
      },
      errnoName: (errno) => `errno ${errno}`,
      startTimer: timers.start,
      nowMs: () => timers.nowMs,
      wallMs: () => WALL_MS + timers.nowMs,
      cpuMs: () => 0,
      residentBytes: () => 1_000,
      readProcess: () => ({
        nowSeconds: 1_700_000_000,
        startedSeconds: 1_699_999_000,
        cpuSeconds: 2.5,
        controlDelay: { meanMs: 1, maxMs: 20 },
      }),
      version: "0.1.0",
      pid: 42,
    }),
  };
  running = rig.side;
  return rig;
}

/** An `ip` that knows a device without addresses. */
export function attached(args: readonly string[]) {
  return { stdout: args[1] === "addr" ? '[{"flags":["UP"],"mtu":1500}]' : "" };
}

export function withHost(host: string): Config {
  return config({ peers: [peerConfig({ endpoints: [{ host, port: 1194 }] })] });
}

export function info(address: string): NetworkInterfaceInfo {
  return { address, netmask: "", mac: "", internal: false, cidr: null, family: "IPv4" };
}
