/**
 * Ends with one line and exit code 1 where a dependency in node_modules is not the one of the lockfile: what the npm
 * package brings with it (`bundleDependencies`) is copied from there.
 */
import { readFileSync } from "node:fs";

interface Locked {
  readonly version: string;
  readonly dev?: boolean;
}

const { packages }: { readonly packages: Readonly<Record<string, Locked>> } = JSON.parse(
  readFileSync("package-lock.json", "utf8"),
);
const wrong = Object.entries(packages)
  .filter(([path, { dev }]) => path !== "" && dev !== true)
  .filter(([path, { version }]) => installedVersion(path) !== version)
  .map(([path, { version }]) => `${path} is not ${version}`);
if (wrong.length > 0) {
  console.error(`prepack: ${wrong[0]}; run npm ci`);
  process.exitCode = 1;
}

function installedVersion(path: string): unknown {
  try {
    return JSON.parse(readFileSync(`${path}/package.json`, "utf8")).version;
  } catch {
    return undefined;
  }
}
