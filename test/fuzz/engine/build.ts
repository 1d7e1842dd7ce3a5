/** Builds the instrumented tree: `build.ts DIRECTORY`. */
import { fileURLToPath } from "node:url";
import { instrument } from "./instrument.ts";

const [to] = process.argv.slice(2);
if (to === undefined) throw new Error("usage: build.ts DIRECTORY");
const files = instrument(fileURLToPath(new URL("../../..", import.meta.url)), to);
const total = files.reduce((sum, { count }) => sum + count, 0);
process.stdout.write(`${files.length} files, ${total} counters\n`);
