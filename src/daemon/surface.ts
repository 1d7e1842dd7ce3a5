/**
 * All that a tunnel answers to others: the control socket, and metrics and status page where they are wanted over TCP.
 *
 * The control side asks for each in its turn, because the socket's path comes first of all (who has it has the tunnel)
 * and the rest when the tunnel is there.
 */
import type { Server } from "node:http";
import type { Config } from "../config/config.ts";
import type { LoopTime } from "../engine/spawn.ts";
import { closeServer } from "./control/bounded-http.ts";
import type { Resource } from "./control/control-answer.ts";
import { type ControlApiSide, controlApi } from "./control/control-api.ts";
import { openControlSocket } from "./control/control-socket.ts";
import { Metrics } from "./web/metrics.ts";
import type { ProcessReading } from "./web/process-reading.ts";
import { Web, type WebLog } from "./web/web.ts";

/** What the tunnel gives to be asked for. */
export interface SurfaceSide extends Omit<ControlApiSide, "metrics"> {
  readonly config: Pick<Config, "metrics">;
  readonly log: WebLog;
  readonly socketPath: string;
  /** A control socket that listens already, and is ours; undefined: there is none. */
  readonly givenSocket: () => number | undefined;
  readonly nowMs: () => number;
  readonly readProcess: () => ProcessReading;
  readonly engineLoop: () => LoopTime;
}

/** The servers of one tunnel. */
export class Surface {
  readonly #side: SurfaceSide;
  readonly #resources: readonly Resource[];
  readonly #web: Web;
  #server: Server | undefined;

  constructor(side: SurfaceSide) {
    this.#side = side;
    const { status, engineLoop, readProcess, nowMs } = side;
    const metrics = new Metrics(
      async () => ({ status: await status(), engineLoop: engineLoop(), ...readProcess() }),
      nowMs,
    );
    this.#resources = controlApi({ ...side, metrics: () => metrics.text() });
    this.#web = new Web({ ...side, config: side.config.metrics, resources: this.#resources });
  }

  /** Takes the control socket's path, unless it was given. */
  async claim(): Promise<void> {
    const { socketPath, givenSocket } = this.#side;
    if (givenSocket() === undefined) {
      this.#server = await openControlSocket(socketPath, this.#resources);
    }
  }

  /** Opens the rest, when the tunnel is there: whoever asked at a given socket before has waited for that. */
  async open(): Promise<void> {
    const { socketPath, givenSocket } = this.#side;
    this.#server ??= await openControlSocket(socketPath, this.#resources, givenSocket());
    await this.#web.open();
  }

  /** Frees path and address at once, for another process; answers that are under way go on. */
  leave(): void {
    this.#server?.close();
    this.#web.leave();
  }

  async close(): Promise<void> {
    await this.#web.close();
    if (this.#server !== undefined) await closeServer(this.#server);
  }
}
