/**
 * Puts addresses, link and routes on the device, repairs them, and takes off what was put on.
 *
 * The plans are pure (network-plan.ts); this keeps which one applies. Repair follows a link that was
 * set down and up again: the kernel then has dropped the routes and the IPv6 addresses.
 */
import { type DeviceState, parseDeviceState } from "./device-state.ts";
import { type RunProcess, readIp, runIpBatch, runIpBatchForced } from "./ip-command.ts";
import { type NetworkPlanInput, planNetwork, planRepair } from "./network-plan.ts";

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
  readonly #input: NetworkPlanInput;
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

  /** Puts back what a link that was down has lost; returns what `ip` said of the rest. */
  async repair(): Promise<readonly string[]> {
    const complaints = await runIpBatchForced(planRepair(this.#input), this.#run);
    return complaints.filter((complaint) => !complaint.includes("File exists"));
  }

  /** Takes off what `up` put on a device that stays; returns what `ip` said of failures. */
  async down(): Promise<readonly string[]> {
    if (!this.#isUp) return [];
    return runIpBatchForced(planNetwork(this.#input, this.#before).down, this.#run);
  }
}
