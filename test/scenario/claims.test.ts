/**
 * Contests for inner addresses of a group in their details: both families, many addresses at once, who gets
 * what and what stays where it is. group.test.ts has the plain cases.
 */
import { describe, expect, it } from "vitest";
import { PROBE_PERIOD_MS, PROBES, REST_FIRST_MS, REST_MOST_MS } from "../../src/core/constants.ts";
import { innerBytes } from "../helpers/address.ts";
import {
  bringUp,
  type Group,
  type GroupOptions,
  HUB_INNER,
  holder,
  inner6Of,
  innerOf,
  newGroup,
  nodesOf,
  say,
} from "../sim/group.ts";
import type { Host } from "../sim/host.ts";
import { dropsOf, eventsOf } from "../sim/observe.ts";
import type { Site } from "../sim/pair.ts";

const SITE1 = "192.0.2.1";
const SITE2 = "192.0.2.2";
const CONTEST_MS = PROBES * PROBE_PERIOD_MS;

describe("a contest for IPv6 addresses", () => {
  it("is won by the holder that answers", () => {
    const { group, second } = running();
    say(group.site(1), inner6Of(1));
    group.world.advance(50);
    repeat(group, 3_000, () => say(second, inner6Of(1)));
    expect(holder(group.hub, inner6Of(1))).toBe(SITE1);
    expect(dropsOf(group.hub).inner_taken).toBeGreaterThan(20);
  });

  it("is lost by the holder that is gone, which has it back with its next packet", () => {
    const { group, first, second } = running();
    say(first, inner6Of(1));
    group.world.advance(50);
    first.host.isFrozen = true;
    repeat(group, 1_500, () => say(second, inner6Of(1)));
    expect(holder(group.hub, inner6Of(1))).toBe(SITE2);

    first.host.isFrozen = false;
    say(first, inner6Of(1));
    group.world.advance(100);
    expect(holder(group.hub, inner6Of(1))).toBe(SITE1);
  });
});

describe("what was not claimed", () => {
  const own = [innerOf(1), innerOf(257), inner6Of(1), "fd77::1:1", "10.77.0.251"];

  it("stays with its holder, in the order in which it came, when another address moves", () => {
    const { group, first, second } = running();
    for (const address of own) say(first, address);
    group.world.advance(50);
    first.host.isFrozen = true;
    repeat(group, 1_500, () => say(second, innerOf(257)));

    expect(own.map((address) => holder(group.hub, address))).toEqual([
      SITE1,
      SITE2,
      SITE1,
      SITE1,
      SITE1,
    ]);
    expect(held(group.hub, SITE1)).toEqual(bytesOf([own[0], own[2], own[3], own[4]]));
    expect(held(group.hub, SITE2)).toEqual(bytesOf([innerOf(2), innerOf(257)]));
  });

  it("is not taken back: only an address that was lost is", () => {
    const { group, first, second } = running();
    first.host.isFrozen = true;
    repeat(group, 1_500, () => say(second, innerOf(1)));
    expect(holder(group.hub, innerOf(1))).toBe(SITE2);
    first.host.isFrozen = false;
    say(first, innerOf(2));
    group.world.advance(50);

    expect(holder(group.hub, innerOf(2))).toBe(SITE2);
    expect(dropsOf(group.hub).inner_taken).toBeGreaterThan(0);
  });

  it("is not taken back twice: who lost it again later has to contend as anybody", () => {
    const { group, first, second } = running();
    first.host.isFrozen = true;
    repeat(group, 1_500, () => say(second, innerOf(1)));
    first.host.isFrozen = false;
    say(first, innerOf(1));
    group.world.advance(50);
    const refused = dropsOf(group.hub).inner_taken ?? 0;
    say(second, innerOf(1));
    group.world.advance(50);

    expect(holder(group.hub, innerOf(1))).toBe(SITE1);
    expect(dropsOf(group.hub).inner_taken).toBe(refused + 1);
  });
});

