/**
 * Reads the configuration's file anew while the tunnel runs, and takes it over as a whole or not at all.
 *
 * One at a time: whoever asks while one is under way waits for the next one, which reads the file after that; so
 * any number of signals and requests is two readings. With a time to confirm, the configuration before comes back
 * by itself unless `confirm` is called in that time: a remote site is not lost to a typo. Until then another reload
 * is refused, because there would be two ways back. While another process takes the tunnel over, a reload is refused;
 * while there is one, or a way back, the other process is (hand-over.ts): the host is changed by one at a time.
 *
 * The trap: an engine that ends refuses what waits for it; its reason is reported by the control side.
 */
import type { Config } from "../../config/config.ts";
import { difference, type NamedConfig } from "../../config/difference.ts";
import { wipeKeys } from "../../config/load.ts";
import { ConfigError, type ConfigProblem } from "../../config/problem.ts";
import { configWarnings } from "../../config/warnings.ts";
import { secretCopy } from "../../core/secret.ts";
import { SECOND_MS } from "../../core/time.ts";
import { bufferMtu } from "../../engine/messages.ts";
import type { EngineLink } from "../engine-link.ts";
import { mtuOptions } from "../engine-start.ts";
import { DaemonError, messageOf } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import { type ReloadTargets, type TakenOver, takeOver } from "./reload-steps.ts";

/** Seconds that a confirmation may be waited for at most. */
export const LONGEST_CONFIRM_SECONDS = 3_600;

/** What became of a reload. */
export type ReloadAnswer =
  | {
      readonly outcome: "applied";
      /** One for each change; none: the file says what is. */
      readonly changes: readonly string[];
      readonly warnings: readonly string[];
      /** Seconds in which it has to be confirmed; null: it stays. */
      readonly confirmSeconds: number | null;
    }
  /** Nothing was changed: one reason a line. */
  | { readonly outcome: "refused"; readonly reasons: readonly string[] }
  | {
      readonly outcome: "bad-configuration";
      readonly file: string;
      readonly problems: readonly ConfigProblem[];
      /** All problems, a line each, as `check` prints them. */
      readonly text: string;
    };

/** What a reload needs of the tunnel. */
export interface ReloadSetting {
  readonly targets: Omit<ReloadTargets, "within">;
  readonly engine: Pick<EngineLink, "reconfigure" | "nameKeys" | "snapshot">;
  /** Reads the file; throws a ConfigError. */
  readonly load: () => Config;
  /** What the tunnel was started with. */
  readonly started: Config;
  /** What it has at present; its keys are wiped. */
  readonly current: () => Config;
  readonly startTimer: StartTimer;
  readonly nowMs: () => number;
  /** Whether another process takes the tunnel over, or has it. */
  readonly isHandingOver: () => boolean;
  /** Told when a reload begins and when it has ended, whatever came of it. */
  readonly reloading: (isUnderWay: boolean) => void;
}

interface Waiting {
  readonly confirmSeconds: number | undefined;
  readonly answer: Promise<ReloadAnswer>;
}

interface Unconfirmed {
  readonly taken: TakenOver;
  readonly seconds: number;
  readonly untilMs: number;
  readonly cancel: () => void;
}

/** The reloads of one tunnel. */
export class Reloader {
  readonly #setting: ReloadSetting;
  readonly #targets: ReloadTargets;
  /** The reload under way, or the last one; it never fails. */
  #last: Promise<unknown> = Promise.resolve();
  /** BOUNDED: one that has not begun; whoever asks for the same shares it. */
  #waiting: Waiting | undefined;
  #unconfirmed: Unconfirmed | undefined;
  /** What waits or is under way. */
  #pending = 0;
  #isClosed = false;

