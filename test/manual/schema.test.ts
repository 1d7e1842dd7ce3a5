/** The configuration's JSON Schema, by an independent judge: what it takes, what it refuses, and that it agrees with `iptun check`. */
import { existsSync, readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { configurationTables } from "../../scripts/manual/configuration.ts";
import { readTexts } from "../../scripts/manual/example.ts";
import { editorSchema } from "../../scripts/manual/schema.ts";
import { settingsSchema } from "../../src/config/schema.ts";
import { parseToml } from "../../src/config/toml.ts";
import { FLAGS, init, texts } from "../cli/init-fixtures.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { CONFIG_SAMPLE, KEY_A } from "../helpers/config-samples.ts";

const ROOT = new URL("../../", import.meta.url);
const EXAMPLE = readFileSync(new URL("config.example.toml", ROOT), "utf8");

const validate = new Ajv({ strict: true, strictRequired: false, allErrors: true }).compile(
  editorSchema(readTexts()),
);

/** Where a file is refused; none: it is taken. */
function refusedAt(toml: string): readonly string[] {
  const parsed = parseToml(toml);
  if ("fault" in parsed) throw new Error(parsed.fault.text);
  // The parser's tables have no prototype.
  validate(JSON.parse(JSON.stringify(parsed.tree)));
  return (validate.errors ?? []).map(({ instancePath, keyword }) => `${instancePath} ${keyword}`);
}

describe("the schema takes", () => {
  it("the example", () => {
    expect(refusedAt(EXAMPLE)).toEqual([]);
  });

  it.each([
    { networks: [] },
    { networks: ["--networks", "192.168.1.0/24", "--peer-endpoint", "h.example.org:7"] },
  ])("what init makes for both hosts with $networks", async ({ networks }) => {
    const { files } = await init([...FLAGS, ...networks]);
    const made = ["iptun0.toml", "branch.toml"].map((name) => texts(files)[name] ?? "");
    expect(made.map(refusedAt)).toEqual([[], []]);
    expect(made.join("")).toContain("[[peer]]");
  });

  it("a file with everything in it", () => {
    expect(refusedAt(CONFIG_SAMPLE)).toEqual([]);
  });
});

/** Values of every kind, at the edges of what keys take. */
const VALUES: readonly unknown[] = [
  ...[true, false, "", "x", "auto", "on", "debug", [], ["a"], [1], ["a", 1], {}, { a: 1 }],
  ...[
    -1, 0, 0.0009, 0.001, 0.5, 1, 1.5, 7, 63, 64, 199, 200, 600, 601, 1_279, 1_280, 60_000, 60_001,
  ],
  ...[
    65_475,
    65_476,
    65_535,
    65_536,
    86_400,
    86_401,
    1e6,
    1e6 + 1,
    2 ** 32 - 1,
    2 ** 32,
    "a\u0000",
  ],
  ...[8, 9, 32, 33, 256, 257].map((count) => Array.from({ length: count }, String)),
];

it("takes the values of each key that iptun's own schema takes, and no others", () => {
  let taken = 0;
  for (const [table = "", key] of configurationTables().flatMap(({ name, keys }) =>
    keys.map((one) => [name, one.name]),
  )) {
    for (const value of VALUES) {
      const peer = {
        ...(key === "key" ? {} : { key_file: "a" }),
        ...(table === "peer" ? { [key ?? ""]: value } : {}),
      };
      const tree = {
        peer: [peer],
        ...(table === "peer" ? {} : { [table]: { [key ?? ""]: value } }),
      };
      const isTaken = settingsSchema.safeParse(tree).success;
      expect(validate(tree), `${table}.${key} = ${JSON.stringify(value)}`).toBe(isTaken);
      taken += isTaken ? 1 : 0;
    }
  }
  expect(taken).toBeGreaterThan(200);
});

describe("the schema refuses", () => {
  const PEER = `[[peer]]\nkey = "${KEY_A}"\n`;
  const CASES: readonly (readonly [toml: string, place: string])[] = [
    [`colour = 1\n${PEER}`, " additionalProperties"],
    [`[interface]\nadress = []\n${PEER}`, "/interface additionalProperties"],
    [`${PEER}allowedips = []`, "/peer/0 additionalProperties"],
    [`[interface]\nmtu = 1279\n${PEER}`, "/interface/mtu minimum"],
    [`[interface]\nmtu = "big"\n${PEER}`, "/interface/mtu const"],
    [`[interface]\nlisten = 1194\n${PEER}`, "/interface/listen type"],
    [`[interface]\nrouts = true\n${PEER}`, "/interface additionalProperties"],
    [`[interface]\nroutes = "yes"\n${PEER}`, "/interface/routes type"],
    [`${PEER}keepalive = 2.5`, "/peer/0/keepalive type"],
    [`${PEER}keepalive = 65536`, "/peer/0/keepalive maximum"],
    [`${PEER}roaming = "maybe"`, "/peer/0/roaming enum"],
    [`${PEER}endpoint = []`, "/peer/0/endpoint minItems"],
    [`${PEER}key_file = "a"`, "/peer/0 oneOf"],
    [`[[peer]]\nname = "b"`, "/peer/0 required"],
    ["[interface]", " required"],
    [`[hooks]\nup = "/bin/true"\n${PEER}`, "/hooks/up type"],
    [`[hooks]\nquality_loss = 0\n${PEER}`, "/hooks/quality_loss minimum"],
    [`[log]\nlevel = "trace"\n${PEER}`, "/log/level enum"],
    [`[peer]\nkey = "${KEY_A}"`, "/peer type"],
  ];

  it.each(CASES.map(([toml, place]) => ({ toml, place })))(
    "as iptun does: $place",
    ({ toml, place }) => {
      expect(refusedAt(toml)).toContain(place);
      expect(new ConfigFiles().problems(toml)).not.toEqual([]);
    },
  );
});

it("is where the example's first line says, also in the package", () => {
  const path = /^#:schema \.\/(.*)\n/.exec(EXAMPLE)?.[1] ?? "";
  expect(existsSync(new URL(path, ROOT))).toBe(true);
  const { files } = JSON.parse(readFileSync(new URL("package.json", ROOT), "utf8"));
  expect(files.some((one: string) => path === one || path.startsWith(`${one}/`))).toBe(true);
});
