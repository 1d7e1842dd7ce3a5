/**
 * Keeps the device as it was configured: looks at it, says what somebody has changed, and puts it back.
 *
 * The look is at what is there, not at events: a link that was down for less than a poll has lost its
 * routes and IPv6 addresses all the same, and so has one whose MTU was below 1280 (RFC 8200 §5). A link
 * that is down is left down, and a device under another name is left alone: both are the operator's will.
 */
import type { Log } from "../../log.ts";
import type { LinkState } from "../control/status.ts";
import { messageOf } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import type { DeviceState } from "./device-state.ts";
import type { Network } from "./network.ts";
import { isLack, type Lack } from "./network-plan.ts";
import { RepairPace } from "./repair-pace.ts";

/**
 * Looks without the device until it counts as renamed: a deleted one ends the engine, which has its own
 * line and may be a moment later than a look.
 */
const ABSENT_LOOKS = 2;

/** What the watch needs. */
export interface WatchSetting {
  readonly device: string;
  readonly network: Pick<Network, "lack" | "repair">;
  readonly look: (device: string) => Promise<DeviceState | undefined>;
  readonly log: Log;
  readonly nowMs: () => number;
  readonly startTimer: StartTimer;
}

/** Watches one device. */
export class DeviceWatch {
  readonly #setting: WatchSetting;
  #isLinkUp = true;
  #absentLooks = 0;
  readonly #pace: RepairPace;
  /** The last line about what could not be put back, so that it stands in the log once. */
  #complaint: string | undefined;
  /** A look that is wanted and has not begun. */
  #poll: Promise<void> | undefined;
  /** The last look or change, which the next one waits for; it never fails. */
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(setting: WatchSetting) {
    this.#setting = setting;
    this.#pace = new RepairPace({ ...setting, again: () => this.#pollSoon() });
  }

  /**
   * Looks once and puts back what is missing. Callers share a look that has not begun; one that has may have
   * seen what was there before.
   */
  poll(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#poll ??= this.#next(() => {
      this.#poll = undefined;
      return this.#pollOnce();
    });
    return this.#poll;
  }

  /** Runs what changes the device, never beside a look at it: a look would take the change for somebody else's. */
  change(work: () => Promise<readonly string[]>): Promise<void> {
    const { device, log } = this.#setting;
    return this.#next(async () => {
      for (const line of await work()) log.debug(`changing ${device}: ${line}`);
    });
  }

  /** The engine's word: writes to the device are refused, or pass again. */
  linkReported(isUp: boolean): void {
    if (this.#isClosed) return;
    this.#linkSeen(isUp);
    if (isUp) this.#pollSoon();
  }

  /** The link at this moment; undefined where no device has the name. */
  async link(): Promise<LinkState | undefined> {
    const state = await this.#setting.look(this.#setting.device);
    return state === undefined ? undefined : { isUp: state.isUp, mtu: state.mtu };
  }

  /** Ends the watch; resolves when nothing of it runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pace.close();
    await this.#last;
  }

  /** The next poll sees it too, if this look fails. */
  #pollSoon(): void {
    this.poll().catch((error: unknown) => this.#setting.log.debug(messageOf(error)));
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(() => (this.#isClosed ? undefined : work()));
    this.#last = done.catch((error: unknown) => this.#setting.log.debug(messageOf(error)));
    return done;
  }

  async #pollOnce(): Promise<void> {
    const { device, look, network } = this.#setting;
    const state = await look(device);
    if (this.#isClosed) return;
    if (state === undefined) {
      this.#absent();
      return;
    }
    this.#present();
    this.#linkSeen(state.isUp);
    if (!state.isUp) return;
    const lack = network.lack(state);
    if (isLack(lack)) await this.#repair(lack);
    else this.#whole();
  }

  #absent(): void {
    const { device, log } = this.#setting;
    this.#absentLooks += 1;
    if (this.#absentLooks !== ABSENT_LOOKS) return;
    log.warn(`${device} was renamed or moved: it is not looked after until it has its name again`);
  }

  #present(): void {
    const { device, log } = this.#setting;
    if (this.#absentLooks >= ABSENT_LOOKS) log.info(`${device} has its name again`);
    this.#absentLooks = 0;
  }

  #linkSeen(isUp: boolean): void {
    if (isUp === this.#isLinkUp) return;
    this.#isLinkUp = isUp;
    const { device, log } = this.#setting;
    if (isUp) log.info(`link ${device} is up again`);
    else log.warn(`link ${device} is down: packets are dropped until it is up`);
  }

  #whole(): void {
    this.#pace.whole();
    this.#complaint = undefined;
  }

  async #repair(lack: Lack): Promise<void> {
    const { device, look, network } = this.#setting;
    if (!this.#pace.mayTry()) return;
    const complaints = await network.repair(lack);
    const state = await look(device);
    // Set down or renamed meanwhile: the next poll tells.
    if (state?.isUp !== true) return;
    const left = network.lack(state);
    for (const line of repairedLines(device, lack, left)) this.#setting.log.info(line);
    if (!isLack(left)) return;
    this.#pace.failed();
    this.#complain(complaints);
  }

  #complain(complaints: readonly string[]): void {
    const reason = complaints.length === 0 ? "they do not stay" : complaints.join("; ");
    const line = `cannot put back all addresses and routes of ${this.#setting.device}: ${reason}`;
    if (line !== this.#complaint) this.#setting.log.warn(line);
    this.#complaint = line;
  }
}

function repairedLines(device: string, lack: Lack, left: Lack): readonly string[] {
  const { mtu } = lack;
  const mtuLine = `MTU of ${device} was ${mtu?.found}; set back to ${mtu?.wanted}`;
  const restored = countOf(lack) > countOf(left);
  return [
    ...(mtu !== undefined && left.mtu === undefined ? [mtuLine] : []),
    ...(restored ? [`addresses or routes of ${device} were gone; put back`] : []),
  ];
}

function countOf({ addresses, routes }: Lack): number {
  return addresses.length + routes.length;
}
