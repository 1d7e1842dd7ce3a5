/**
 * Metrics as Prometheus reads them: the text of one scrape (text format 0.0.4).
 *
 * prom-client writes the text and escapes what stands in labels; it is loaded at the first scrape, because it takes 11 MiB
 * and 50 ms that a tunnel without metrics need not pay. The packet path does nothing for metrics: every value is set here,
 * from counters that are there anyway. BOUNDED: one reading a second; who asks more often gets the last one again.
 * The trap: prom-client keeps the last scrape's samples, so they are thrown away once the text is made.
 */
import type { Registry } from "prom-client";
import { Fresh } from "../control/fresh.ts";
import { METRICS, type Metric, type Reading } from "./metric-table.ts";

/** The text's type. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Makes the text of a scrape. */
export class Metrics {
  readonly #read: () => Promise<Reading>;
  #scrape: ((reading: Reading) => Promise<string>) | undefined;
  readonly #text: Fresh<string>;

  constructor(read: () => Promise<Reading>, nowMs: () => number) {
    this.#read = read;
    this.#text = new Fresh(() => this.#make(), nowMs);
  }

  /** The text; rejects with the reason where nothing can be read. */
  text(): Promise<string> {
    return this.#text.get();
  }

  async #make(): Promise<string> {
    this.#scrape ??= await scraper();
    return await this.#scrape(await this.#read());
  }
}

async function scraper(): Promise<(reading: Reading) => Promise<string>> {
  const { Counter, Gauge, Registry } = await import("prom-client");
  const registry = new Registry();
  let reading: Reading | undefined;
  for (const metric of METRICS) {
    const { name, help, labels } = metric;
    const options = { name, help, labelNames: [...labels], registers: [registry] };
    const samples = () => (reading === undefined ? [] : metric.samples(reading));
    if (metric.type === "gauge") addGauge(Gauge, options, samples);
    else addCounter(Counter, options, samples);
  }
  return async (given) => {
    reading = given;
    const text = await registry.metrics();
    reading = undefined;
    registry.resetMetrics();
    return text;
  };
}

interface Options {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
}

type Samples = () => ReturnType<Metric["samples"]>;

function addGauge(
  Gauge: typeof import("prom-client").Gauge,
  options: Options,
  samples: Samples,
): void {
  const gauge = new Gauge({
    ...options,
    collect: () => {
      for (const [labels, value] of samples()) gauge.set({ ...labels }, value);
    },
  });
}

/** Our counters only grow, too, so a sum from nothing at each scrape is the counter. */
function addCounter(
  Counter: typeof import("prom-client").Counter,
  options: Options,
  samples: Samples,
): void {
  const counter = new Counter({
    ...options,
    collect: () => {
      for (const [labels, value] of samples()) counter.inc({ ...labels }, value);
    },
  });
}
