/**
 * The plan of a default route: its commands, what it lacks, its numbers, and what stands in its way.
 */
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import {
  candidateMarks,
  type DefaultRoute,
  defaultRouteDown,
  defaultRouteLack,
  defaultRouteUp,
  freePriority,
  halfRoute,
  rulesForAll,
} from "../../../src/daemon/host/default-route.ts";
import type { RunProcess } from "../../../src/daemon/host/ip-command.ts";
import {
  type Routing,
  type RoutingRule,
  readPlaced,
  readRouting,
  readTable,
} from "../../../src/daemon/host/routing-rules.ts";

const ROUTE: DefaultRoute = { family: 4, mark: 0x3005, priority: 32_765 };
const UP = [
  "route add default dev iptun0 table 12293",
  "rule add priority 32764 from all lookup main suppress_prefixlength 0",
  "rule add not from all fwmark 12293 lookup 12293 priority 32765",
];

/** As iproute2 6.1 prints a host's rules with a tunnel of each kind, and what else rules can say. */
const PRINTED = `[{"priority":0,"src":"all","table":"255"},{"priority":50,"src":"all","goto":32766},{"priority":1000,"src":"all","l3mdev":null},{"priority":32762,"src":"10.0.0.0","srclen":8,"iif":"lo","uid_start":0,"uid_end":10,"ipproto":"ipproto-17","dport":53,"table":"99"},{"priority":32763,"src":"all","fwmark":"0x10","fwmask":"0xff00","table":"77"},{"priority":32764,"src":"all","table":"254","suppress_prefixlen":0},{"priority":32765,"not":null,"src":"all","fwmark":"0x3005","table":"12293"},{"priority":32766,"src":"all","table":"254"},{"priority":32767,"src":"all","table":"253"},{"priority":40000,"src":"all","action":"7"}]`;
const PLACED = '[{"dst":"default","table":"12293","scope":"253","flags":["linkdown"]}]';

describe("the commands", () => {
  it("set first what the last leads to, and take it off the other way round", () => {
    expect(texts(defaultRouteUp(ROUTE, "iptun0"))).toEqual(UP);
    expect(texts(defaultRouteDown(ROUTE, "iptun0"))).toEqual(
      UP.toReversed().map((line) => line.replace(" add ", " del ")),
    );
  });

  it("are none where all is there", async () => {
    expect(lack(await found(PRINTED, PLACED))).toEqual([]);
  });

  it.each([
    ["the route", PRINTED, "[]", UP[0]],
    ["another device's route", PRINTED, PLACED.replace("12293", "254"), UP[0]],
    ["the rule before", PRINTED.replace(',"suppress_prefixlen":0', ""), PLACED, UP[1]],
    ["it at its place", PRINTED.replace("32764", "32700"), PLACED, UP[1]],
    ["the rule", PRINTED.replace('"not":null,', ""), PLACED, UP[2]],
    ["the rule to the table", PRINTED.replace('"table":"12293"', '"table":"77"'), PLACED, UP[2]],
  ])("put back %s alone where that is missing", async (_, rules, routes, expected) => {
    expect(lack(await found(rules, routes))).toEqual([expected]);
  });

  it("leave the route of a link that is down", async () => {
    expect(lack(await found(PRINTED, "[]"), false)).toEqual([]);
    expect(lack(await found("[]", "[]"), false)).toEqual(UP.slice(1));
  });
});

describe("the place of the rules", () => {
  it.each([
    ["before main", [0, 32_766, 32_767], 32_765],
    ["before what somebody has put first", [0, 5_210, 32_766], 5_209],
    ["where there is just room", [0, 3, 32_766], 2],
    ["nowhere where there is not", [0, 2, 32_766], undefined],
    ["nowhere without a rule", [0], undefined],
  ])("is %s", (_, priorities, expected) => {
    expect(freePriority(priorities.map((priority) => rule({ priority })))).toBe(expected);
  });
});

