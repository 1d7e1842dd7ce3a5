/**
 * Entry of the child that `runIsolated` starts: runs a module's scenarios one after another.
 *
 * It brings the loopback device up first: the namespace is new and empty.
 */
import { FACTS } from "./isolated.ts";
import { ip } from "./namespace.ts";

const [url = ""] = process.argv.slice(2);
const scenarios: Record<string, () => Promise<unknown>> = await import(url);
const facts: Record<string, unknown> = {};

ip("link set lo up");
for (const [name, scenario] of Object.entries(scenarios)) facts[name] = await scenario();
process.stdout.write(`\n${FACTS}${JSON.stringify(facts)}\n`);
