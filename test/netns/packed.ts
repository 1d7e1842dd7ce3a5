/**
 * The npm package as `npm pack` makes it, in a copy of the clone: packing builds dist anew, which other tests use.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Child, expectSuccess, finish, ROOT } from "../../scripts/netns/process.ts";

/** What a clone has that no fresh one would. */
const MADE = new Set(["node_modules", "dist", "build", "coverage", ".git"]);
/** What a busy machine may take to compile everything. */
const PACK_MS = 300_000;

/** A copy of a clone without anything built, below the clone's node_modules: its packages are hard links. */
export function copyOfClone(clone: string = ROOT): string {
  const copy = mkdtempSync(join(ROOT, "node_modules/.iptun-package-"));
  for (const name of readdirSync(clone)) {
    if (!MADE.has(name)) cpSync(join(clone, name), join(copy, name), { recursive: true });
  }
  mkdirSync(join(copy, "node_modules"));
  const link = "cp -al node_modules/* node_modules/.bin node_modules/.package-lock.json";
  execFileSync("sh", ["-c", `${link} "$1"`, "sh", join(copy, "node_modules")], { cwd: clone });
  return copy;
}

/** `npm pack` in a folder; returns the path of the package. */
export async function pack(folder: string): Promise<string> {
  const command = ["npm", "pack", "--json", "--prefix", folder, "--pack-destination", folder];
  const child = new Child([...command, folder]);
  const printed = JSON.parse(expectSuccess(await finish(child, PACK_MS), command));
  return join(folder, printed[0].filename);
}
