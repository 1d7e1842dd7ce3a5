/**
 * The network of a device that somebody else has made, for a daemon without CAP_NET_ADMIN: looked at, never changed.
 *
 * Not an error where something lacks: whoever made the device may route by other means. It is said once at the
 * start; what vanishes later is said by the watch (device-watch.ts). With an MTU of "auto" the device keeps its own:
 * a packet that a peer's path does not carry is answered by the core with "packet too big".
 */
import { formatPrefix } from "../../core/prefix.ts";
import type { Log } from "../../log.ts";
import type { DeviceState } from "./device-state.ts";
import type { Network } from "./network.ts";
import { addressText, type Lack, lackOf, type NetworkPlanInput } from "./network-plan.ts";

/** What the control side asks of a device's network. */
export type DeviceNetwork = Pick<
  Network,
  "before" | "up" | "adopt" | "change" | "setMtu" | "lack" | "repair" | "down"
>;

/** What a given device is compared with, and how it is looked at. */
export interface GivenSetting {
  readonly wanted: NetworkPlanInput;
  /** Whether the device is to have the MTU of `wanted`; else any will do. */
  readonly isMtuWanted: boolean;
  readonly look: (device: string) => Promise<DeviceState | undefined>;
  readonly log: Log;
}

const CANNOT = "needs CAP_NET_ADMIN";

/** A device as it was given. */
export class GivenNetwork implements DeviceNetwork {
  readonly #setting: GivenSetting;
  #wanted: NetworkPlanInput;
  /** What it lacked at the start, as texts: that has been said. */
  #lacked: ReadonlySet<string> = new Set();

  constructor(setting: GivenSetting) {
    this.#setting = setting;
    this.#wanted = setting.wanted;
  }

  /** Whatever it was, it is not this daemon's to put back. */
  get before(): undefined {
    return undefined;
  }

  async adopt(): Promise<readonly string[]> {
    await this.up();
    return [];
  }

  /** Whoever made the device gives it what another configuration wants; what it lacks is said. */
  async change(wanted: Partial<NetworkPlanInput>): Promise<void> {
    this.#wanted = { ...this.#wanted, ...wanted };
    await this.up();
  }

  /** Says in one line what the device lacks. */
  async up(): Promise<void> {
    const { look, log } = this.#setting;
    const { device } = this.#wanted;
    const state = await look(device);
    if (state === undefined) return;
    const lack = this.#lackOf(state);
    const texts = lackTexts(lack);
    this.#lacked = new Set(texts);
    const missing = [...(state.isUp ? [] : ["is down"]), ...texts];
    if (missing.length === 0) return;
    log.warn(
      `${device} is not as configured, and this daemon may not change it (${CANNOT}): ${missing.join(", ")}`,
    );
  }

  /** What it lacks that it had at the start. */
  lack(state: DeviceState): Lack {
    const { mtu, addresses, routes } = this.#lackOf(state);
    const isNew = (text: string) => !this.#lacked.has(text);
    return {
      mtu: mtu !== undefined && isNew(mtuText(mtu)) ? mtu : undefined,
      addresses: addresses.filter((one) => isNew(withoutText("address", addressText(one)))),
      routes: routes.filter((one) => isNew(withoutText("route", formatPrefix(one)))),
    };
  }

  async repair(): Promise<readonly string[]> {
    return [CANNOT];
  }

  async setMtu(): Promise<readonly string[]> {
    return [];
  }

  async down(): Promise<readonly string[]> {
    return [];
  }

  #lackOf(state: DeviceState): Lack {
    const lack = lackOf(this.#wanted, state);
    return this.#setting.isMtuWanted ? lack : { ...lack, mtu: undefined };
  }
}

function lackTexts({ mtu, addresses, routes }: Lack): readonly string[] {
  return [
    ...(mtu === undefined ? [] : [mtuText(mtu)]),
    ...addresses.map((one) => withoutText("address", addressText(one))),
    ...routes.map((one) => withoutText("route", formatPrefix(one))),
  ];
}

function mtuText({ found, wanted }: NonNullable<Lack["mtu"]>): string {
  return `has an MTU of ${found}, not ${wanted}`;
}

function withoutText(what: "address" | "route", text: string): string {
  return `has no ${what} ${text}`;
}
