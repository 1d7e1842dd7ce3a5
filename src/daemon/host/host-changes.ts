/**
 * What a tunnel changes on the host beside its own device: default routes, the switch they need, the firewall.
 *
 * Made last at the start and undone first at the end; each is in the journal before it is made, so that the
 * next run undoes what a killed one has left. Rules, routes and the firewall that vanish meanwhile are put
 * back. What stands in the way is found before anything is changed (route-choice.ts). The trap: a stop may
 * come while changes are made; `down` waits for the one under way.
 */
import { isDeepStrictEqual } from "node:util";
import type { Config } from "../../config/config.ts";
import { defaultFamilies, wantsFirewall } from "../../config/default-families.ts";
import { SECOND_MS } from "../../core/time.ts";
import type { Log } from "../../log.ts";
import type { HostStatus } from "../control/status.ts";
import { DaemonError, messageOf } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import { type DefaultRoute, defaultRouteLack, defaultRouteUp } from "./default-route.ts";
import type { DeviceState } from "./device-state.ts";
import { type FirewallPlan, hasFirewall, setFirewall } from "./firewall.ts";
import { undoChanges } from "./host-undo.ts";
import { familyFlag, type RunProcess, runIpBatch, runIpBatchForced } from "./ip-command.ts";
import type { HostChange, Journal } from "./journal.ts";
import type { Interfaces } from "./own-addresses.ts";
import { protectedAddresses } from "./protected-addresses.ts";
import { RepairPace } from "./repair-pace.ts";
import { chooseMark, planRoutes, type RouteWish } from "./route-choice.ts";
import { type Routing, readPlaced } from "./routing-rules.ts";
import { isValidMarkOff, type Sysctl, setValidMark } from "./sysctl.ts";

/** Milliseconds between two looks where there is a firewall, of which the kernel's news say nothing. */
export const HOST_POLL_MS = 2 * SECOND_MS;
/** Looks at rules and routes from one look at the firewall to the next, which costs more. */
export const FIREWALL_LOOKS = 3;

/** What the changes depend on. */
export interface HostSetting {
  readonly config: Pick<Config, "interface" | "peers">;
  readonly journal: Journal;
  readonly runProcess: RunProcess;
  readonly sysctl: Sysctl;
  readonly interfaces: () => Interfaces;
  readonly look: (device: string) => Promise<DeviceState | undefined>;
  readonly log: Log;
  readonly nowMs: () => number;
  readonly startTimer: StartTimer;
}

/** The host's part of one tunnel. */
export class HostChanges {
  readonly #setting: HostSetting;
  #config: HostSetting["config"];
  #wish: RouteWish;
  readonly #pace: RepairPace;
  #mark: number;
  #remembered: number | undefined;
  #routes: readonly DefaultRoute[] = [];
  #firewall: FirewallPlan | undefined;
  #firewallState: HostStatus["firewall"] = "off";
  #adopted: readonly HostChange[] = [];
  #looks = 0;
  /** The last line about what could not be put back, so that it stands in the log once. */
  #complaint: string | undefined;
  #making: Promise<void> | undefined;
  /** A look that is wanted and has not begun. */
  #poll: Promise<void> | undefined;
  /** The last look, which the next one waits for; it never fails. */
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(setting: HostSetting) {
    this.#setting = setting;
    this.#config = setting.config;
    this.#wish = wishOf(setting.config);
    this.#mark = this.#wish.fwmark;
    this.#pace = new RepairPace({ ...setting, again: () => this.#pollSoon() });
  }

