/** An engine's port that a test plays: it sees the commands and gives the reports. */
import { keyBytes } from "../../src/core/handshake/keys.ts";
import type { SpeedRefusal, SpeedSnapshot, TunnelSample } from "../../src/core/options.ts";
import type { Command, EngineStart, Report } from "../../src/engine/messages.ts";
import type { EnginePort, EnginePortListener } from "../../src/engine/spawn.ts";
import { COUNTERS, FEATURES, speedSnapshot, tunnelSnapshot } from "./snapshot.ts";

/** What a ping of peer b is answered with. */
const PONG = {
  bytes: 64,
  endpoint: { address: new Uint8Array(16), port: 1194, scope: 0 },
  roundTripMs: 1.5,
};

export class FakeEngine implements EnginePort {
  readonly commands: Command[] = [];
  start: EngineStart | undefined;
  /** Whether requests are answered at once, and a stop by `stopped`. */
  answers = true;
  /** Why successive changes of the configuration are refused; undefined or none: they are not. */
  readonly refusals: (string | undefined)[] = [];
  features = FEATURES;
  /** What `begin` is answered with in place of `ready`. */
  readyReport: Report | undefined;
  snapshot = tunnelSnapshot();
  /** Why no speed test can be started. */
  refusal: SpeedRefusal | undefined;
  speed: SpeedSnapshot | undefined = speedSnapshot();
  sample: TunnelSample = { names: [], figures: new Float64Array(0) };
  #listener: EnginePortListener | undefined;

  /** Takes the place of `spawnEngine`; ready at the next turn of the loop. */
  readonly spawn = (start: EngineStart): EnginePort => {
    this.start = structuredClone(start);
    if (this.answers) setImmediate(() => this.report(this.#first(start)));
    return this;
  };

  loop() {
    return { idleMs: 900, activeMs: 100 };
  }

  post(command: Command): void {
    this.commands.push(command);
    if (!this.answers) return;
    const counters = COUNTERS;
    if (command.kind === "snapshot") {
      this.report({ kind: "snapshot", id: command.id, snapshot: this.snapshot, counters });
    } else if (command.kind === "sample") {
      this.report({ kind: "sample", id: command.id, sample: this.sample });
    } else if (command.kind === "trace") {
      this.report({ kind: "trace", id: command.id, lines: [], suppressed: 0 });
    } else if (command.kind === "probe") {
      const { id, peer } = command;
      this.report({ kind: "probed", id, outcome: peer === "b" ? PONG : "no-peer" });
    } else if (command.kind === "speed") {
      const { id, order } = command;
      const isRefused = typeof order !== "string" && order.peer !== "b";
      const speed = isRefused ? "no-peer" : (this.refusal ?? this.speed);
      this.report({ kind: "speed", id, speed });
    } else if (command.kind === "name-keys") {
      const names = command.peers.map(({ keys }) =>
        keyBytes(keys).map((key) => `000000${(key[0] ?? 0).toString(16).padStart(2, "0")}`),
      );
      this.report({ kind: "key-names", id: command.id, names });
    } else if (command.kind === "reconfigure") {
      const fault = this.refusals.shift();
      this.report({ kind: "reconfigured", id: command.id, fault });
    } else if (command.kind === "pause") this.report({ kind: "paused", id: command.id });
    else if (command.kind === "begin") {
      setImmediate(() =>
        this.report(this.readyReport ?? { kind: "ready", features: this.features }),
      );
    } else if (command.kind === "ping") this.report({ kind: "pong", id: command.id });
    else if (command.kind === "stop" || command.kind === "let-go") this.report({ kind: "stopped" });
  }

  #first({ isStandby }: EngineStart): Report {
    return isStandby ? { kind: "loaded" } : { kind: "ready", features: this.features };
  }

  listen(listener: EnginePortListener): void {
    this.#listener = listener;
  }

  report(report: Report): void {
    this.#listener?.report(report);
  }

  die(message: string, detail?: string): void {
    this.#listener?.died(message, detail);
  }
}
