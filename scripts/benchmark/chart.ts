/**
 * The report as an SVG chart: one group of bars a program, one bar a kind of link, in two panels.
 *
 * Written by hand, with generic fonts. It brings a ground of its own, light or dark by the reader's
 * choice where the viewer passes that on, so that it reads on any page. The wire without a tunnel is named in the
 * foot line: as a bar it would make all others short.
 */
import { LINK_NAMES, type LinkName } from "./links.ts";
import type { MetricName } from "./metrics.ts";
import type { Report } from "./report.ts";
import { figure, type Summary } from "./statistics.ts";
import { REFERENCE, SUBJECT_NAMES, type SubjectName } from "./subjects.ts";

const WIDTH = 900;
const MARGIN = 8;
const NAMES_WIDTH = 172;
const PANEL_GAP = 20;
/** Room behind a bar for its figure. */
const LABEL_WIDTH = 92;
const HEAD = 74;
const BAR = 15;
const BAR_STEP = 18;
const GROUP_GAP = 20;
const FOOT = 40;
/** Of small text, on average, in the widest of the usual fonts. */
const LETTER_WIDTH = 6.6;
/** Bars of the links, from the strongest. */
const OPACITY: Readonly<Record<LinkName, number>> = { "as-is": 1, nic: 0.65, off: 0.38 };

interface Panel {
  readonly metric: MetricName;
  readonly title: string;
  readonly unit: string;
}
const PANELS: readonly Panel[] = [
  { metric: "tcp-1", title: "TCP, one stream", unit: "Gbit/s" },
  { metric: "udp-1300", title: "UDP, 1,300 bytes, delivered", unit: "kpps" },
];
const PANEL_WIDTH = (WIDTH - 2 * MARGIN - NAMES_WIDTH - PANEL_GAP) / PANELS.length;

const STYLE = `.back{fill:#fff}text{font:13px system-ui,sans-serif;fill:#24292f}
.head{font-weight:600}.small{font-size:11.5px;fill:#57606a}
.bar{fill:#8c959f}.own{fill:#1f6feb}.spread{stroke:#24292f;stroke-width:1.2}.axis{stroke:#8c959f}
@media(prefers-color-scheme:dark){.back{fill:#0d1117}text{fill:#e6edf3}.small{fill:#9ea7b3}.bar{fill:#7d8590}
.own{fill:#4493f8}.spread{stroke:#e6edf3}}`;

