/**
 * What `check` can say of the hooks' programs: one that cannot run, and one that somebody else could change.
 */
import { accessSync, constants, statSync } from "node:fs";
import { HOOK_KINDS, type HooksConfig } from "../../config/config.ts";
import { shown } from "../../config/shown.ts";

const FOREIGN_WRITE_BITS = 0o022;

/** One line for each thing, as "key: text". */
export function hookWarnings(
  { commands }: Pick<HooksConfig, "commands">,
  uid: number = process.geteuid?.() ?? 0,
): readonly string[] {
  return HOOK_KINDS.flatMap((kind) => {
    const [file] = commands[kind];
    const fault = file === undefined ? undefined : faultOf(file, uid);
    return fault === undefined ? [] : [`hooks.${kind}: ${shown(file)} ${fault}`];
  });
}

function faultOf(file: string, uid: number): string | undefined {
  try {
    const stats = statSync(file);
    if (!stats.isFile()) return "is no program";
    accessSync(file, constants.X_OK);
    if ((stats.mode & FOREIGN_WRITE_BITS) !== 0) return "can be changed by others; chmod go-w it";
    if (stats.uid !== 0 && stats.uid !== uid)
      return `belongs to user ${stats.uid}, who can change it`;
    return undefined;
  } catch {
    return "cannot be executed; chmod +x it, or correct the path";
  }
}
