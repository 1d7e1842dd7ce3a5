/**
 * Groups in a configuration: what makes a peer a group or a group's hub, and what does not fit together.
 */
import { describe, expect, it } from "vitest";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { configOf, configText, problemsOf } from "./config-files.ts";

const ENDPOINT = 'endpoint = "192.0.2.1:1194"';
const PREFIX = 'allowed_ips = ["10.9.0.0/16"]';
const GROUP_KEY = `key = "group:${KEY_A}"`;
const MAKE = "make one with `iptun keygen --group`";

describe("a peer is", () => {
  it.each([
    ["a pair's other side", [`key = "${KEY_A}"`], "pair"],
    ["a group's hub", [GROUP_KEY, ENDPOINT], "hub"],
    ["a group", [GROUP_KEY, "learn = true", PREFIX], "group"],
    [
      "a group with a new key",
      [`key = ["group:${KEY_B}", "group:${KEY_A}"]`, "learn = true", PREFIX],
      "group",
    ],
  ])("%s", (_, lines, kind) => {
    expect(configOf(configText({ peer: lines.join("\n") })).peers[0]?.kind).toBe(kind);
  });
});

describe("refused is", () => {
  it.each([
    [
      "a pair's key that is to be learned under",
      [`key = "${KEY_A}"`, "learn = true", PREFIX],
      `c.toml:6: peer[b].key: is a pair's key; expected a group's key with learn = true; ${MAKE}`,
    ],
    [
      "a pair's key beside a group's",
      [`key = ["group:${KEY_A}", "${KEY_B}"]`, ENDPOINT],
      `c.toml:6: peer[b].key: is a pair's key; expected a group's key beside another of a group; ${MAKE}`,
    ],
    [
      "a hub's endpoint for its sites",
      [GROUP_KEY, "learn = true", PREFIX, ENDPOINT],
      "c.toml:9: peer[b].endpoint: is given together with learn = true; expected none; sites call their hub; remove it",
    ],
    [
      "a group without prefixes",
      [GROUP_KEY, "learn = true"],
      "c.toml:4: peer[b]: has learn = true and no allowed_ips; expected the prefixes of all its sites",
    ],
    [
      "a site that does not know its hub",
      [GROUP_KEY, PREFIX],
      "c.toml:4: peer[b]: has a group's key and no endpoint; expected the hub's endpoint on a site, or learn = true on the hub",
    ],
    [
      "a default route to a group",
      [GROUP_KEY, "learn = true", 'allowed_ips = ["::/0"]'],
      'c.toml:8: peer[b].allowed_ips: "::/0" would send all traffic to a group; expected the prefixes of its sites; name them, or set routes = false in [interface]',
    ],
  ])("%s", (_, lines, problem) => {
    expect(problemsOf(configText({ peer: lines.join("\n") }))).toEqual([problem]);
  });

  it("one key for a group and a pair, or for two groups", () => {
    const second = (key: string, more: string) =>
      `[[peer]]\nname = "c"\nkey = "${key}"\nallowed_ips = ["10.10.0.0/16"]\n${more}`;
    const first = configText({ peer: `${GROUP_KEY}\nlearn = true\n${PREFIX}` });
    for (const [key, more] of [
      [KEY_A, ""],
      [`group:${KEY_A}`, "learn = true"],
    ] as const) {
      const [line] = problemsOf(first + second(key, more));
      expect(line).toContain('is the same key as that of peer "b"');
    }
  });
});