  /** Undoes what a killed run has left. */
  async recover(): Promise<void> {
    const { journal, log } = this.#setting;
    const state = journal.read();
    switch (state.kind) {
      case "none":
        return;
      case "left":
        return await this.#undoLeft(state.changes);
      case "elsewhere":
        log.debug(`${journal.path} is of another ${state.where}: nothing to undo here`);
        return await journal.keep([]);
      case "alive":
        if (this.#wish.families.length === 0 && !wantsFirewall(this.#config)) return;
        throw new DaemonError(
          `already running: process ${state.pid} keeps ${journal.path}; end it, or set another interface.state_dir`,
        );
      case "bad":
        return log.warn(
          `${journal.path} ${state.reason}: if a killed run has left rules, they are not undone; see 'ip rule' and 'nft list tables', and remove the file`,
        );
      default:
        return state satisfies never;
    }
  }

  /** Changes that another process leaves to this one, from `up` on; in place of `recover`. */
  adopt(changes: readonly HostChange[]): void {
    this.#adopted = changes;
    const wanted = changes.filter((change) => this.#isWanted(change));
    this.#routes = wanted.filter((change) => change.kind === "default-route");
    this.#mark = this.#routes[0]?.mark ?? this.#mark;
  }

  /** Puts what was adopted into the journal, but for what is not wanted here, which is undone. */
  async #keepAdopted(): Promise<void> {
    if (this.#adopted.length === 0) return;
    const { journal, runProcess, sysctl, log } = this.#setting;
    const rest = this.#adopted.filter((change) => !this.#isWanted(change));
    await journal.keep(this.#adopted);
    const { left, complaints } = await undoChanges(rest, this.#wish.device, runProcess, sysctl);
    for (const line of complaints) log.warn(`undoing: ${line}`);
    const gone = rest.filter((change) => !left.includes(change));
    await journal.keep(this.#adopted.filter((change) => !gone.includes(change)));
    this.#adopted = [];
  }

  #isWanted(change: HostChange): boolean {
    const { families } = this.#wish;
    switch (change.kind) {
      case "default-route":
        return families.includes(change.family);
      case "src-valid-mark":
        return families.includes(4);
      case "firewall":
        return families.length > 0 || wantsFirewall(this.#config);
      default:
        return change satisfies never;
    }
  }

  /** The mark of the outer datagrams; throws a DaemonError where the default routes cannot be had. */
  async prepare(): Promise<number> {
    if (this.#wish.families.length > 0 && this.#routes.length === 0) {
      this.#mark = await chooseMark(this.#wish, this.#remembered, this.#setting.runProcess);
    }
    return this.#mark;
  }

  /** Makes the changes; `port` is the outer socket's. After a failure `down` undoes what was made. */
  async up(port: number): Promise<void> {
    if (this.#isClosed) return;
    this.#making = this.#make(port);
    await this.#making;
  }

  /** Mark of the outer datagrams. */
  get mark(): number {
    return this.#mark;
  }

  /** The mark that another configuration needs; throws a DaemonError where its default routes cannot be had. */
  async prepareChange(config: HostSetting["config"]): Promise<number> {
    const wish = wishOf(config);
    if (wish.families.length === 0) return wish.fwmark;
    if (this.#wish.families.length > 0) return this.#mark;
    return await chooseMark(wish, this.#remembered, this.#setting.runProcess);
  }

  /**
   * Makes what another configuration wants of what was made, with the mark from `prepareChange`. After a failure the
   * configuration before can be made in the same way.
   */
  async change(config: HostSetting["config"], mark: number, port: number): Promise<void> {
    await Promise.allSettled([this.#making, this.#looking]);
    if (this.#isClosed) return;
    this.#config = config;
    this.#wish = wishOf(config);
    this.#mark = mark;
    this.#making = this.#makeChange(port);
    await this.#making;
  }

  /** Puts back what is missing; callers share a look that has not begun. */
  poll(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#poll ??= this.#looking.then(() => {
      this.#poll = undefined;
      return this.#isClosed ? undefined : this.#lookOnce();
    });
    this.#looking = this.#poll.catch(() => undefined);
    return this.#poll;
  }

  #pollSoon(): void {
    this.poll().catch((error: unknown) => this.#setting.log.debug(messageOf(error)));
  }

  /** Undoes the changes; resolves when nothing of this runs. */
  async down(): Promise<void> {
    this.#isClosed = true;
    this.#pace.close();
    await Promise.allSettled([this.#making, this.#looking]);
    const { journal, log } = this.#setting;
    if (journal.changes.length === 0) return;
    for (const line of await this.#undo(journal.changes)) log.warn(`undoing: ${line}`);
  }

  status(): HostStatus {
    const families = this.#routes.map(({ family }) => nameOf(family));
    return {
      defaultRoute: families.length === 0 ? null : { families, mark: this.#mark },
      firewall: this.#firewallState,
    };
  }

  async #undoLeft(changes: readonly HostChange[]): Promise<void> {
    const { log } = this.#setting;
    const route = changes.find((change) => change.kind === "default-route");
    this.#remembered = route?.mark;
    const complaints = await this.#undo(changes);
    if (complaints.length === 0) log.info("undid what a killed run had left on this host");
    for (const line of complaints) log.warn(`undoing what a killed run had left: ${line}`);
  }

  /** Undoes; the journal keeps what is left. */
  async #undo(changes: readonly HostChange[]): Promise<readonly string[]> {
    const { journal, runProcess, sysctl } = this.#setting;
    const undone = await undoChanges(changes, this.#wish.device, runProcess, sysctl);
    await journal.keep(undone.left);
    return undone.complaints;
  }

  async #make(port: number): Promise<void> {
    await this.#keepAdopted();
    const { runProcess, log } = this.#setting;
    const { families } = this.#wish;
    const missing = families.filter((family) => !this.#routes.some((one) => one.family === family));
    const wish = { ...this.#wish, families: missing };
    const routes = missing.length > 0 ? await planRoutes(wish, this.#mark, runProcess) : [];
    for (const family of missing) {
      if (routes.some((route) => route.family === family)) continue;
      log.warn(`this host has no IPv${family}: no default route for it`);
    }
    await this.#protect(families.length > 0 ? { port, mark: this.#mark } : undefined);
    if (families.includes(4)) await this.#setSwitch();
    for (const route of routes) await this.#setRoute(route);
  }

  /** What nobody wants any more goes first. */
  async #makeChange(port: number): Promise<void> {
    this.#routes = this.#routes.filter(({ family }) => this.#wish.families.includes(family));
    await this.#undoWhere((change) => change.kind !== "firewall" && !this.#isWanted(change));
    await this.#make(port);
  }

  async #undoWhere(isUnwanted: (change: HostChange) => boolean): Promise<void> {
    const { journal, runProcess, sysctl, log } = this.#setting;
    const changes = journal.changes.filter(isUnwanted);
    if (changes.length === 0) return;
    const { left, complaints } = await undoChanges(changes, this.#wish.device, runProcess, sysctl);
    await journal.keep(journal.changes.filter((one) => !isUnwanted(one) || left.includes(one)));
    for (const line of complaints) log.warn(`undoing: ${line}`);
  }

  async #setRoute(route: DefaultRoute): Promise<void> {
    if (this.#isClosed) return;
    const { journal, runProcess } = this.#setting;
    await journal.record({ kind: "default-route", ...route });
    const commands = defaultRouteUp(route, this.#wish.device);
    await runIpBatch(commands, runProcess, [familyFlag(route.family)]);
    this.#routes = [...this.#routes, route];
  }

  async #setSwitch(): Promise<void> {
    const { journal, sysctl, log } = this.#setting;
    if (this.#isClosed || !isValidMarkOff(sysctl)) return;
    await journal.record({ kind: "src-valid-mark", before: "0" });
    const fault = setValidMark(sysctl);
    if (fault === undefined) return;
    log.warn(`${fault}; where rp_filter is 1 the peers' datagrams are dropped: set it by hand`);
    await this.#unrecord("src-valid-mark");
  }

  async #protect(socket: FirewallPlan["socket"]): Promise<void> {
    const { journal, runProcess, interfaces, log } = this.#setting;
    const device = this.#wish.device;
    const addresses = wantsFirewall(this.#config)
      ? protectedAddresses(this.#config.interface.addresses, device, interfaces(), log)
      : { 4: [], 6: [] };
    const isEmpty = addresses[4].length + addresses[6].length === 0;
    if (this.#isClosed) return;
    if (isEmpty && socket === undefined) {
      const hadOne = this.#firewall !== undefined;
      this.#firewall = undefined;
      this.#firewallState = "off";
      if (hadOne) await this.#undoWhere(({ kind }) => kind === "firewall");
      return;
    }
    const plan: FirewallPlan = { device, addresses, socket };
    if (isDeepStrictEqual(plan, this.#firewall)) return;
    const isFirst = !journal.changes.some(({ kind }) => kind === "firewall");
    if (isFirst) await journal.record({ kind: "firewall" });
    const fault = await setFirewall(plan, runProcess);
    if (fault === undefined) {
      this.#firewall = plan;
      this.#firewallState = isEmpty ? "off" : "on";
      return;
    }
    if (isFirst) await this.#unrecord("firewall");
    if (!isEmpty) this.#firewallState = "failed";
    log.warn(`no firewall (${fault}): ${whatIsMissing(isEmpty, socket !== undefined)}`);
  }

  async #unrecord(kind: HostChange["kind"]): Promise<void> {
    const { journal } = this.#setting;
    await journal.keep(journal.changes.filter((change) => change.kind !== kind));
  }

  async #lookOnce(): Promise<void> {
    await this.#lookAtRoutes();
    this.#looks += 1;
    if (this.#looks % FIREWALL_LOOKS === 0) await this.#lookAtFirewall();
  }

  async #lookAtRoutes(): Promise<void> {
    if (this.#routes.length === 0) return;
    const { runProcess, look } = this.#setting;
    const { device } = this.#wish;
    const found = await Promise.all(
      this.#routes.map(({ family }) => readPlaced(family, device, runProcess)),
    );
    let missing = this.#missing(found, true);
    // Rarely needed, and a look costs too.
    if (missing.length > 0) missing = this.#missing(found, (await look(device))?.isUp === true);
    if (missing.length === 0) this.#pace.whole();
    else if (!this.#isClosed && this.#pace.mayTry()) await this.#putBack(missing);
  }

  /** `found`: the routing of each route's family. */
  #missing(found: readonly Routing[], isLinkUp: boolean): readonly Lack[] {
    return this.#routes.flatMap((route, at) => {
      const routing = found[at];
      // No rules at all: that was no answer.
      if (routing === undefined || routing.rules.length === 0) return [];
      const commands = defaultRouteLack(route, this.#wish.device, isLinkUp, routing);
      return commands.length === 0 ? [] : [{ family: route.family, commands }];
    });
  }

  async #putBack(missing: readonly Lack[]): Promise<void> {
    const { runProcess, log } = this.#setting;
    const said = await Promise.all(
      missing.map(({ family, commands }) =>
        runIpBatchForced(commands, runProcess, [familyFlag(family)]),
      ),
    );
    const complaint = said.flat().join("; ");
    const names = missing.map(({ family }) => nameOf(family)).join(" and ");
    if (complaint === "") log.info(`the default route of ${names} was taken away; put back`);
    else this.#pace.failed();
    if (complaint !== "" && complaint !== this.#complaint) {
      log.warn(`cannot put back the default route of ${names}: ${complaint}`);
    }
    this.#complaint = complaint;
  }

  async #lookAtFirewall(): Promise<void> {
    const { runProcess, log } = this.#setting;
    if (this.#firewall === undefined || (await hasFirewall(this.#wish.device, runProcess))) return;
    if (this.#isClosed) return;
    const fault = await setFirewall(this.#firewall, runProcess);
    if (fault === undefined) log.info("the firewall's table was taken away; put back");
    else log.debug(`cannot put back the firewall's table: ${fault}`);
  }
}

function wishOf(config: HostSetting["config"]): RouteWish {
  const { name: device, fwmark } = config.interface;
  return { device, families: defaultFamilies(config), fwmark };
}

interface Lack {
  readonly family: 4 | 6;
  readonly commands: readonly (readonly string[])[];
}

function nameOf(family: 4 | 6): "IPv4" | "IPv6" {
  return family === 4 ? "IPv4" : "IPv6";
}

function whatIsMissing(isUnguarded: boolean, isRouted: boolean): string {
  const forged = "forged packets to the inner addresses are let in";
  const strict = "where rp_filter is 1 the peers' datagrams are dropped";
  return [...(isUnguarded ? [] : [forged]), ...(isRouted ? [strict] : [])].join(", and ");
}
