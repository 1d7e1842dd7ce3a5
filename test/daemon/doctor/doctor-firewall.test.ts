/** What nftables would do with a packet, by its rules alone: sure where it says dropped, and never so by a guess. */
import { describe, expect, it } from "vitest";
import { fateOf, type Probe } from "../../../src/daemon/doctor/firewall-trace.ts";

const PROBE: Probe = {
  hook: "input",
  family: 4,
  iif: "eth0",
  oif: undefined,
  port: 1194,
  state: "new",
};
const DROP = { drop: null };
const ACCEPT = { accept: null };
const PASSED = { kind: "passed" } as const;
const UNCLEAR = { kind: "unclear" } as const;
const BY_POLICY = { kind: "dropped", where: "chain wall input (policy drop)" } as const;
const BY_RULE = { kind: "dropped", where: "chain wall input, rule handle 7" } as const;

const is = (left: object, right: unknown, op = "==") => ({ match: { op, left, right } });
const meta = (key: string) => ({ meta: { key } });
const port = { payload: { protocol: "udp", field: "dport" } };
const source = { payload: { protocol: "ip", field: "saddr" } };
const state = { ct: { key: "state" } };

describe("a chain that drops unless told", () => {
  it.each([
    ["nothing", [], BY_POLICY],
    ["the port", [is(port, 1194), ACCEPT], PASSED],
    ["the port in a set", [is(port, { set: [53, 1194] }), ACCEPT], PASSED],
    ["the port in a range", [is(port, { range: [1000, 2000] }), ACCEPT], PASSED],
    ["a range beside it", [is(port, { set: [{ range: [1, 1193] }] }), ACCEPT], BY_POLICY],
    ["another port", [is(port, 53), ACCEPT], BY_POLICY],
    ["all but another port", [is(port, 53, "!="), ACCEPT], PASSED],
    ["TCP", [is({ payload: { protocol: "tcp", field: "dport" } }, 1194), ACCEPT], BY_POLICY],
    ["UDP", [is(meta("l4proto"), "udp"), ACCEPT], PASSED],
    [
      "UDP by its number",
      [is({ payload: { protocol: "ip", field: "protocol" } }, 17), ACCEPT],
      PASSED,
    ],
    ["IPv6", [is(meta("nfproto"), "ipv6"), ACCEPT], BY_POLICY],
    ["the device", [is(meta("iifname"), "eth0"), ACCEPT], PASSED],
    ["its like", [is(meta("iifname"), "eth*"), ACCEPT], PASSED],
    ["another device", [is(meta("iif"), "lo"), ACCEPT], BY_POLICY],
    ["a device that is not known", [is(meta("oifname"), "eth0"), ACCEPT], UNCLEAR],
    ["answers", [is(state, ["established", "related"], "in"), ACCEPT], BY_POLICY],
    ["what is new", [is(state, "new", "in"), ACCEPT], PASSED],
    ["an address", [is(source, "192.0.2.1"), ACCEPT], UNCLEAR],
    ["an address on another device", [is(meta("iif"), "lo"), is(source, "::"), ACCEPT], BY_POLICY],
    ["ports of a named set", [is(port, "@ports"), ACCEPT], UNCLEAR],
    ["a few a second", [{ limit: { rate: 4 } }, ACCEPT], UNCLEAR],
    ["what iptables hides", [{ xt: { type: "match", name: "recent" } }, ACCEPT], UNCLEAR],
    ["a map of verdicts", [{ vmap: { key: port, data: { set: [] } } }], UNCLEAR],
    ["a counter alone", [{ counter: { packets: 0 } }], BY_POLICY],
  ])("and accepts %s: %j", (_, expr, fate) => {
    expect(fateOf(ruleset("drop", [expr]), PROBE)).toEqual(fate);
  });

  it("lets answers in where it says so", () => {
    const rules = ruleset("drop", [[is(state, ["established", "related"], "in"), ACCEPT]]);
    expect(fateOf(rules, { ...PROBE, state: "established" })).toEqual(PASSED);
  });
});

describe("a chain that accepts unless told", () => {
  it.each([
    ["the port", [is(port, 1194), DROP], BY_RULE],
    ["the port, with an answer", [is(port, 1194), { reject: { type: "icmp" } }], BY_RULE],
    ["everything", [DROP], BY_RULE],
    ["an address", [is(source, "192.0.2.1"), DROP], PASSED],
    ["more than a few a second", [{ limit: { rate: 4, inv: true } }, DROP], PASSED],
  ])("and drops %s", (_, expr, fate) => {
    expect(fateOf(ruleset("accept", [expr]), PROBE)).toEqual(fate);
  });

  it("goes by the first rule that decides", () => {
    const both = [
      [is(port, 1194), ACCEPT],
      [is(port, 1194), DROP],
    ];
    expect(fateOf(ruleset("accept", both), PROBE)).toEqual(PASSED);
    expect(fateOf(ruleset("accept", both.toReversed()), PROBE)).toEqual(BY_RULE);
  });
});

it("a chain that is jumped to decides, or hands back; one that leads to itself ends", () => {
  const jump = (target: string) => ({ jump: { target } });
  const inner = [chain("udp"), rule("udp", [is(port, 1194), DROP])];
  const calls = ruleset("accept", [[is(meta("l4proto"), "udp"), jump("udp")]], inner);
  const where = "chain wall udp, rule handle 7";
  expect(fateOf(calls, PROBE)).toEqual({ kind: "dropped", where });
  expect(fateOf(calls, { ...PROBE, port: 53 })).toEqual(PASSED);
  const round = ruleset("drop", [[jump("udp")]], [chain("udp"), rule("udp", [jump("udp")])]);
  expect(fateOf(round, PROBE)).toEqual(BY_POLICY);
});

it("only filters of the packet's hook and family are asked", () => {
  const drops = ruleset("drop", []);
  expect(fateOf(drops, { ...PROBE, hook: "output" })).toEqual(PASSED);
  expect(fateOf(drops.replaceAll('"inet"', '"ip6"'), PROBE)).toEqual(PASSED);
  expect(fateOf(drops.replaceAll('"inet"', '"ip6"'), { ...PROBE, family: 6 })).toEqual(BY_POLICY);
  expect(fateOf(drops.replaceAll('"filter"', '"nat"'), PROBE)).toEqual(PASSED);
  expect(fateOf('{"nftables": [{"metainfo": {}}]}', PROBE)).toEqual(PASSED);
});

it("what is no ruleset of a known form says nothing, and does not throw", () => {
  for (const text of ["{}", '{"nftables": 3}', '{"nftables": [{"rule": 5}, {"chain": null}]}']) {
    expect(fateOf(text, PROBE)).toEqual(PASSED);
  }
});

/** A table whose chain has the hook "input", as `nft -j list ruleset` prints it. */
function ruleset(policy: string, rules: readonly object[][], more: readonly object[] = []): string {
  const base = chain("input", { type: "filter", hook: "input", prio: 0, policy });
  const entries = rules.map((expr) => rule("input", expr));
  return JSON.stringify({ nftables: [{ metainfo: {} }, base, ...entries, ...more] });
}

function chain(name: string, more: object = {}): object {
  return { chain: { family: "inet", table: "wall", name, handle: 1, ...more } };
}

function rule(name: string, expr: readonly object[]): object {
  return { rule: { family: "inet", table: "wall", chain: name, handle: 7, expr } };
}
