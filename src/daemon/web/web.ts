/**
 * Metrics and the status page over TCP, where the configuration asks for them.
 *
 * A tunnel is worth more than what is said about it: where the address cannot be had, a line says so and the tunnel runs.
 */
import type { Server } from "node:http";
import type { MetricsConfig } from "../../config/config.ts";
import { closeServer } from "../control/bounded-http.ts";
import type { Resource, StreamResource } from "../control/control-answer.ts";
import { API_PATH } from "../control/control-paths.ts";
import { hostPortText, type StatusDocument } from "../control/status.ts";
import { messageOf } from "../failure.ts";
import type { StartTimer } from "../repeats.ts";
import { Live } from "./live.ts";
import { pageResources } from "./page-files.ts";
import { pageView } from "./page-view.ts";
import { openWebListener } from "./web-listener.ts";

export type WebLog = Readonly<Record<"debug" | "info" | "warn", (line: string) => void>>;

/** What is shown, and of which configuration. */
export interface WebOptions {
  /** undefined: nothing is served. */
  readonly config: MetricsConfig | undefined;
  /** Those of the control socket, of which metrics and history are served, too. */
  readonly resources: readonly Resource[];
  readonly status: () => Promise<StatusDocument>;
  readonly startTimer: StartTimer;
  readonly log: WebLog;
  /** The built page, which lies beside this file when that is built, too. */
  readonly pageFolder?: URL;
}

/** The listener of one tunnel, if it has one. */
export class Web {
  readonly #options: WebOptions;
  readonly #live: Live;
  #server: Server | undefined;

  constructor(options: WebOptions) {
    this.#options = options;
    this.#live = new Live(
      async () => pageView(await options.status()),
      options.startTimer,
      (error) => options.log.debug(`status page: ${messageOf(error)}`),
    );
  }

  async open(): Promise<void> {
    const { config, log } = this.#options;
    if (config === undefined) return;
    const text = `http://${hostPortText(config.listen)}/`;
    try {
      this.#server = await openWebListener(config.listen, await this.#resources(config.hasPage));
      log.info(`metrics: ${text}metrics${config.hasPage ? `, status page: ${text}` : ""}`);
    } catch (error) {
      log.warn(messageOf(error));
    }
  }

  /** Frees the address at once. */
  leave(): void {
    this.#server?.close();
  }

  async close(): Promise<void> {
    this.#live.close();
    if (this.#server !== undefined) await closeServer(this.#server);
  }

  /** What can be read and changes nothing. */
  async #resources(hasPage: boolean): Promise<readonly Resource[]> {
    const { resources, pageFolder = new URL("./page/", import.meta.url) } = this.#options;
    const metrics = resources
      .filter(({ path }) => path === API_PATH.metrics)
      .map((resource) => ({ ...resource, path: "/metrics" }));
    if (!hasPage) return metrics;
    const history = resources.filter(({ path }) => path === API_PATH.history);
    return [...metrics, ...history, this.#stream(), ...(await pageResources(pageFolder))];
  }

  #stream(): StreamResource {
    return {
      ...{ method: "GET", path: "/live", contentType: "text/event-stream" },
      stream: (sink) => this.#live.listen(sink),
    };
  }
}
