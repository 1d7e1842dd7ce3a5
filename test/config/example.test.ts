/**
 * config.example.toml is right, says every key, and says the defaults that the schema has.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { KNOWN_KEYS, settingsSchema } from "../../src/config/schema.ts";
import { parseToml } from "../../src/config/toml.ts";
import { configWarnings } from "../../src/config/warnings.ts";
import { KEY_A } from "../helpers/config-samples.ts";
import { ConfigFiles } from "./config-files.ts";

const TEXT = readFileSync(new URL("../../config.example.toml", import.meta.url), "utf8");

/** Keys without a default, for which the example shows a value of its own. */
const EXAMPLES = [
  "interface.address",
  "peer.name",
  "peer.key_file",
  "peer.endpoint",
  "peer.allowed_ips",
];
/** Given in a comment: only one of key and key_file may stand there. */
const COMMENTED = ["peer.key"];

it("runs as it is beside its key file, without a warning", () => {
  const files = new ConfigFiles();
  files.write("site.key", `${KEY_A}\n`);
  const config = loadConfig(files.write("config.example.toml", TEXT));
  expect(configWarnings(config)).toEqual([]);
  expect(config.peers[0]?.name).toBe("site-b");
});

it.each(Object.entries(KNOWN_KEYS).filter(([table]) => table !== ""))(
  "shows every key of %s with its default",
  (table, keys) => {
    const given = tableOf(parsed(), table);
    const defaults = tableOf(settingsSchema.parse({ peer: [{}] }), table);
    for (const key of keys) {
      const name = `${table}.${key}`;
      if (COMMENTED.includes(name)) expect(TEXT).toMatch(new RegExp(`^# ${key} = `, "m"));
      else if (EXAMPLES.includes(name)) expect(given[key], name).not.toEqual(defaults[key]);
      else expect(given[key], name).toEqual(defaults[key]);
    }
  },
);

it("explains every key in the lines before it", () => {
  const lines = TEXT.split("\n");
  for (const [index, line] of lines.entries()) {
    if (!/^\w+ = /.test(line)) continue;
    const block = lines.slice(0, index).join("\n").split(/\n\n/).at(-1);
    expect(block, line).toMatch(/^(?:\[.*\n)?#/m);
  }
});

function parsed(): unknown {
  const result = parseToml(TEXT);
  if ("fault" in result) throw new Error(result.fault.text);
  return result.tree;
}

/** A table's values; for peers those of the first. */
function tableOf(tree: unknown, table: string): Readonly<Record<string, unknown>> {
  const value = (tree as Record<string, unknown>)[table];
  return (Array.isArray(value) ? value[0] : value) as Readonly<Record<string, unknown>>;
}
