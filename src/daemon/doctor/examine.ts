/**
 * The doctor's findings from all that is known: the configuration or what is wrong with it, the status document or why
 * there is none, and the evidence. Pure; the findings are in the order of the report.
 */
import type { Config } from "../../config/config.ts";
import type { ConfigError } from "../../config/problem.ts";
import { formatProblem } from "../../config/problem.ts";
import { configWarnings } from "../../config/warnings.ts";
import type { StatusDocument } from "../control/status.ts";
import { type DaemonError, EXIT } from "../failure.ts";
import { hostWarnings } from "../host/host-warnings.ts";
import { dropFindings } from "./drop-advice.ts";
import type { Evidence } from "./evidence.ts";
import { type Finding, fine, type Level, problem, SECTIONS, unseen } from "./finding.ts";
import { hostFindings } from "./host-findings.ts";
import { networkFindings } from "./network-findings.ts";
import { peerFindings } from "./peer-findings.ts";
import { subjectOf } from "./subject.ts";
import { tunnelFindings } from "./tunnel-findings.ts";
import { halves } from "./words.ts";

/** What was read before the host was looked at. */
export interface Knowledge {
  /** undefined: none was named. */
  readonly config: Config | ConfigError | undefined;
  /** undefined: nothing was asked, because no name is known. */
  readonly status: StatusDocument | DaemonError;
}

/** The configuration, if it is right. */
export function configOf({ config }: Knowledge): Config | undefined {
  return config instanceof Error ? undefined : config;
}

/** The document, if there is one. */
export function statusOf({ status }: Knowledge): StatusDocument | undefined {
  return status instanceof Error ? undefined : status;
}

/** All findings, by section, the worst of each first. */
export function examine(evidence: Evidence, knowledge: Knowledge): readonly Finding[] {
  const status = statusOf(knowledge);
  const subject = subjectOf(configOf(knowledge), status);
  const known = { subject, status };
  const findings = [
    ...configFindings(knowledge.config),
    ...hostFindings(evidence, known),
    ...networkFindings(evidence, known),
    ...(status === undefined
      ? []
      : [...tunnelFindings(status), ...peerFindings(status), ...dropFindings(status.drops)]),
    ...(knowledge.status instanceof Error ? [silentDaemon(knowledge.status)] : []),
  ];
  return findings.toSorted(bySection);
}

const LEVELS: readonly Level[] = ["fault", "warning", "note", "ok"];

function bySection(a: Finding, b: Finding): number {
  const sections = SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section);
  return sections || LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level);
}

function configFindings(config: Knowledge["config"]): readonly Finding[] {
  if (config === undefined) {
    const text = "the configuration (none was named)";
    return [unseen("configuration", text, "name it: iptun doctor --config FILE")];
  }
  if (config instanceof Error) {
    return config.problems.map((one) => {
      return problem("config-problem", ...halves(formatProblem(config.file, one)));
    });
  }
  return [
    fine("configuration", `${config.file} is right, and its keys are private`),
    ...configWarnings(config).map((line) => problem("config-warning", ...halves(line))),
    ...hostWarnings(config).map((line) => problem("host-warning", ...halves(line))),
  ];
}

function silentDaemon(error: DaemonError): Finding {
  const more = "most causes show only while the tunnel runs: start it and ask again";
  if (error.exitCode === EXIT.NOT_RUNNING) return problem("not-running", error.message, more);
  return unseen("tunnel", `the running tunnel: ${error.message}`, "run 'iptun doctor' as root");
}