/** The chart as an SVG document. */
export function chartSvg(report: Report): string {
  const subjects = SUBJECT_NAMES.filter((name) => name !== "veth" && isShown(report, name));
  const links = LINK_NAMES.filter((link) => report.medians[link] !== undefined);
  const groupHeight = links.length * BAR_STEP + GROUP_GAP;
  const bottom = HEAD + subjects.length * groupHeight;
  const height = bottom + FOOT;
  const groups = subjects.flatMap((name, index) => {
    const top = HEAD + index * groupHeight;
    const bars = PANELS.flatMap((panel, at) => panelBars(report, panel, at, name, links, top));
    return [...nameLines(report, name, top), ...bars];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
      `width="${WIDTH}" height="${height}" role="img">`,
    "<title>Throughput of iptun beside other tunnels in user space</title>",
    `<style>${STYLE}</style>`,
    `<rect class="back" width="${WIDTH}" height="${height}" rx="6"/>`,
    ...legend(report, links),
    ...PANELS.flatMap((panel, at) => panelFrame(panel, at, bottom - GROUP_GAP)),
    ...groups,
    ...footLines(report, bottom),
    "</svg>",
    "",
  ].join("\n");
}

function isShown(report: Report, name: SubjectName): boolean {
  return LINK_NAMES.some((link) =>
    PANELS.some(({ metric }) => report.medians[link]?.[metric]?.[name] !== undefined),
  );
}

function legend(report: Report, links: readonly LinkName[]): readonly string[] {
  let x = MARGIN + NAMES_WIDTH;
  const keys = links.flatMap((link) => {
    const title = report.links[link]?.title ?? link;
    const at = x;
    x += 40 + title.length * LETTER_WIDTH;
    return [
      `<rect class="own" x="${at}" y="8" width="14" height="12" opacity="${OPACITY[link]}"/>`,
      text(at + 20, 19, title, "small"),
    ];
  });
  return [text(MARGIN, 19, "outer link:", "small"), ...keys];
}

function panelFrame({ title, unit }: Panel, at: number, bottom: number): readonly string[] {
  const x = panelLeft(at);
  return [
    text(x, 50, `${title}, ${unit}`, "head"),
    `<line class="axis" x1="${x}" y1="${HEAD - 8}" x2="${x}" y2="${bottom}"/>`,
  ];
}

function nameLines(report: Report, name: SubjectName, top: number): readonly string[] {
  const { title = name, version = "", mtu = 0 } = report.subjects[name] ?? {};
  const number = /v?\d[\w.+~-]*/.exec(version)?.[0] ?? version;
  return [
    text(MARGIN, top + 12, title, "head"),
    text(MARGIN, top + 28, `${number}, MTU ${mtu}`, "small"),
  ];
}

function panelBars(
  report: Report,
  { metric }: Panel,
  at: number,
  name: SubjectName,
  links: readonly LinkName[],
  top: number,
): readonly string[] {
  const perUnit = (PANEL_WIDTH - LABEL_WIDTH) / longest(report, metric);
  return links.flatMap((link, index) => {
    const medians = report.medians[link]?.[metric];
    const summary = medians?.[name];
    if (summary === undefined) return [];
    const multiple = multipleOf(medians?.[REFERENCE], summary, name);
    return bar(panelLeft(at), top + index * BAR_STEP, perUnit, summary, {
      kind: name.startsWith("iptun") ? "own" : "bar",
      opacity: OPACITY[link],
      multiple,
    });
  });
}

function longest(report: Report, metric: MetricName): number {
  const all = LINK_NAMES.flatMap((link) =>
    SUBJECT_NAMES.filter((name) => name !== "veth").map(
      (name) => report.medians[link]?.[metric]?.[name]?.most ?? 0,
    ),
  );
  return Math.max(...all, Number.MIN_VALUE);
}

function multipleOf(
  reference: Summary | undefined,
  { median }: Summary,
  name: SubjectName,
): string {
  if (reference === undefined || name === REFERENCE) return "";
  return ` (${(median / reference.median).toFixed(1)}×)`;
}

interface BarLook {
  readonly kind: string;
  readonly opacity: number;
  readonly multiple: string;
}

function bar(
  x: number,
  y: number,
  perUnit: number,
  { median, least, most }: Summary,
  { kind, opacity, multiple }: BarLook,
): readonly string[] {
  const middle = y + BAR / 2;
  const at = (value: number) => (x + value * perUnit).toFixed(1);
  return [
    `<rect class="${kind}" x="${x}" y="${y}" width="${(median * perUnit).toFixed(1)}" ` +
      `height="${BAR}" opacity="${opacity}"/>`,
    `<line class="spread" x1="${at(least)}" y1="${middle}" x2="${at(most)}" y2="${middle}"/>`,
    text(x + most * perUnit + 6, y + 12, `${figure(median)}${multiple}`, "small"),
  ];
}

function footLines(report: Report, bottom: number): readonly string[] {
  const { plan, machine } = report;
  const wire = PANELS.flatMap(({ metric, unit }) => {
    const median = report.medians["as-is"]?.[metric]?.veth?.median;
    return median === undefined ? [] : [`${figure(median)} ${unit}`];
  });
  const bare = wire.length === 0 ? "" : `The veth without a tunnel: ${wire.join(", ")}. `;
  const lines = [
    `Medians of ${plan.rounds} interleaved rounds, lines from least to most; in brackets the ` +
      `multiple of ${REFERENCE} on the same link.`,
    `${bare}${machine.cpus} CPUs for both ends and iperf3 together, Linux ${machine.kernel}, ` +
      `${report.date.slice(0, 10)}.`,
  ];
  return lines.map((line, index) => text(MARGIN, bottom + 8 + index * 17, line, "small"));
}

function panelLeft(at: number): number {
  return MARGIN + NAMES_WIDTH + at * (PANEL_WIDTH + PANEL_GAP);
}

function text(x: number, y: number, content: string, kind: string): string {
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y}">${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
