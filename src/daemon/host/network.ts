/**
 * Puts addresses, link and routes on the device, repairs them, and takes off what was put on.
 *
 * The plans are pure (network-plan.ts); this keeps which one applies and runs it. When to repair is the
 * watch's decision (device-watch.ts).
 */
import { type DeviceState, parseDeviceState } from "./device-state.ts";
import { type RunProcess, readIp, runIpBatch, runIpBatchForced } from "./ip-command.ts";
import {
  type DeviceMtu,
  type Lack,
  lackOf,
  type NetworkPlanInput,
  planChange,
  planMtu,
  planNetwork,
  planRepair,
} from "./network-plan.ts";

/** The state of a device from `ip`; undefined where it does not exist. */
export async function readDeviceState(
  device: string,
  run: RunProcess,
): Promise<DeviceState | undefined> {
  const addresses = await readIp(["-j", "addr", "show", "dev", device], run);
  if (addresses === undefined) return undefined;
  const routes = await Promise.all(
    ["-4", "-6"].map((family) => readIp(["-j", family, "route", "show", "dev", device], run)),
  );
  return parseDeviceState(
    addresses,
    routes.map((json) => json ?? ""),
  );
}

/** The network configuration of one device. */
export class Network {
  #input: NetworkPlanInput;
  readonly #before: DeviceState | undefined;
  readonly #run: RunProcess;
  #isUp = false;

  constructor(input: NetworkPlanInput, before: DeviceState | undefined, run: RunProcess) {
    this.#input = input;
    this.#before = before;
    this.#run = run;
  }

  /** Sets everything; throws a DaemonError that names the command which failed. */
  async up(): Promise<void> {
    this.#isUp = true;
    await runIpBatch(planNetwork(this.#input, this.#before).up, this.#run);
  }

  /** Takes over a device that another run has set up, in this state; returns what `ip` said of failures. */
  adopt(state: DeviceState): Promise<readonly string[]> {
    this.#isUp = true;
    return this.repair(this.lack(state));
  }

  /** The device before the tunnel took it; undefined: it is the tunnel's own. */
  get before(): DeviceState | undefined {
    return this.#before;
  }

  /** Sets another MTU on the device and the routes; returns what `ip` said of failures. */
  async setMtu(wanted: DeviceMtu): Promise<readonly string[]> {
    const before = this.#input;
    this.#input = { ...before, ...wanted };
    if (!this.#isUp) return [];
    return runIpBatchForced(planMtu(before, this.#input), this.#run);
  }

  /** Makes what another configuration wants; where a command fails, puts back what was, and throws a DaemonError that names it. */
  async change(wanted: Partial<NetworkPlanInput>): Promise<void> {
    const before = this.#input;
    const after = { ...before, ...wanted };
    this.#input = after;
    try {
      await runIpBatch(planChange(before, after, this.#before), this.#run);
    } catch (error) {
      this.#input = before;
      await runIpBatchForced(planChange(after, before, this.#before), this.#run);
      throw error;
    }
  }

  /** What the device in this state lacks. */
  lack(state: DeviceState): Lack {
    return lackOf(this.#input, state);
  }

  /** Puts back what is missing; returns what `ip` said of failures. */
  repair(lack: Lack): Promise<readonly string[]> {
    return runIpBatchForced(planRepair(this.#input, lack), this.#run);
  }

  /** Takes off what `up` put on a device that stays; returns what `ip` said of failures. */
  async down(): Promise<readonly string[]> {
    if (!this.#isUp) return [];
    return runIpBatchForced(planNetwork(this.#input, this.#before).down, this.#run);
  }
}
