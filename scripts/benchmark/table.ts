/**
 * The report as text for a terminal: what was measured, and a table for each kind of link.
 *
 * A cell has the median and, where the reference was measured too, its multiple of the reference's
 * median; below it the least and the most of all rounds.
 */
import { LINK_NAMES, type LinkName } from "./links.ts";
import { METRICS, SHOWN_METRICS } from "./metrics.ts";
import type { Report } from "./report.ts";
import { figure, type Summary } from "./statistics.ts";
import { REFERENCE, SUBJECT_NAMES, type SubjectName } from "./subjects.ts";

const TITLE_COLUMNS = 37;
const CELL_COLUMNS = 17;

/** The whole report as text. */
export function reportText(report: Report): string {
  const tables = LINK_NAMES.filter((link) => report.medians[link] !== undefined).map((link) =>
    linkTable(report, link),
  );
  return `${[heading(report), ...tables].join("\n\n")}\n`;
}

function heading(report: Report): string {
  const { machine, plan, programs, subjects } = report;
  const cut = plan.isCut ? ", cut short: the time was up" : "";
  const peers = subjectsOf(report).map((name) => {
    const { title = name, version = "", mtu = 0, note = "" } = subjects[name] ?? {};
    return `${title.padEnd(24)}${version.padEnd(28)}MTU ${mtu}  ${note}`;
  });
  return [
    `${report.date}  ${machine.cpus} CPUs (${machine.cpu}), Linux ${machine.kernel}`,
    Object.entries(programs)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `rounds: ${plan.rounds}, ${plan.secondsPerTest} s a test${cut}; median, multiple of ` +
      `${REFERENCE}, least..most`,
    "",
    ...peers,
  ].join("\n");
}

function linkTable(report: Report, link: LinkName): string {
  const subjects = subjectsOf(report);
  const titles = subjects.map((name) => name.padStart(CELL_COLUMNS)).join("");
  const { title = link, features = {} } = report.links[link] ?? {};
  const off = Object.keys(features).filter((name) => features[name] === false);
  const rows = SHOWN_METRICS.flatMap((metric) => {
    const medians = report.medians[link]?.[metric];
    if (medians === undefined) return [];
    const reference = medians[REFERENCE]?.median;
    const cells = subjects.map((name) => cell(medians[name], reference)).join("");
    const spreads = subjects.map((name) => spread(medians[name])).join("");
    const { title, unit } = METRICS[metric];
    return [
      `${`${title}, ${unit}`.padEnd(TITLE_COLUMNS)}${cells}`,
      spaces(TITLE_COLUMNS) + spreads,
    ];
  });
  const state = off.length === 0 ? "" : ` (off: ${off.join(", ")})`;
  return [`Link: ${title}${state}`, spaces(TITLE_COLUMNS) + titles, ...rows].join("\n");
}

function subjectsOf(report: Report): readonly SubjectName[] {
  return SUBJECT_NAMES.filter((name) => report.subjects[name] !== undefined);
}

function cell(summary: Summary | undefined, reference: number | undefined): string {
  if (summary === undefined) return "-".padStart(CELL_COLUMNS);
  const multiple = reference === undefined ? "" : `${(summary.median / reference).toFixed(2)}x`;
  return `${figure(summary.median)} ${multiple.padStart(7)}`.padStart(CELL_COLUMNS);
}

function spread(summary: Summary | undefined): string {
  if (summary === undefined) return spaces(CELL_COLUMNS);
  return `${figure(summary.least)}..${figure(summary.most)}`.padStart(CELL_COLUMNS);
}

function spaces(count: number): string {
  return " ".repeat(count);
}