  constructor(setting: ReloadSetting) {
    this.#setting = setting;
    this.#targets = {
      ...setting.targets,
      within: (ms, work, late) => within(setting.startTimer, ms, work, late),
    };
  }

  /** Seconds that are left to confirm; undefined: nothing waits for it. */
  get secondsLeft(): number | undefined {
    if (this.#unconfirmed === undefined) return undefined;
    const ms = this.#unconfirmed.untilMs - this.#setting.nowMs();
    return Math.max(0, Math.ceil(ms / SECOND_MS));
  }

  /** Why the tunnel cannot be handed over at this moment; undefined: it can. */
  get handOverObstacle(): string | undefined {
    if (this.#pending > 0) return "a reload is under way: try again";
    if (this.#unconfirmed === undefined) return undefined;
    return `a reload waits to be confirmed (${this.secondsLeft} s left): run 'iptun confirm' first`;
  }

  /** Takes the file over; undefined: it needs no confirmation. */
  reload(confirmSeconds: number | undefined): Promise<ReloadAnswer> {
    if (this.#setting.isHandingOver()) {
      const reason = "another process takes the tunnel over: reload that one, or try again";
      return Promise.resolve({ outcome: "refused", reasons: [reason] });
    }
    const waiting = this.#waiting;
    if (waiting !== undefined && waiting.confirmSeconds === confirmSeconds) return waiting.answer;
    if (waiting !== undefined) {
      const reason = "another reload waits already; ask again when it is done";
      return Promise.resolve({ outcome: "refused", reasons: [reason] });
    }
    const answer = this.#next(() => {
      this.#waiting = undefined;
      return this.#reload(confirmSeconds);
    });
    this.#waiting = { confirmSeconds, answer };
    return answer;
  }

  /** A signal's reload: what becomes of it stands in the log. */
  async reloadBySignal(): Promise<void> {
    const { log } = this.#targets;
    try {
      const answer = await this.reload(undefined);
      if (answer.outcome === "applied") return;
      const reasons = answer.outcome === "refused" ? answer.reasons : answer.text.split("\n");
      for (const reason of reasons) log.error(`reload: ${reason}`);
      log.error("reload: the configuration stays as it was");
    } catch (error) {
      log.error(`reload: ${messageOf(error)}; the configuration stays as it was`);
    }
  }

  /** The configuration stays; throws a DaemonError where none waits for that. */
  confirm(): Promise<void> {
    return this.#next(async () => {
      const unconfirmed = this.#unconfirmed;
      if (unconfirmed === undefined) throw new DaemonError("nothing waits to be confirmed");
      unconfirmed.cancel();
      this.#unconfirmed = undefined;
      await unconfirmed.taken.commit();
      this.#targets.log.info("the configuration is confirmed");
    });
  }

  /** Nothing begins any more; resolves when nothing runs. What is not confirmed is not taken back: the tunnel ends. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unconfirmed?.cancel();
    await this.#last;
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    this.#pending += 1;
    const done = this.#last
      .then(() => {
        if (this.#isClosed) throw new DaemonError("the tunnel is stopping");
        return work();
      })
      .finally(() => {
        this.#pending -= 1;
      });
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #reload(confirmSeconds: number | undefined): Promise<ReloadAnswer> {
    if (this.#unconfirmed !== undefined) {
      const left = `${this.secondsLeft} s left`;
      const reason = `the configuration waits to be confirmed (${left}); confirm it, or wait`;
      return { outcome: "refused", reasons: [reason] };
    }
    this.#tell(true);
    try {
      return await this.#read(confirmSeconds);
    } finally {
      this.#tell(false);
    }
  }

  #tell(isUnderWay: boolean): void {
    this.#setting.reloading(isUnderWay);
    this.#targets.log.debug(isUnderWay ? "reload begins" : "reload ends");
  }

  async #read(confirmSeconds: number | undefined): Promise<ReloadAnswer> {
    let config: Config;
    try {
      config = this.#setting.load();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { file, problems, message } = error;
      return { outcome: "bad-configuration", file, problems, text: message };
    }
    try {
      return await this.#compare(config, confirmSeconds);
    } finally {
      wipeKeys(config);
    }
  }

  async #compare(config: Config, confirmSeconds: number | undefined): Promise<ReloadAnswer> {
    const [before, after] = await this.#named(config);
    const { started } = this.#setting;
    const largest = bufferMtu(mtuOptions(started.interface, 0).mtu);
    const { lines, refusals } = difference(before, after, largest);
    if (refusals.length > 0) return { outcome: "refused", reasons: refusals };
    const warnings = configWarnings(config);
    const answer = { outcome: "applied", changes: lines, warnings } as const;
    if (lines.length === 0) return { ...answer, confirmSeconds: null };
    const taken = await takeOver(before, after, this.#targets);
    const { log } = this.#targets;
    for (const line of lines) log.info(`reload: ${line}`);
    for (const warning of warnings) log.warn(`reload: ${warning}`);
    if (confirmSeconds === undefined) await taken.commit();
    else this.#await(taken, confirmSeconds);
    return { ...answer, confirmSeconds: confirmSeconds ?? null };
  }

  /** Both configurations with the names of their keys, which the engine knows and makes. */
  async #named(config: Config): Promise<readonly [NamedConfig, NamedConfig]> {
    const { engine, current } = this.#setting;
    const { snapshot } = await engine.snapshot();
    const copies = config.peers.map(({ kind, keys }) => ({
      kind,
      keys: keys.map((key) => secretCopy(key)),
    }));
    const names = await engine.nameKeys(copies);
    const had = snapshot.peers.map(({ name, fingerprints }) => [name, fingerprints] as const);
    const has = config.peers.map(({ name }, at) => [name, names[at] ?? []] as const);
    return [
      { config: current(), fingerprints: new Map(had) },
      { config, fingerprints: new Map(has) },
    ];
  }

  #await(taken: TakenOver, seconds: number): void {
    const { startTimer, nowMs } = this.#setting;
    const ms = seconds * SECOND_MS;
    this.#targets.log.warn(`reload: taken back in ${seconds} s unless 'iptun confirm' comes`);
    const cancel = startTimer(ms, () => {
      this.#next(() => this.#rollBack()).catch((error: unknown) => {
        this.#targets.log.error(`rolling back: ${messageOf(error)}`);
      });
    });
    this.#unconfirmed = { taken, seconds, cancel, untilMs: nowMs() + ms };
  }

  async #rollBack(): Promise<void> {
    const unconfirmed = this.#unconfirmed;
    // Confirmed at the last moment.
    if (unconfirmed === undefined) return;
    this.#unconfirmed = undefined;
    const { log } = this.#targets;
    const complaints = await unconfirmed.taken.rollBack();
    log.error(
      `NOT CONFIRMED in ${unconfirmed.seconds} s: ROLLED BACK to the configuration before; the file still has the other one`,
    );
    for (const line of complaints) log.error(`rolling back: ${line}`);
  }
}

function within(
  startTimer: StartTimer,
  ms: number,
  work: Promise<void>,
  late: () => DaemonError,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = startTimer(ms, () => reject(late()));
    work.then(resolve, reject).finally(cancel);
  });
}
