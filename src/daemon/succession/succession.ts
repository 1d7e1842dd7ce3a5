/**
 * What one run of a tunnel leaves to the next, and takes from the one before.
 *
 * Three ways, each better than a start from nothing: another process that is still there hands its tunnel over
 * (hand-over.ts, take-over.ts); descriptors that systemd has kept (inherited.ts); the peers' last endpoints
 * (last-endpoints.ts), always.
 */
import type { EngineFeatures } from "../../engine/messages.ts";
import type { Log } from "../../log.ts";
import type { ControlEnvironment } from "../control-environment.ts";
import type { EngineLink } from "../engine-link.ts";
import { DaemonError, messageOf } from "../failure.ts";
import type { DeviceState } from "../host/device-state.ts";
import type { HostChanges } from "../host/host-changes.ts";
import { HandOver } from "./hand-over.ts";
import { endpointsToKeep } from "./last-endpoints.ts";
import type { Predecessor, Taken } from "./take-over.ts";

/** An engine that has begun. */
export interface RunningEngine {
  readonly link: EngineLink;
  readonly features: EngineFeatures;
}

/** What it asks of the running tunnel. */
export interface RunningTunnel {
  /** Throws a DaemonError while the tunnel starts. */
  readonly engine: () => RunningEngine;
  /** Why the tunnel cannot be given away at this moment; undefined: it can. */
  readonly obstacle: () => string | undefined;
  /** The device before the tunnel took it; undefined: it is the tunnel's own. */
  readonly before: () => DeviceState | undefined;
  /** Stops listening and frees the control socket's path at once. */
  readonly leaveSocket: () => void;
}

/** The succession of one run. */
export class Succession {
  readonly handOver: HandOver;
  readonly #environment: ControlEnvironment;
  readonly #log: Log;
  #taken: Taken | undefined;

  constructor(environment: ControlEnvironment, log: Log, tunnel: RunningTunnel) {
    this.#environment = environment;
    this.#log = log;
    this.handOver = new HandOver({
      ...environment,
      ...tunnel,
      host: () => ({
        changes: [...environment.journal.changes],
        before: copied(tunnel.before()),
        isUdpGiven: this.#isUdpGiven,
      }),
      givenSocket: () => this.givenSocket,
      log,
    });
  }

  /** Whether the device came from an earlier run, with its addresses and routes. */
  get hasDevice(): boolean {
    return this.#taken !== undefined || this.#environment.startedWith.tun !== undefined;
  }

  /** A control socket that somebody else has opened, which is ours to answer; undefined: there is none. */
  get givenSocket(): number | undefined {
    return (this.#taken ?? this.#environment.startedWith).control;
  }

  get #isUdpGiven(): boolean {
    const { udp, isUdpGiven } = this.#taken?.inherited ?? this.#environment.startedWith;
    return udp !== undefined && isUdpGiven;
  }

  /** What the device was before any run took it; `found`: what it was at this start. */
  before(found: DeviceState | undefined): DeviceState | undefined {
    if (this.#taken !== undefined) return this.#taken.before ?? undefined;
    return this.#environment.startedWith.tun === undefined ? found : undefined;
  }

  /** Takes the tunnel of the process that has it, for an engine that is loaded. */
  async takeOver(link: EngineLink, host: HostChanges): Promise<EngineFeatures> {
    const { predecessor } = this.#environment;
    if (predecessor === undefined) throw new DaemonError("no other process has this tunnel");
    const taken = await predecessor.take();
    this.#taken = taken;
    host.adopt(taken.changes);
    try {
      const mark = await host.prepare();
      return await this.#begin(link, taken, mark, predecessor);
    } catch (error) {
      await predecessor.failed(taken);
      throw error;
    }
  }

  async #begin(
    link: EngineLink,
    taken: Taken,
    mark: number,
    predecessor: Predecessor,
  ): Promise<EngineFeatures> {
    try {
      link.begin(taken.inherited, taken.endpoints, mark);
      const features = await link.ready();
      await predecessor.done(taken);
      return features;
    } catch (error) {
      // Two must not read, and the other goes on. Its end has a reason of its own if it is not this order.
      await link.stop("let-go").catch(() => undefined);
      throw error;
    }
  }

  /** A hint for the next run: without it that one waits longer, no more. */
  async keepEndpoints(link: EngineLink): Promise<void> {
    try {
      const { snapshot } = await link.snapshot();
      await this.#environment.lastEndpoints.write(endpointsToKeep(snapshot));
    } catch (error) {
      this.#log.debug(`the peers' endpoints are not kept: ${messageOf(error)}`);
    }
  }
}

function copied(state: DeviceState | undefined) {
  if (state === undefined) return null;
  return { ...state, addresses: [...state.addresses], routes: [...state.routes] };
}
