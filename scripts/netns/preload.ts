/**
 * Starts a daemon with a module loaded before it, in both of its threads.
 *
 * The trap: a daemon that gives up privileges itself gives up NODE_OPTIONS too (daemon/process/confine.ts), so somebody else has
 * to take them first.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./process.ts";

/** Goes before the program: `module` of scripts/netns, and variables for it. */
export function withPreload(
  module: string,
  variables: Readonly<Record<string, string>>,
): readonly string[] {
  const script = pathToFileURL(join(ROOT, "scripts/netns", module));
  const sets = ["--bounding-set", "--inh-caps"].flatMap((set) => [set, "-all,+net_admin"]);
  const confined = ["setpriv", "--no-new-privs", ...sets];
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return [...confined, "env", `NODE_OPTIONS=--import=${script}`, ...assignments];
}
