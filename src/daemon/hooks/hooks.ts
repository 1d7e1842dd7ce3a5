/**
 * The operator's programs: which one runs when, with which variables, how many wait.
 *
 * What happens to peers is told one after the other, so that a peer's end never overtakes its begin; each other kind has
 * a queue of its own. Nothing here waits for a program but the stop, which gives `down` a part of its own time. The
 * trap: what a peer does decides how often a program is wanted, so a queue is bounded, for nodes of groups to half of
 * it, and what does not fit is counted and said.
 */
import type { HookKind, HooksConfig } from "../../config/config.ts";
import type { TunnelEvent } from "../../core/options.ts";
import { formatEndpoint } from "../../core/prefix.ts";
import { SECOND_MS } from "../../core/time.ts";
import type { Log } from "../../log.ts";
import { messageOf } from "../failure.ts";
import type { Observer, ReadyTunnel } from "../observers.ts";
import { Repeats, type StartTimer } from "../repeats.ts";
import type { HookEnd, HookRun } from "./hook-process.ts";
import { QualityThresholds } from "./hook-quality.ts";

/** BOUNDED: runs of one queue that wait; a group may bring 1,000 sites, most of them at once. */
export const MOST_WAITING = 256;
/** BOUNDED: those for nodes of groups among them: a member that comes and goes pushes out no pair's. */
export const MOST_WAITING_OF_NODES = MOST_WAITING / 2;
/** Milliseconds of the stop that `down` may take: the daemon's whole stop has 900. */
export const DOWN_LIMIT_MS = 400;
/** Milliseconds between two looks at the quality of the paths. */
export const QUALITY_POLL_MS = 5 * SECOND_MS;

/** Kinds that share a queue. */
const OF_PEERS: ReadonlySet<HookKind> = new Set(["peer_up", "peer_down", "endpoint_changed"]);

type Variables = Readonly<Record<string, string>>;

/** What hooks need. */
export interface HookSetting {
  readonly hooks: HooksConfig;
  readonly interfaceName: string;
  readonly run: (command: readonly string[], variables: Variables, timeoutMs: number) => HookRun;
  readonly startTimer: StartTimer;
  readonly log: Log;
}

interface Wanted {
  readonly kind: HookKind;
  readonly variables: Variables;
}

interface Queue {
  readonly name: string;
  readonly waiting: Wanted[];
  running: HookRun | undefined;
  dropped: number;
}

/** The programs of one tunnel. */
export class Hooks implements Observer {
  readonly #setting: HookSetting;
  readonly #queues = new Map<string, Queue>();
  readonly #repeats: Repeats;
  readonly #quality: QualityThresholds;
  #isReady = false;
  #isStopping = false;

  constructor(setting: HookSetting) {
    this.#setting = setting;
    this.#repeats = new Repeats(setting.startTimer, (error) => setting.log.debug(messageOf(error)));
    this.#quality = new QualityThresholds(setting.hooks);
  }

  ready({ engine, mtu }: ReadyTunnel): void {
    this.#isReady = true;
    this.#want("up", { IPTUN_MTU: String(mtu) });
    if (this.#setting.hooks.commands.quality.length === 0) return;
    this.#repeats.every(QUALITY_POLL_MS, async () => {
      const { snapshot } = await engine.snapshot();
      for (const crossing of this.#quality.crossings(snapshot.peers))
        this.#want("quality", crossing);
    });
  }

