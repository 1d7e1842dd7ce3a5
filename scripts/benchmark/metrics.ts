/**
 * What is measured: each metric with its title and unit, in the order in which tables show them.
 *
 * Metrics are figures, tests (tests.ts) are runs; one run may give several figures. A detail is kept in
 * the JSON only.
 */

interface Metric {
  readonly title: string;
  readonly unit: string;
  readonly isDetail?: boolean;
}

/** Every metric by its name in the JSON. */
export const METRICS = {
  "tcp-1": { title: "TCP, 1 stream", unit: "Gbit/s" },
  "tcp-1-back": { title: "TCP, 1 stream, back", unit: "Gbit/s" },
  "tcp-4": { title: "TCP, 4 streams", unit: "Gbit/s" },
  "tcp-4-back": { title: "TCP, 4 streams, back", unit: "Gbit/s" },
  "tcp-1-per-cpu": { title: "per CPU second, 1 stream", unit: "Gbit" },
  "tcp-4-per-cpu": { title: "per CPU second, 4 streams", unit: "Gbit" },
  "tcp-1-cpu": { title: "CPU seconds a Gbit, 1 stream", unit: "s", isDetail: true },
  "tcp-4-cpu": { title: "CPU seconds a Gbit, 4 streams", unit: "s", isDetail: true },
  "udp-1300": { title: "UDP 1300, delivered", unit: "kpps" },
  "udp-1300-unread": { title: "  lost in iperf3's socket", unit: "kpps" },
  "udp-1300-offered": { title: "  offered", unit: "kpps" },
  "udp-half": { title: "UDP 1300 at half, delivered", unit: "kpps" },
  "udp-half-unread": { title: "  lost in iperf3's socket", unit: "kpps", isDetail: true },
  "udp-half-offered": { title: "  offered", unit: "kpps", isDetail: true },
  "udp-double": { title: "UDP 1300, 2 senders, delivered", unit: "kpps" },
  "udp-double-unread": { title: "  lost in iperf3's socket", unit: "kpps", isDetail: true },
  "udp-double-offered": { title: "  offered", unit: "kpps", isDetail: true },
  "udp-64": { title: "UDP 64, delivered", unit: "kpps" },
  "udp-64-unread": { title: "  lost in iperf3's socket", unit: "kpps" },
  "udp-64-offered": { title: "  offered", unit: "kpps" },
  "ping-idle": { title: "ping idle", unit: "ms" },
  "ping-loaded": { title: "ping beside TCP", unit: "ms" },
  "ping-loaded-p99": { title: "ping beside TCP, p99", unit: "ms" },
  "ping-loaded-lost": { title: "pings lost beside TCP", unit: "%", isDetail: true },
  "memory-peak": { title: "memory of one end, peak", unit: "MiB" },
  "memory-resident": { title: "memory of one end, after", unit: "MiB" },
} as const satisfies Readonly<Record<string, Metric>>;

/** Name of a metric. */
export type MetricName = keyof typeof METRICS;

/** All metrics, in order. */
export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** The metrics that tables show. */
export const SHOWN_METRICS: readonly MetricName[] = METRIC_NAMES.filter((name) => {
  const metric: Metric = METRICS[name];
  return metric.isDetail !== true;
});

/** Figures of one run; a metric may have several, such as one for each direction. */
export type Figures = readonly (readonly [MetricName, number])[];
