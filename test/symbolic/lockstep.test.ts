/**
 * The model is the core: random runs of both, compared datagram by datagram and verdict by verdict.
 *
 * A model alone says nothing of the code. Here every INIT, RESP, CHALLENGE and DATA of the real core must
 * equal the bytes of its term, computed by other code, and every datagram that the attacker delivers,
 * genuine, spliced or made by a member, must be taken or dropped for the same reason. IPTUN_FULL=1
 * makes more runs.
 *
 * Each known attack is found as soon as its rule is taken out of the model, works on a core without that
 * rule, and is refused by the core as it is.
 */
import { describe, expect, it, vi } from "vitest";
import type { Floors } from "../../src/core/handshake/floors.ts";
import { figure, IS_FULL } from "../helpers/figure.ts";
import { Random } from "../helpers/random.ts";
import { ATTACKS, type Attack, LOOSE, REFLECTION, SPLICE } from "./attacks.ts";
import { type Exploration, explore } from "./explore.ts";
import { Lockstep } from "./lockstep.ts";
import { typeOf } from "./messages.ts";
import type { Move } from "./moves.ts";
import { replay } from "./replay.ts";
import { PROTOCOL, type Rules } from "./rules.ts";
import {
  CLIENT,
  type HostKind,
  HUB,
  SERVER,
  type Setting,
  type SettingOptions,
  SITE,
  setting,
} from "./setting.ts";
import { tell } from "./transcript.ts";
import { Walker } from "./walk.ts";

const mocked = vi.hoisted(() => ({ floorsFall: false }));
vi.mock(import("../../src/core/handshake/floors.ts"), async (original) => {
  const actual = await original();
  return {
    Floors: class extends actual.Floors {
      readonly fallen = new Map<string, number>();
      override isAbove(...[nodeId, stamp]: Parameters<Floors["isAbove"]>): boolean {
        if (!mocked.floorsFall) return super.isAbove(nodeId, stamp);
        return stamp > (this.fallen.get(String(nodeId)) ?? Number.POSITIVE_INFINITY);
      }
      override confirm(...[nodeId, stamp]: Parameters<Floors["confirm"]>): void {
        this.fallen.set(String(nodeId), stamp);
        super.confirm(nodeId, stamp);
      }
    },
  };
});

const RUNS = IS_FULL ? 60 : 3;
const MOVES = 30;
const LONG_MS = 600_000;
/** The bounds of the core itself; of what a host does on its own there is enough for a run. */
const CORE = {
  inits: 4,
  restarts: 2,
  resends: 3,
  repeats: { endpoint: 3, anywhere: 2 },
} as const;

/** Where runs go, and what must be seen on the way. */
const WORLDS: readonly (readonly [
  string,
  readonly HostKind[],
  SettingOptions,
  readonly string[],
])[] = [
  ["client and server", [CLIENT, SERVER], {}, ["bad_mac", "handshake_failed", "confirmed"]],
  ["both start", [CLIENT, CLIENT], {}, ["own_node", "replayed_init", "confirmed"]],
  ["hub and site", [HUB, SITE], {}, ["site_init", "unknown_index", "confirmed"]],
  ["two sites", [SITE, SITE], {}, ["site_init"]],
  ["a pair's host and a hub with the same 32 bytes", [CLIENT, HUB], {}, ["unknown_hint"]],
  ["two hosts with one node id", [CLIENT, CLIENT], { isCloned: true }, ["own_node"]],
  [
    "hub and site, dishonest member",
    [HUB, SITE],
    { attacker: "member" },
    ["own_node", "bad_mac", "confirmed"],
  ],
  ["two sites, dishonest member", [SITE, SITE], { attacker: "member" }, ["confirmed"]],
];

describe("model and core agree on every datagram", () => {
  it.each(WORLDS)("%s", { timeout: LONG_MS }, (name, kinds, options, reaches) => {
    const world = setting(name, kinds, PROTOCOL, { ...options, bounds: CORE });
    const seen = new Set<string>();

    for (let seed = 1; seed <= RUNS; seed += 1) {
      expect(run(world, PROTOCOL, seed, seen), `seed ${seed}`).toEqual([]);
    }

    expect(reaches.filter((what) => !seen.has(what))).toEqual([]);
  });
});

it.each(ATTACKS)(
  "$name: the model finds the attack, and the core is safe from it",
  { timeout: 120_000 },
  (attack) => {
    const { setting: world, rules, breaks, refusal, broken } = attack;

    const { found } = explore(world, rules, { wanted: breaks });
    const moves = tell(world, rules, found?.trace ?? []);

    figure("model", `without a rule (${attack.name})`, caught(found, moves.length), "caught");
    expect(found?.fault.property).toBe(breaks);
    expect(moves.map(({ text }) => text)).toEqual(attack.trace);

    // The same moves on the protocol as it is: model and core refuse the last.
    const onCore = replay(world, PROTOCOL, moves);
    expect(onCore.differences).toEqual([]);
    expect(onCore.reasons.at(-1)).toBe(refusal);
    expect(onCore.lastWork).toBe(0);

    // And on a core without the rule, which goes all the way.
    mocked.floorsFall = broken.floorsFall === true;
    const onBroken = replay(world, rules, moves, broken);
    mocked.floorsFall = false;
    expect(onBroken.differences).toEqual([]);
    expect(onBroken.reasons).toHaveLength(moves.length);
  },
);

it.each([REFLECTION, SPLICE, LOOSE])("a core where $name is told from the protocol", (attack) => {
  const seeds = Array.from({ length: RUNS }, (_, index) => index + 1);
  const { setting: world } = attack;

  const differing = seeds.filter(
    (seed) => run(world, PROTOCOL, seed, new Set(), attack).length > 0,
  );

  expect(differing.length).toBeGreaterThan(0);
});

/** A random run until model and core differ: how it went, and how they do; nothing where they do not. */
function run(
  world: Setting,
  rules: Rules,
  seed: number,
  seen: Set<string>,
  attack?: Attack,
): string[] {
  const lockstep = new Lockstep(world, rules, seed, attack?.broken);
  const walker = new Walker(world, rules, new Random(seed));
  if (lockstep.startDifference !== undefined) return [lockstep.startDifference];
  const moves: Move[] = [];
  while (moves.length < MOVES) {
    const move = walker.next(lockstep.contexts, lockstep.states);
    moves.push(move);
    const { step, difference } = lockstep.take(move);
    if (difference !== undefined) {
      return [...tell(world, rules, moves).map(({ text }) => text), difference];
    }
    seen.add(step.reason ?? "taken");
    for (const message of step.sent) seen.add(`${typeOf(message)} sent`);
    for (const { kind } of step.events) seen.add(kind);
  }
  return [];
}

function caught(found: Exploration["found"], steps: number): string {
  return found
    ? `breaks ${found.fault.property} in ${steps} steps: ${found.fault.text}`
    : "nothing";
}