  event(event: TunnelEvent): void {
    if (event.kind === "session" && event.isNew) {
      const endpoint = event.endpoint === undefined ? "" : formatEndpoint(event.endpoint);
      this.#want("peer_up", { IPTUN_PEER: event.peer, IPTUN_ENDPOINT: endpoint });
    } else if (event.kind === "down") {
      this.#want("peer_down", { IPTUN_PEER: event.peer, IPTUN_REASON: event.reason });
    } else if (event.kind === "endpoint") {
      this.#want("endpoint_changed", {
        IPTUN_PEER: event.peer,
        IPTUN_ENDPOINT: formatEndpoint(event.to),
        IPTUN_OLD_ENDPOINT: event.from === undefined ? "" : formatEndpoint(event.from),
      });
    }
  }

  /** Runs `down` where `up` was due and the tunnel ends, for a bounded time; then ends whatever still runs. */
  stopping(isHandedOver: boolean): Promise<void> | undefined {
    this.#repeats.close();
    for (const queue of this.#queues.values()) queue.waiting.length = 0;
    if (this.#isReady && !isHandedOver) this.#want("down", {});
    const down = this.#queueOf("down").running;
    if (down !== undefined) return this.#untilEnd(down).then(() => this.#end());
    this.#end();
    return undefined;
  }

  #end(): void {
    this.#isStopping = true;
    for (const { running } of this.#queues.values()) running?.kill();
  }

  async #untilEnd(down: HookRun): Promise<void> {
    const { startTimer, log } = this.#setting;
    let cancel: () => void = () => undefined;
    const tooLong = new Promise<boolean>((resolve) => {
      cancel = startTimer(DOWN_LIMIT_MS, () => resolve(true));
    });
    const isLate = await Promise.race([down.ended.then(() => false), tooLong]);
    cancel();
    if (isLate) log.warn(`hook down: ended after ${DOWN_LIMIT_MS} ms, the stop waits no longer`);
  }

  #want(kind: HookKind, variables: Variables): void {
    const { hooks, log } = this.#setting;
    if (this.#isStopping || hooks.commands[kind].length === 0) return;
    const queue = this.#queueOf(kind);
    const wanted = { kind, variables };
    const fault = whyFull(queue, wanted);
    if (fault !== undefined) {
      queue.dropped += 1;
      if (queue.dropped === 1) log.warn(`${queue.name}: ${fault}, more are left out`);
      return;
    }
    queue.waiting.push(wanted);
    this.#next(queue);
  }

  #queueOf(kind: HookKind): Queue {
    const name = OF_PEERS.has(kind) ? "hooks of peers" : `hook ${kind}`;
    const queue = this.#queues.get(name) ?? { name, waiting: [], running: undefined, dropped: 0 };
    this.#queues.set(name, queue);
    return queue;
  }

  #next(queue: Queue): void {
    if (queue.running !== undefined || this.#isStopping) return;
    const wanted = queue.waiting.shift();
    if (wanted === undefined) {
      if (queue.dropped > 0)
        this.#setting.log.warn(`${queue.name}: ${queue.dropped} runs were left out`);
      queue.dropped = 0;
      return;
    }
    const { kind, variables } = wanted;
    const { hooks, interfaceName, run } = this.#setting;
    const all = { IPTUN_EVENT: kind, IPTUN_INTERFACE: interfaceName, ...variables };
    const running = run(hooks.commands[kind], all, hooks.timeoutMs);
    queue.running = running;
    // It never rejects.
    void running.ended.then((end) => {
      this.#report(kind, end);
      queue.running = undefined;
      this.#next(queue);
    });
  }

  #report(kind: HookKind, { exitCode, fault, line }: HookEnd): void {
    const { log } = this.#setting;
    if (line !== "") log.debug(`hook ${kind}: ${line}`);
    if (exitCode === 0 || this.#isStopping) return;
    log.warn(`hook ${kind} failed: ${fault ?? `exit code ${exitCode}`}`);
  }
}

/** Why the queue has no room for this run; undefined: it has. */
function whyFull({ waiting }: Queue, wanted: Wanted): string | undefined {
  if (waiting.length >= MOST_WAITING) return `${MOST_WAITING} runs wait`;
  if (!isOfNode(wanted) || waiting.filter(isOfNode).length < MOST_WAITING_OF_NODES)
    return undefined;
  return `${MOST_WAITING_OF_NODES} runs for nodes of groups wait`;
}

/** A node is named "group/node". */
function isOfNode({ variables }: Wanted): boolean {
  return variables["IPTUN_PEER"]?.includes("/") ?? false;
}
