/**
 * The control side: starts the engine, configures the device, resolves names, logs and answers status.
 *
 * Everything outside is injected, so that it runs in tests without a device; `daemon.ts` joins it to the
 * process (signals, exceptions, exit). The trap: the engine can end at any moment, and every await here
 * may then be refused; the first end wins, and the rest is shutdown.
 */
import type { Config } from "../config/config.ts";
import { defaultFamilies, takesAll } from "../config/default-families.ts";
import { wipeKeys } from "../config/load.ts";
import type { PlainEndpoint, TunnelEvent } from "../core/options.ts";
import { SECOND_MS } from "../core/time.ts";
import type { EngineFeatures } from "../engine/messages.ts";
import type { Log } from "../log.ts";
import { atMost } from "./at-most.ts";
import { EventStream } from "./control/event-stream.ts";
import { History } from "./control/history.ts";
import { Probing } from "./control/probing.ts";
import { type StatusDocument, statusDocument } from "./control/status.ts";
import type { ControlEnvironment } from "./control-environment.ts";
import { EngineLink } from "./engine-link.ts";
import { engineStart } from "./engine-start.ts";
import { DaemonError, messageOf } from "./failure.ts";
import type { DeviceState } from "./host/device-state.ts";
import { HostChanges } from "./host/host-changes.ts";
import { LinkWatch } from "./host/link-watch.ts";
import { readDeviceState } from "./host/network.ts";
import { offloadState, offloadText } from "./host/offloads.ts";
import { zoneIndex } from "./host/own-addresses.ts";
import { TunnelDevice } from "./host/tunnel-device.ts";
import { StrangerList } from "./log/stranger-list.ts";
import { lookupFamily } from "./names/lookup-family.ts";
import { Resolver } from "./names/resolver.ts";
import { Polls } from "./polls.ts";
import { rejector } from "./rejector.ts";
import { Reloader } from "./reload/reloader.ts";
import { Reports } from "./reports.ts";
import { type RunningEngine, Succession } from "./succession/succession.ts";
import { Surface } from "./surface.ts";

/** Milliseconds that a stop waits for a start which it interrupts. */
export const START_WAIT_MS = SECOND_MS / 2;
/** In place of the reloader while the host is still being changed. */
const STARTING = { handOverObstacle: "the tunnel is still starting: try again" };

/** One tunnel's control side. */
export class ControlSide {
  #config: Config;
  readonly #log: Log;
  readonly #environment: ControlEnvironment;
  readonly #reports: Reports;
  readonly #strangers = new StrangerList();
  readonly #links: LinkWatch;
  readonly #resolver: Resolver;
  readonly #host: HostChanges;
  readonly #startedAtMs: number;
  readonly #ended: (error: DaemonError) => void;
  readonly #surface: Surface;
  readonly #polls: Polls;
  #reloader: Reloader | undefined;
  #link: EngineLink | undefined;
  #features: EngineFeatures | undefined;
  readonly #device: TunnelDevice;
  readonly #history = new History();
  readonly #events: EventStream;
  readonly #probing: Probing;
  /** Peers whose names have to be known before the default route is set. */
  #awaited: readonly string[] = [];
  #isStopping = false;
  #started: Promise<void> | undefined;
  readonly #succession: Succession;
  /** Rejects when the engine ends by itself; never resolves. */
  readonly ended: Promise<never>;