describe("one contest", () => {
  it("decides every address claimed in it, each for the first who claimed it", () => {
    const { group, first, second } = running(3);
    const third = group.site(3);
    say(first, innerOf(100));
    group.world.advance(50);
    first.host.isFrozen = true;
    say(second, innerOf(1));
    group.world.advance(100);
    say(third, innerOf(1));
    say(third, innerOf(100));
    group.world.advance(100);
    say(second, innerOf(100));
    group.world.advance(1_200);

    expect(holder(group.hub, innerOf(1))).toBe(SITE2);
    expect(holder(group.hub, innerOf(100))).toBe("192.0.2.3");
    expect(eventsOf(group.hub, "claim")).toHaveLength(1);
    expect(eventsOf(group.hub, "moved")).toHaveLength(2);
  });

  it("leaves alone what its holder gave up in the meantime", () => {
    const { group, first, second } = running(3);
    say(second, innerOf(1));
    group.world.advance(100);
    first.host.act((tunnel, now) => tunnel.close(now));
    group.world.advance(100);
    say(group.site(3), innerOf(1));
    group.world.advance(2_000);

    expect(holder(group.hub, innerOf(1))).toBe("192.0.2.3");
    expect(eventsOf(group.hub, "moved")).toEqual([]);
  });

  it("is won by a holder that was last heard at the very instant it began", () => {
    const { group, first, second } = running();
    group.world.network({ delayMs: 5 });
    say(first, innerOf(1));
    say(second, innerOf(1));
    group.world.advance(6);
    first.host.isFrozen = true;
    group.world.advance(1_500);

    expect(eventsOf(group.hub, "claim")).toHaveLength(1);
    expect(holder(group.hub, innerOf(1))).toBe(SITE1);
  });

  it("asks three times, a third of a second apart, whoever goes on to claim", () => {
    const { group, first, second } = running();
    first.host.isFrozen = true;
    const mark = group.world.eve.mark();
    const start = group.world.now;
    repeat(group, 900, () => say(second, innerOf(1)));

    const probes = group.world.eve
      .since(mark)
      .filter(({ by, to }) => by === "hub" && to.ip === SITE1);
    expect(probes).toHaveLength(PROBES);
    const gaps = probes.map(({ at }, index) => at - (probes[index - 1]?.at ?? start));
    expect(gaps.slice(1)).toEqual(Array(PROBES - 1).fill(PROBE_PERIOD_MS));
  });
});

it("a holder that answers is asked again after rests that double up to a minute", () => {
  const { group, second } = running();
  repeat(group, 300_000, () => say(second, innerOf(1)), 500);

  const starts = eventsOf(group.hub, "claim").map(({ seenAt }) => seenAt);
  const rests = starts.slice(1).map((at, index) => at - (starts[index] ?? 0) - CONTEST_MS);
  const expected = rests.map((_, index) =>
    Math.min(REST_FIRST_MS * 2 ** (index + 1), REST_MOST_MS),
  );
  expect(rests.length).toBeGreaterThan(5);
  for (const [index, rest] of rests.entries()) {
    expect(Math.abs(rest - (expected[index] ?? 0))).toBeLessThanOrEqual(550);
  }
});

describe("nobody brings", () => {
  it.each([HUB_INNER, "10.77.0.251", "fd77::fa"])(
    "%s, one of the hub's own addresses",
    (address) => {
      const { group, second } = running(2, { inner: [HUB_INNER, "fd77::fa", "10.77.0.251"] });
      say(second, address);
      group.world.advance(50);
      expect(holder(group.hub, address)).toBe("nobody");
      expect(dropsOf(group.hub)).toMatchObject({ inner_source: 1 });
    },
  );

  it("an address of another group of the same hub", () => {
    const other = { name: "other", kind: "group", keys: [new Uint8Array(32).fill(9)] } as const;
    const { group, second } = running(2, { others: [{ ...other, allowedIps: ["10.88.0.0/16"] }] });
    say(second, "10.88.0.1");
    group.world.advance(50);
    expect(dropsOf(group.hub)).toMatchObject({ inner_source: 1 });
    expect(group.hub.delivered).toEqual([]);
  });
});

type Running = Group & { readonly site: (number: number) => Site };

/** A group whose sites hold one IPv4 address each. */
function running(
  sites = 2,
  options: GroupOptions = {},
): { group: Running; first: Site; second: Site } {
  const group = newGroup({ sites, ...options });
  bringUp(group);
  const site = (number: number): Site => {
    const found = group.sites[number - 1];
    if (found === undefined) throw new Error(`no site ${number}`);
    return found;
  };
  return { group: { ...group, site }, first: site(1), second: site(2) };
}

function repeat({ world }: Group, ms: number, action: () => void, periodMs = 100): void {
  const stop = world.every(periodMs, action);
  world.advance(ms);
  stop();
}

/** The addresses of a node, by its outer address, as the hub lists them. */
function held(hub: Host, outer: string): readonly string[] {
  const node = nodesOf(hub).find(({ endpoint }) => endpoint?.address.slice(-4).join(".") === outer);
  return (node?.addresses ?? []).map(({ bytes }) => bytes.join("."));
}

function bytesOf(addresses: readonly (string | undefined)[]): readonly string[] {
  return addresses.map((text = "") => innerBytes(text).join("."));
}
