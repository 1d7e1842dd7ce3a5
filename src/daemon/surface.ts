/**
 * All that a tunnel answers to others: the control socket, and metrics and status page where they are wanted over TCP.
 *
 * The control side asks for each in its turn, because the socket comes first of all and the rest when the tunnel is there.
 */
import type { Server } from "node:http";
import type { Config } from "../config/config.ts";
import type { LoopTime } from "../engine/spawn.ts";
import { closeServer } from "./control/bounded-http.ts";
import type { Resource } from "./control/control-answer.ts";
import { type ControlApiSide, controlApi } from "./control/control-api.ts";
import { openControlSocket } from "./control/control-socket.ts";
import type { StartedWith } from "./succession/inherited.ts";
import { Metrics } from "./web/metrics.ts";
import type { ProcessReading } from "./web/process-reading.ts";
import { Web, type WebLog } from "./web/web.ts";

/** What the tunnel gives to be asked for. */
export interface SurfaceSide extends Omit<ControlApiSide, "metrics"> {
  readonly config: Pick<Config, "metrics">;
  readonly log: WebLog;
  readonly socketPath: string;
  readonly startedWith: Pick<StartedWith, "control">;
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

  async openSocket(): Promise<void> {
    const { socketPath, startedWith } = this.#side;
    this.#server = await openControlSocket(socketPath, this.#resources, startedWith.control);
  }

  async openWeb(): Promise<void> {
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
