/**
 * The tunnel's own device: its addresses, routes and MTU, kept as the configuration wants them.
 *
 * Joins what puts them there (network.ts), what watches over them (device-watch.ts) and what the paths of the peers
 * carry (path-mtus.ts). The trap: a look at the device and a change of it never run side by side.
 */
import type { Config } from "../../config/config.ts";
import type { TunnelEvent } from "../../core/options.ts";
import type { Log } from "../../log.ts";
import type { LinkState } from "../control/status.ts";
import { messageOf } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import type { DeviceState } from "./device-state.ts";
import { DeviceWatch } from "./device-watch.ts";
import type { DeviceNetwork } from "./given-network.ts";
import type { DeviceMtu, NetworkPlanInput } from "./network-plan.ts";
import { PathMtus } from "./path-mtus.ts";

export interface TunnelDeviceSetting {
  /** The network of a device, which was in state `before` (undefined: it was not there). */
  readonly makeNetwork: (
    wanted: NetworkPlanInput,
    before: DeviceState | undefined,
  ) => DeviceNetwork;
  readonly look: (device: string) => Promise<DeviceState | undefined>;
  readonly startTimer: StartTimer;
  readonly nowMs: () => number;
  readonly log: Log;
}

/** How a device was found. */
export interface DeviceStart {
  /** Whether TCP comes from it in super-packets. */
  readonly hasSuperPackets: boolean;
  readonly start: DeviceState | undefined;
  readonly found: DeviceState | undefined;
}

/** One tunnel's device. */
export class TunnelDevice {
  readonly #setting: TunnelDeviceSetting;
  readonly #mtus: PathMtus;
  #config: Config;
  #network: DeviceNetwork | undefined;
  #watch: DeviceWatch | undefined;

  constructor(config: Config, setting: TunnelDeviceSetting) {
    this.#setting = setting;
    this.#config = config;
    this.#mtus = new PathMtus(config.peers, setting.startTimer, () => this.#setMtu());
  }

  /**
   * Sets up the device of this name, which was in state `start` before any tunnel took it; `found`: another run has
   * set it up and left it in this state.
   */
  async start(device: string, { hasSuperPackets, start, found }: DeviceStart): Promise<void> {
    const { makeNetwork, log } = this.#setting;
    const wanted = { device, ...addressesOf(this.#config), ...this.mtu, hasSuperPackets };
    const network = makeNetwork(wanted, start);
    this.#network = network;
    if (found === undefined) await network.up();
    else for (const line of await network.adopt(found)) log.warn(line);
    this.#watch = new DeviceWatch({ ...this.#setting, device, network });
    // A path may have been found meanwhile.
    this.#setMtu();
  }

  /** Makes what another configuration wants; throws a DaemonError where that is refused, and all is as before. */
  async change(config: Config): Promise<void> {
    const before = this.#config;
    await this.#watch?.change(async () => {
      this.#use(config, before);
      try {
        await this.#network?.change({ ...addressesOf(config), ...this.mtu });
      } catch (error) {
        this.#use(before, config);
        throw error;
      }
      return [];
    });
    // The change is made: a look that fails is no refusal of it. The next one comes by itself.
    await this.poll().catch((error: unknown) => this.#setting.log.debug(messageOf(error)));
  }

  /** What the device and its routes are to have. */
  get mtu(): DeviceMtu {
    const { mtu } = this.#config.interface;
    return mtu === "auto" ? this.#mtus.wanted() : { mtu, routeMtus: new Map() };
  }

  event(event: TunnelEvent): void {
    this.#mtus.event(event);
  }

  /** The engine's word: writes to the device are refused, or pass again. */
  linkReported(isUp: boolean): void {
    this.#watch?.linkReported(isUp);
  }

  /** The link at this moment; undefined where no device has the name. */
  async link(): Promise<LinkState | undefined> {
    return await this.#watch?.link();
  }

  /** Looks once and puts back what is missing. */
  async poll(): Promise<void> {
    await this.#watch?.poll();
  }

  /** Nothing follows the paths any more. */
  close(): void {
    this.#mtus.close();
  }

  /** The device before the tunnel took it; undefined: it is the tunnel's own. */
  get before(): DeviceState | undefined {
    return this.#network?.before;
  }

  /** Leaves the device as it is; resolves when nothing looks after it any more. */
  async leave(): Promise<void> {
    await this.#watch?.close();
  }

  /** Takes off what was put on; returns what `ip` said of failures. */
  async down(): Promise<readonly string[]> {
    return (await this.#network?.down()) ?? [];
  }

  #use(config: Config, before: Config): void {
    this.#config = config;
    const isAuto = [before, config].every((one) => one.interface.mtu === "auto");
    this.#mtus.setPeers(config.peers, isAuto);
  }

  #setMtu(): void {
    this.#watch
      ?.change(async () => (await this.#network?.setMtu(this.mtu)) ?? [])
      .catch((error: unknown) => this.#setting.log.warn(`setting the MTU: ${messageOf(error)}`));
  }
}

/** Addresses of the device, and prefixes that are routed into it. */
function addressesOf(config: Config): Pick<NetworkPlanInput, "addresses" | "routes"> {
  const { addresses, routes } = config.interface;
  return { addresses, routes: routes ? config.peers.flatMap((peer) => peer.allowedIps) : [] };
}
