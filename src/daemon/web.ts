/**
 * Metrics over TCP, where the configuration asks for them.
 *
 * A tunnel is worth more than what is said about it: where the address cannot be had, a line says so and the tunnel runs.
 */
import type { Server } from "node:http";
import type { MetricsConfig } from "../config/config.ts";
import { closeServer } from "./bounded-http.ts";
import type { Resource } from "./control-answer.ts";
import { API_PATH } from "./control-paths.ts";
import { messageOf } from "./failure.ts";
import { hostPortText } from "./status.ts";
import { openWebListener } from "./web-listener.ts";

export type WebLog = Readonly<Record<"info" | "warn", (line: string) => void>>;

/** What is shown, and of which configuration. */
export interface WebOptions {
  /** undefined: nothing is served. */
  readonly config: MetricsConfig | undefined;
  /** Those of the control socket, of which metrics are served, too. */
  readonly resources: readonly Resource[];
  readonly log: WebLog;
}

/** The listener of one tunnel, if it has one. */
export class Web {
  readonly #options: WebOptions;
  #server: Server | undefined;

  constructor(options: WebOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { config, log } = this.#options;
    if (config === undefined) return;
    const text = `http://${hostPortText(config.listen)}/`;
    try {
      this.#server = await openWebListener(config.listen, this.#resources());
      log.info(`metrics: ${text}metrics`);
    } catch (error) {
      log.warn(messageOf(error));
    }
  }

  /** Frees the address at once. */
  leave(): void {
    this.#server?.close();
  }

  async close(): Promise<void> {
    if (this.#server !== undefined) await closeServer(this.#server);
  }

  /** What can be read and changes nothing. */
  #resources(): readonly Resource[] {
    return this.#options.resources
      .filter(({ path }) => path === API_PATH.metrics)
      .map((resource) => ({ ...resource, path: "/metrics" }));
  }
}