describe("the number", () => {
  const all = candidateMarks("iptun0", undefined, []);

  it("is one of 256, beginning at the name's own place", () => {
    expect(all[0]).toBe(0x3000 + (crc32("iptun0") % 256));
    expect(all.toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 256 }, (_, at) => 0x3000 + at),
    );
    expect(candidateMarks("iptun1", undefined, [])[0]).not.toBe(all[0]);
  });

  it("has none of the bits that others look for", () => {
    for (const number of all) expect(number & 0xffff_cf00).toBe(0);
  });

  it("of an earlier run comes first, if it is one of them", () => {
    expect(candidateMarks("iptun0", 0x30ff, [])[0]).toBe(0x30ff);
    expect(candidateMarks("iptun0", 51_820, [])).toEqual(all);
  });

  it("is none that a rule names as table or mark, whole or in part", () => {
    const [first = 0, second = 0] = all;
    const rules = [
      rule({ table: first }),
      rule({ mark: { value: second, mask: 0xffff_ffff } }),
      rule({ mark: { value: 0x3080, mask: 0xf0f0 } }),
      rule({ mark: { value: 0x8000_0000, mask: 0x8000_0000 } }),
    ];
    const left = candidateMarks("iptun0", first, rules);
    expect(left).not.toContain(first);
    expect(left).not.toContain(second);
    expect(left.filter((number) => number >= 0x3080 && number <= 0x308f)).toEqual([]);
    expect(left.length).toBeGreaterThanOrEqual(256 - 18);
  });

  it("is none at all where a rule looks for every one of them", () => {
    const rules = [rule({ mark: { value: 0, mask: 0xf00 } })];
    expect(candidateMarks("iptun0", 0x3000, rules)).toEqual([]);
  });
});

describe("in the way is", () => {
  it("a rule that leads everything elsewhere, by whatever mark it makes exceptions", async () => {
    const { rules } = await found(
      `[{"priority":0,"src":"all","table":"255"},{"priority":9,"src":"all","table":"52"},${PRINTED.slice(1)}`,
      "",
    );
    expect(rulesForAll(rules).map(({ priority }) => priority)).toEqual([9, 32_765]);
  });

  it("a route that takes half of everything, unless it is the tunnel's own", async () => {
    const half =
      '[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"},{"dst":"0.0.0.0/1","dev":"tun0"}]';
    const routing = await found(PRINTED, half);
    expect(halfRoute(routing, "iptun0")).toBe("0.0.0.0/1 dev tun0");
    expect(halfRoute(routing, "tun0")).toBeUndefined();
  });
});

describe("what ip is asked", () => {
  it.each([
    [4, "0.0.0.0/1", "128.0.0.0/1"],
    [6, "2000::/4", "3000::/4"],
  ] as const)("is one process for IPv%d", async (family, ...halves) => {
    const { calls, run } = fakeIp("");
    await readRouting(family, run);
    const lines = halves.map((half) => `route show table main match ${half}\n`).join("");
    expect(calls).toEqual([`ip -N -j -${family} -force -batch - < rule show\n${lines}`]);
  });

  it("of what is placed is one too", async () => {
    const { calls, run } = fakeIp("");
    await readPlaced(6, "iptun0", run);
    const lines = "rule show\nroute show table all dev iptun0\n";
    expect(calls).toEqual([`ip -N -j -6 -force -batch - < ${lines}`]);
  });

  it("of a table that does not exist is answered by no routes", async () => {
    const { run } = fakeIp("[", 2);
    expect(await readTable(4, 77, run)).toEqual([]);
  });

  it("leaves out a route that says there is none", async () => {
    const { run } = fakeIp(
      '[{"type":"throw","dst":"default"},{"type":"unreachable","dst":"default"}]',
    );
    expect(await readTable(4, 77, run)).toHaveLength(1);
  });

  it("of an ip that prints no JSON ends with a remedy", async () => {
    const { run } = fakeIp("[0:	from all lookup local]");
    await expect(readRouting(4, run)).rejects.toThrow(
      "this ip is too old: it does not print rules as JSON; install a newer iproute2, or set routes = false",
    );
  });

  it("where there is no ip ends too", async () => {
    const run: RunProcess = async () => ({
      ...{ exitCode: undefined, stdout: "", stderr: "", startError: "spawn ip ENOENT" },
    });
    await expect(readPlaced(4, "iptun0", run)).rejects.toThrow("cannot run ip: spawn ip ENOENT");
  });
});

function lack(routing: Routing, isLinkUp = true): readonly string[] {
  return texts(defaultRouteLack(ROUTE, "iptun0", isLinkUp, routing));
}

function texts(commands: readonly (readonly string[])[]): readonly string[] {
  return commands.map((words) => words.join(" "));
}

/** What the daemon reads out of two lines of ip. */
function found(rules: string, routes: string): Promise<Routing> {
  return readPlaced(4, "iptun0", fakeIp(`${rules}\n${routes}\n`).run);
}

function fakeIp(stdout: string, exitCode = 0) {
  const calls: string[] = [];
  const run: RunProcess = async (file, args, input) => {
    calls.push(`${[file, ...args].join(" ")} < ${input}`);
    return { exitCode, stdout, stderr: "", startError: undefined };
  };
  return { calls, run };
}

function rule(changes: Partial<RoutingRule>): RoutingRule {
  return {
    ...{ priority: 100, isNegated: false, mark: undefined, table: undefined },
    ...{ suppressed: undefined, isForAll: true },
    ...changes,
  };
}
