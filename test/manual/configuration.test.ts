/** The reference of the configuration: as it is kept, complete, and true of `iptun reload`. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { configurationTables } from "../../scripts/manual/configuration.ts";
import { COMMITTED_DOCUMENTS } from "../../scripts/manual/documents.ts";
import { readTexts } from "../../scripts/manual/example.ts";
import { HOOK_KINDS } from "../../src/config/config.ts";
import { difference, type NamedConfig } from "../../src/config/difference.ts";
import { KNOWN_KEYS } from "../../src/config/schema.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";

const ROOT = new URL("../../", import.meta.url);
const TABLES = configurationTables();

it.each(Object.entries(COMMITTED_DOCUMENTS))("%s is what `npm run docs` makes", (path, make) => {
  expect(readFileSync(new URL(path, ROOT), "utf8")).toBe(make());
});

it("the tables have every key that the program knows, in its order", () => {
  const { "": tables = [], ...keys } = KNOWN_KEYS;
  expect(TABLES.map(({ name }) => name)).toEqual(tables);
  expect(
    Object.fromEntries(TABLES.map((one) => [one.name, one.keys.map(({ name }) => name)])),
  ).toEqual(keys);
});

describe("a key's text", () => {
  const EXAMPLE =
    "# head\n\n# About\n# hooks. Needs a restart.\n[hooks]\n# One.\nup = []\n\ndown = []\n";

  it("is the comment before it in the example", () => {
    const texts = readTexts(EXAMPLE);
    expect(texts("hooks")).toBe("About hooks. Needs a restart.");
    expect(texts("hooks", "up")).toBe("One.");
  });

  it.each(["down", "quality"])("has to be there: %s", (key) => {
    expect(() => readTexts(EXAMPLE)("hooks", key)).toThrow(
      `config.example.toml explains no hooks.${key}`,
    );
  });

  it("says something, and nothing of the example's values", () => {
    for (const { text } of TABLES.flatMap(({ keys }) => keys)) {
      expect(text).toMatch(/\w{3}/);
      expect(text).not.toMatch(/an example|are examples|Needs a restart| {2}/);
    }
  });
});

/** Another value of each key whose type gives none, as TOML. */
const OTHER: Readonly<Record<string, string>> = {
  "interface.name": '"tun9"',
  "interface.address": '["10.0.0.9/24"]',
  "interface.mtu": "1400",
  "interface.listen": '"[::]:7"',
  "interface.device": '"eth0"',
  "interface.state_dir": '"/var/lib/other"',
  "peer.name": '"c"',
  "peer.key": `"${KEY_B}"`,
  "peer.key_file": '"b.key"',
  "peer.endpoint": '"192.0.2.7:7"',
  "peer.allowed_ips": '["10.8.0.0/16"]',
  "peer.rate": '"45mbit"',
  "metrics.listen": '"127.0.0.1:7"',
  ...Object.fromEntries(HOOK_KINDS.map((kind) => [`hooks.${kind}`, '["/bin/true"]'])),
};
/** What else such a value needs, before and after. */
const BESIDE: Readonly<Record<string, readonly [before: string, after: string]>> = {
  "metrics.page": ['listen = "127.0.0.1:7"', 'listen = "127.0.0.1:7"'],
  "peer.learn": [
    `key = "group:${KEY_A}"\nendpoint = "192.0.2.7:7"`,
    `key = "group:${KEY_A}"\nallowed_ips = ["10.8.0.0/16"]`,
  ],
};

describe("what needs a restart", () => {
  const keys = TABLES.flatMap(({ name: table, keys }) => keys.map((key) => ({ table, ...key })));

  it.each(keys)("is what reload refuses: $table $name", (key) => {
    const { refusals, lines } = changeOf(`${key.table}.${key.name}`, key);

    expect(refusals.some((line) => line.includes("needs a restart"))).toBe(key.needsRestart);
    // It only says what `listen` may be.
    if (key.name !== "dangerous_non_loopback") expect([...refusals, ...lines]).not.toEqual([]);
  });
});

/** What a reload says of another value of one key. */
function changeOf(
  name: string,
  { type, preset }: { readonly type: string; readonly preset: string | undefined },
) {
  const value = OTHER[name] ?? otherValue(type, preset);
  if (value === undefined) throw new Error(`give another value of ${name} in OTHER`);
  const files = new ConfigFiles();
  files.write("b.key", KEY_B);
  const [atFirst = "", atLast = ""] = BESIDE[name] ?? [];
  const before = namedConfig(files, name, preset, atFirst);
  return difference(before, namedConfig(files, name, value, atLast), 9_216);
}

function otherValue(type: string, preset: string | undefined): string | undefined {
  if (type.endsWith("true or false")) return String(preset !== "true");
  const values = [
    ...(type.match(/"\w+"/g) ?? []),
    ...(/number, (\S+) to (\S+)/.exec(type) ?? []).slice(1),
  ];
  return values.find((one) => one !== preset);
}

/** The configuration in which a key has the value; undefined: it is left out. */
function namedConfig(
  files: ConfigFiles,
  name: string,
  value: string | undefined,
  beside: string,
): NamedConfig {
  const [table = "", key = ""] = name.split(".");
  const line = value === undefined ? "" : `${key} = ${value}\n`;
  const own = `${beside}\n${line}`;
  const peer = [
    ...(name === "peer.name" && value !== undefined ? [] : ['name = "b"']),
    ...(/^key/m.test(own) ? [] : [`key = "${KEY_A}"`]),
    ...(table === "peer" ? [own] : []),
  ];
  const config = files.load(
    `${table === "peer" ? "" : `[${table}]\n${own}`}[[peer]]\n${peer.join("\n")}`,
  );
  const fingerprints = config.peers.map(
    (one) => [one.name, one.keys.map((key) => key.join())] as const,
  );
  return { config, fingerprints: new Map(fingerprints) };
}
