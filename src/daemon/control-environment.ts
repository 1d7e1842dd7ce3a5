/** What the control side needs of the world, so that it runs in tests without a device: daemon.ts fills it. */
import type { Config } from "../config/config.ts";
import type { EngineStart } from "../engine/messages.ts";
import type { EnginePort } from "../engine/spawn.ts";
import type { DeviceState } from "./host/device-state.ts";
import type { DeviceNetwork } from "./host/given-network.ts";
import type { RunProcess } from "./host/ip-command.ts";
import type { Journal } from "./host/journal.ts";
import type { ListenForNews } from "./host/network-news.ts";
import type { NetworkPlanInput } from "./host/network-plan.ts";
import type { Interfaces } from "./host/own-addresses.ts";
import type { Sysctl } from "./host/sysctl.ts";
import type { Observer } from "./observers.ts";
import type { NodeId } from "./process/node-id.ts";
import type { StartTimer } from "./repeats.ts";
import type { StartedWith } from "./succession/inherited.ts";
import type { LastEndpoints } from "./succession/last-endpoints.ts";
import type { Predecessor } from "./succession/take-over.ts";
import type { ProcessReading } from "./web/process-reading.ts";

export interface ControlEnvironment {
  readonly spawn: (start: EngineStart) => EnginePort;
  readonly runProcess: RunProcess;
  readonly lookup: (host: string, family: 0 | 4 | 6) => Promise<readonly string[]>;
  readonly interfaces: () => Interfaces;
  /** Bytes of the longest packet that a device takes; negative: there is none of this name. */
  readonly linkMtu: (device: string) => number;
  /** The device's state; undefined where no device has this name. */
  /** The network of a device, which was in state `before` (undefined: it was not there). */
  readonly makeNetwork: (
    wanted: NetworkPlanInput,
    before: DeviceState | undefined,
  ) => DeviceNetwork;
  readonly look: (device: string) => Promise<DeviceState | undefined>;
  readonly listenForNews: ListenForNews;
  /** Reads the file that the tunnel was started with anew; throws a ConfigError. */
  readonly loadConfig: () => Config;
  readonly loadNodeId: (stateDir: string, interfaceName: string) => Promise<NodeId>;
  /** The interface's journal. */
  readonly journal: Journal;
  readonly sysctl: Sysctl;
  /** Path of the control socket; its directory exists. */
  readonly socketPath: string;
  readonly startedWith: StartedWith;
  /** The process whose place this one takes; undefined: none. */
  readonly predecessor: Predecessor | undefined;
  readonly lastEndpoints: Pick<LastEndpoints, "read" | "write">;
  /** Sends descriptors to a Unix datagram socket; 0 or -errno. */
  readonly send: (path: string, descriptors: readonly number[]) => number;
  readonly errnoName: (errno: number) => string;
  readonly observer: Observer;
  readonly startTimer: StartTimer;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** CPU time of this process, milliseconds. */
  readonly cpuMs: () => number;
  readonly residentBytes: () => number;
  readonly readProcess: () => ProcessReading;
  readonly version: string;
  readonly pid: number;
}
