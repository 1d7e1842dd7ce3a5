/**
 * Undoes what a run has changed on the host: its own at its end, or that of one which was killed.
 *
 * Everything is tried, whatever fails. What is gone already (the kernel takes routes along with their device)
 * counts as undone; what could not be undone is returned with what was said, so that the next run can try.
 */
import { type DefaultRoute, defaultRouteDown } from "./default-route.ts";
import { removeFirewall } from "./firewall.ts";
import { familyFlag, type RunProcess, runIpBatchForced } from "./ip-command.ts";
import type { HostChange } from "./journal.ts";
import { restoreValidMark, type Sysctl } from "./sysctl.ts";

/** What ip answers where a rule, a route or a device is not there. */
const GONE = /No such file or directory|No such process|Cannot find device|does not exist/;

export interface Undone {
  /** Still there, as far as is known. */
  readonly left: readonly HostChange[];
  readonly complaints: readonly string[];
}

/** Undoes the changes, the last first. */
export async function undoChanges(
  changes: readonly HostChange[],
  device: string,
  run: RunProcess,
  sysctl: Sysctl,
): Promise<Undone> {
  const left: HostChange[] = [];
  const complaints: string[] = [];
  for (const change of changes.toReversed()) {
    const said = await undo(change, device, run, sysctl);
    if (said.length > 0) left.unshift(change);
    complaints.push(...said);
  }
  return { left, complaints };
}

async function undo(
  change: HostChange,
  device: string,
  run: RunProcess,
  sysctl: Sysctl,
): Promise<readonly string[]> {
  switch (change.kind) {
    case "default-route":
      return await undoRoute(change, device, run);
    case "src-valid-mark":
      return listed(restoreValidMark(change.before, sysctl));
    case "firewall":
      return listed(await removeFirewall(device, run));
    default:
      return change satisfies never;
  }
}

async function undoRoute(
  route: DefaultRoute,
  device: string,
  run: RunProcess,
): Promise<readonly string[]> {
  const commands = defaultRouteDown(route, device);
  const said = await runIpBatchForced(commands, run, [familyFlag(route.family)]);
  return said.filter((line) => !GONE.test(line));
}

function listed(fault: string | undefined): readonly string[] {
  return fault === undefined ? [] : [fault];
}
