/**
 * What `check` can say of this host: a program that is missing, and what a killed run has left.
 *
 * Only looked at, never changed, and silent where it may not be looked at.
 */
import { accessSync, constants } from "node:fs";
import type { Config } from "../../config/config.ts";
import { defaultFamilies, wantsFirewall } from "../../config/default-families.ts";
import { PROGRAM_PATH } from "./ip-command.ts";
import { Journal } from "./journal.ts";

/** One line for each thing, as "key: text". */
export function hostWarnings(
  config: Config,
  isInstalled: (program: string) => boolean = isOnPath,
  journal: Pick<Journal, "path" | "read"> = journalOf(config),
): readonly string[] {
  return [...firewallWarnings(config, isInstalled), ...journalWarnings(journal)];
}

function firewallWarnings(
  config: Config,
  isInstalled: (program: string) => boolean,
): readonly string[] {
  const isNeeded = wantsFirewall(config) || defaultFamilies(config).length > 0;
  if (!isNeeded || isInstalled("nft")) return [];
  return [
    "interface.firewall: nft is not installed, so forged packets to the inner addresses are let in; install nftables",
  ];
}

function journalWarnings(journal: Pick<Journal, "path" | "read">): readonly string[] {
  const { path } = journal;
  const state = journal.read();
  if (state.kind === "left") {
    return [
      `interface.state_dir: ${path} tells of a run that was killed and has left rules, routes or a firewall on this host; the next start undoes them`,
    ];
  }
  if (state.kind !== "bad" || state.isDenied) return [];
  return [
    `interface.state_dir: ${path} ${state.reason}, so what a killed run may have left is not undone; see 'ip rule' and 'nft list tables', and remove the file`,
  ];
}

function journalOf({ interface: { stateDir, name } }: Config): Journal {
  return new Journal(stateDir, name);
}

function isOnPath(program: string): boolean {
  return PROGRAM_PATH.split(":").some((directory) => {
    try {
      accessSync(`${directory}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