  constructor(config: Config, log: Log, environment: ControlEnvironment) {
    this.#config = config;
    this.#log = log;
    this.#environment = environment;
    this.#events = new EventStream(environment.wallMs);
    this.#reports = new Reports(log, environment.nowMs, this.#events);
    this.#startedAtMs = environment.nowMs();
    const { promise, reject } = rejector();
    this.ended = promise;
    this.#ended = reject;
    this.#device = new TunnelDevice(config, { ...environment, log });
    this.#probing = new Probing(() => this.#running(), environment);
    this.#host = new HostChanges({ ...environment, config, log });
    this.#links = new LinkWatch({
      ...environment,
      name: config.interface.name,
      changed: (own) => this.#link?.apply([{ kind: "own-links", ...own }]),
      poll: () => this.#pollHost(),
      // The engine's end refuses it; its reason is reported by `ended`.
      failed: (error) => log.debug(messageOf(error)),
    });
    this.#succession = new Succession(environment, log, {
      engine: () => this.#running(),
      obstacle: () => (this.#reloader ?? STARTING).handOverObstacle,
      before: () => this.#device.before,
      leaveSocket: () => this.#surface.leave(),
    });
    this.#surface = this.#surfaceOf();
    this.#polls = new Polls(environment.startTimer, {
      sample: () => this.#sample(),
      drops: () => this.#summarizeDrops(),
      trace: () => this.#logTrace(),
      firewall: () => this.#host.poll(),
      // The engine's end refuses what waits for it; its reason is reported by `ended`.
      failed: (error) => log.debug(`while ending: ${messageOf(error)}`),
    });
    this.#resolver = new Resolver({
      ...environment,
      lookup: (host) => environment.lookup(host, lookupFamily(this.#features?.udpFamily, config)),
      zoneIndex: (zone) => zoneIndex(environment.interfaces(), zone),
      resolved: (peer, endpoints) => this.#resolved(peer, endpoints),
      failed: (peer, host, reason, retryMs) => {
        const waits = this.#awaited.includes(peer) ? "; the default route waits for it" : "";
        const next = `next try in ${retryMs / SECOND_MS} s${waits}`;
        log.warn(`cannot resolve ${host} of peer ${peer}: ${reason}; ${next}`);
      },
    });
  }

  /** Resolves when another process has taken the tunnel over. */
  get handedOver(): Promise<void> {
    return this.#succession.handOver.done;
  }

  /** Brings the tunnel up; throws a DaemonError with one line where that fails (`stop` cleans up). */
  start(): Promise<void> {
    this.#started = this.#start();
    return this.#started;
  }

  /** A stop may come at every await: nothing is begun after it. */
  async #start(): Promise<void> {
    const { name } = this.#config.interface;
    const { predecessor, runProcess } = this.#environment;
    if (predecessor === undefined) {
      // First, because a socket that answers means that this tunnel already runs.
      await this.#surface.claim();
      if (this.#isStopping) return;
      await this.#host.recover();
    }
    const before = await readDeviceState(name, runProcess);
    if (this.#isStopping) return;
    const mark = predecessor === undefined ? await this.#host.prepare() : 0;
    if (this.#isStopping) return;
    const features = await this.#startEngine(mark);
    if (features === undefined || this.#isStopping) return;
    this.#features = features;
    await this.#startDevice(features, before);
    if (this.#isStopping) return;
    await this.#surface.open();
    if (this.#isStopping) return;
    for (const peer of this.#config.peers) this.#resolver.add(peer);
    this.#links.start(features.tunName, this.#polls.repeats);
    this.#polls.start(this.#config);
    // Before the default route, which may have to wait for names for as long as they do not resolve.
    const { link: engine } = this.#running();
    const { descriptors } = features;
    this.#environment.observer.ready({ engine, descriptors, mtu: this.#device.mtu.mtu });
    await this.#changeHost(features.udpPort);
    if (this.#isStopping) return;
    this.#reloader = this.#newReloader(this.#running());
    this.#logStart(features);
  }

  /** A signal asks for the configuration to be read anew; what becomes of it stands in the log. */
  reloadBySignal(): void {
    if (this.#reloader !== undefined) void this.#reloader.reloadBySignal();
    else this.#log.warn("not reloaded: the tunnel is still starting");
  }

  #surfaceOf(): Surface {
    return new Surface({
      ...this.#environment,
      ...{ config: this.#config, log: this.#log },
      ...{ history: this.#history, events: this.#events, probing: this.#probing },
      handOver: this.#succession.handOver,
      givenSocket: () => this.#succession.givenSocket,
      status: () => this.status(),
      rekey: (peer) => this.#link?.rekey(peer),
      engineLoop: () => this.#link?.loop() ?? { idleMs: 0, activeMs: 0 },
      reloader: () => this.#reloader,
    });
  }

  /** The status document. */
  async status(): Promise<StatusDocument> {
    const { version, pid, residentBytes, nowMs } = this.#environment;
    const { link: engine, features } = this.#running();
    const { snapshot, counters } = await engine.snapshot();
    const { mtu } = this.#device.mtu;
    const link = (await this.#device.link()) ?? { isUp: counters.isLinkUp, mtu };
    return statusDocument({
      version,
      pid,
      uptimeSeconds: Math.round((nowMs() - this.#startedAtMs) / SECOND_MS),
      residentBytes: residentBytes(),
      config: this.#config,
      features,
      snapshot,
      counters,
      link,
      host: this.#host.status(),
      rates: (peer) => this.#history.rates(peer),
      strangers: this.#strangers.status(nowMs()),
      confirmSecondsLeft: this.#reloader?.secondsLeft,
    });
  }

  #running(): RunningEngine {
    const [link, features] = [this.#link, this.#features];
    if (link !== undefined && features !== undefined) return { link, features };
    throw new DaemonError("the tunnel is still starting");
  }

  #newReloader({ link: engine, features }: RunningEngine): Reloader {
    const { startTimer, nowMs, loadConfig, interfaces, observer } = this.#environment;
    const { udpPort: port } = features;
    return new Reloader({
      ...{ engine, startTimer, nowMs, started: this.#config, load: loadConfig },
      current: () => this.#config,
      isHandingOver: () => this.#succession.handOver.isUnderWay,
      reloading: (isUnderWay) => observer.reloading?.(isUnderWay),
      targets: {
        ...{ engine, port, host: this.#host, resolver: this.#resolver, log: this.#log },
        mark: () => this.#host.mark,
        linkMtu: () => this.#links.own.linkMtu,
        zoneIndex: (zone) => zoneIndex(interfaces(), zone),
        changeNetwork: (config) => this.#device.change(config),
        adopt: (config) => {
          this.#config = config;
          this.#log.configure(config.log);
          this.#polls.adopt(config);
        },
      },
    });
  }

  /** Close frames, keys, device, control socket: undoes all that was begun, whatever fails. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const one of [this.#resolver, this.#device, this.#polls, this.#probing]) one.close();
    const reloaded = this.#reloader?.close();
    const isHandedOver = this.#succession.handOver.close();
    const told = this.#environment.observer.stopping(isHandedOver);
    if (told !== undefined) await told;
    // Its failure is thrown to whoever started.
    const started = atMost(START_WAIT_MS, this.#started, this.#environment.startTimer);
    const results = await Promise.allSettled([
      // Asked before the engine is stopped, and not waited for: it may hang.
      isHandedOver ? undefined : this.#keepEndpoints(),
      this.#stopEngine(),
      Promise.all([started, reloaded]).then(() =>
        isHandedOver ? this.#device.leave() : this.#takeNetworkDown(),
      ),
      started.then(() => this.#surface.close()),
    ]);
    for (const result of results) {
      if (result.status === "rejected") this.#log.warn(`stopping: ${messageOf(result.reason)}`);
    }
  }

  async #stopEngine(): Promise<void> {
    // It had failed, or fails, for a reason of its own: the stop is not to blame.
    await this.#link
      ?.stop(this.#succession.handOver.isDone ? "let-go" : "stop")
      .catch((error: unknown) => {
        this.#log.warn(`the engine failed before it was stopped: ${messageOf(error)}`);
      });
  }

  async #keepEndpoints(): Promise<void> {
    if (this.#link !== undefined && this.#features !== undefined) {
      await this.#succession.keepEndpoints(this.#link);
    }
  }

  #linkReported(isUp: boolean): void {
    this.#device.linkReported(isUp);
    // The kernel took the default route along with the link; a later poll sees it too, if this one fails.
    if (isUp) this.#host.poll().catch((error: unknown) => this.#log.debug(messageOf(error)));
  }

  /** undefined: stopped meanwhile, and no engine was made. */
  async #startEngine(mark: number): Promise<EngineFeatures | undefined> {
    const { spawn, loadNodeId, interfaces, startedWith, predecessor, lastEndpoints } =
      this.#environment;
    const { stateDir, name } = this.#config.interface;
    const { id, warning } = await loadNodeId(stateDir, name);
    if (this.#isStopping) return undefined;
    if (warning !== undefined) this.#log.warn(warning);
    const { addresses: ownAddresses, linkMtu } = this.#links.read();
    const start = engineStart(this.#config, {
      nodeId: id,
      mark,
      ownAddresses,
      linkMtu,
      zoneIndex: (zone) => zoneIndex(interfaces(), zone),
      inherited: startedWith,
      endpoints: lastEndpoints.read(),
      isStandby: predecessor !== undefined,
    });
    const port = spawn(start);
    wipeKeys(this.#config);
    this.#link = new EngineLink(port, {
      event: (event) => this.#event(event),
      link: (isUp) => this.#linkReported(isUp),
      runRefused: (remote, errno) => this.#reports.runRefused(remote, errno),
      ended: (error, detail) => {
        if (detail !== undefined) this.#log.debug(detail);
        this.#ended(error);
      },
    });
    return predecessor === undefined ? this.#link.ready() : await this.#takeOver(this.#link);
  }

  async #takeOver(link: EngineLink): Promise<EngineFeatures | undefined> {
    await link.loaded();
    if (this.#isStopping) return undefined;
    const features = await this.#succession.takeOver(link, this.#host);
    await this.#surface.claim();
    return features;
  }

  async #startDevice(features: EngineFeatures, before: DeviceState | undefined): Promise<void> {
    const hasSuperPackets = features.offloads.includes("tso");
    const found = this.#succession.hasDevice ? before : undefined;
    const start = this.#succession.before(before);
    await this.#device.start(features.tunName, { hasSuperPackets, start, found });
  }

  /**
   * Once the default route leads into the tunnel, so do questions to name servers outside the local network:
   * the endpoints that it depends on have to be known before.
   */
  async #changeHost(port: number): Promise<void> {
    const families = defaultFamilies(this.#config);
    const peers = this.#config.peers.filter((peer) => families.some((one) => takesAll(peer, one)));
    this.#awaited = peers.map(({ name }) => name);
    await this.#resolver.answered(this.#awaited);
    this.#awaited = [];
    if (!this.#isStopping) await this.#host.up(port);
  }

  async #takeNetworkDown(): Promise<void> {
    await this.#device.leave();
    await this.#host
      .down()
      .catch((error: unknown) => this.#log.warn(`undoing: ${messageOf(error)}`));
    for (const complaint of await this.#device.down()) {
      this.#log.debug(`removing what was added: ${complaint}`);
    }
  }

  async #pollHost(): Promise<void> {
    await this.#device.poll();
    await this.#host.poll();
  }

  async #summarizeDrops(): Promise<void> {
    const { snapshot } = (await this.#link?.snapshot()) ?? {};
    if (snapshot !== undefined) this.#reports.drops(snapshot.drops);
  }

  async #sample(): Promise<void> {
    const sample = await this.#link?.sample();
    if (sample !== undefined) this.#history.add(sample, this.#environment.nowMs());
  }

  async #logTrace(): Promise<void> {
    const trace = await this.#link?.trace();
    if (trace !== undefined) this.#reports.trace(trace);
  }

  #event(event: TunnelEvent): void {
    this.#reports.event(event);
    this.#strangers.event(event, this.#environment.nowMs());
    this.#environment.observer.event(event);
    this.#device.event(event);
    if (event.kind === "unanswered" || event.kind === "dead") this.#resolver.refresh(event.peer);
  }

  #resolved(peer: string, endpoints: readonly PlainEndpoint[]): void {
    this.#log.debug(`peer ${peer} resolved to ${endpoints.length} addresses`);
    this.#link?.apply([{ kind: "set-endpoints", name: peer, endpoints }]);
  }

  #logStart(features: EngineFeatures): void {
    const offloads = offloadText(offloadState(this.#config.offload, features.offloads));
    this.#reports.started(features, offloads, this.#device.mtu.mtu);
  }
}
