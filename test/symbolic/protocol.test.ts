/**
 * The handshake as docs/protocol.md has it, in every state that it can reach within some bounds: no claim
 * of properties.ts is broken by an attacker who owns the network.
 *
 * Who is there and what bounds the runs is in settings.ts; what is left out is in docs/model.md. Ways that
 * the search found, to everything that it saw happen and to states all over the space, are gone by the real
 * core too, which must agree at each step. IPTUN_FULL=1 adds the long settings.
 */
import { describe, expect, it, vi } from "vitest";
import { figure, IS_FULL } from "../helpers/figure.ts";
import { Attacker } from "./attacker.ts";
import { booted, contextsOf, type Exploration, explore } from "./explore.ts";
import type { Bounds } from "./host.ts";
import { Knowledge } from "./knowledge.ts";
import { Lockstep } from "./lockstep.ts";
import type { Move } from "./moves.ts";
import { NAIVE } from "./naive.ts";
import type { Property } from "./properties.ts";
import { PROTOCOL, type Rules, without } from "./rules.ts";
import { CLIENT, type HostKind, HUB, PSK, SERVER, type Setting, SITE, setting } from "./setting.ts";
import { boundsOf, FEW, LONG, SHORT } from "./settings.ts";
import { fresh, join, oneWay, power, publicName, sealed } from "./term.ts";
import { tell } from "./transcript.ts";

const TASKS = IS_FULL ? [...SHORT, ...LONG] : SHORT;
const LONG_MS = 600_000;
/** Ways to states that the core goes too, beside those to everything that was seen to happen. */
const SAMPLES = IS_FULL ? 60 : 6;
const NO_FAULT = { fault: undefined, told: [] };

/** Smaller than the core's own, so that a short search comes to all corners; the same as FEW has. */
const core = vi.hoisted(() => ({
  COOKIE_RESENDS: 1,
  REPEATED_ANSWERS: 0,
  REPEATED_ANSWERS_ANYWHERE: 0,
}));
vi.mock("../../src/core/constants.ts", async (original) => ({
  ...(await original<typeof import("../../src/core/constants.ts")>()),
  ...core,
}));

it.each(TASKS)(
  "$setting.name: no claim is broken in any state",
  { timeout: LONG_MS },
  ({ setting, leastStates, reaches }) => {
    const seen = explore(setting, PROTOCOL);
    const { states, steps, depth, reached, found } = seen;
    const size = `${states} states, ${steps} steps, ${depth} deep`;
    figure("model", `${setting.name} (${boundsOf(setting)})`, size, "no claim broken in any");

    expect({ fault: found?.fault, told: told(setting, found?.trace ?? []) }).toEqual(NO_FAULT);
    expect(states).toBeGreaterThanOrEqual(leastStates);
    expect(reaches.filter((what) => !reached.has(what))).toEqual([]);
    if (isForCore(setting)) {
      const ways = longest([...reached.values(), ...samplesOf(seen)]);
      expect(ways.flatMap((moves) => differenceOnCore(setting, moves))).toEqual([]);
    }
  },
);

it("most settings are tried on the core too", () => {
  expect(SHORT.filter(({ setting }) => isForCore(setting)).length).toBeGreaterThanOrEqual(9);
});

const HUB_THAT_RESTS = { ...HUB, bounds: { expires: 1 } };

/** Rules taken out, and the claim that falls with them; the known attacks are in attacks.ts. */
const TEETH: readonly (readonly [
  Property,
  readonly (keyof Rules)[],
  readonly HostKind[],
  Partial<Bounds>,
])[] = [
  ["secrecy", ["mixesPsk", "mixesSharedSecret"], [CLIENT, SERVER], {}],
  ["forward secrecy", ["mixesSharedSecret"], [CLIENT, SERVER], {}],
  [
    "agreement",
    ["respMacCoversInit", "respMacCoversIndex", "opensResp"],
    [CLIENT, SERVER],
    { inits: 2 },
  ],
  ["roles", ["scopesDiffer"], [CLIENT, HUB], {}],
  [
    "one session, one key",
    ["freshEphemerals", "keysNameTranscript"],
    [CLIENT, SERVER],
    { inits: 2 },
  ],
  ["work", ["remembersInits"], [CLIENT, SERVER], {}],
  ["work", ["cookieNamesSource"], [CLIENT, SERVER], {}],
  ["work", ["absentNodesProve"], [HUB_THAT_RESTS, SITE], { inits: 2, rekeys: true }],
  ["once", ["keepsWindow"], [CLIENT, SERVER], {}],
  ["answers", ["boundsRepeats"], [CLIENT, SERVER], {}],
  ["crossing", ["settlesCrossing"], [CLIENT, CLIENT], {}],
];

describe("a claim that a variant breaks is seen to be broken", () => {
  it.each(TEETH)("%s, without %s", (property, taken, kinds, bounds) => {
    const rules = without(...taken);
    const broken = setting(property, kinds, rules, { bounds: { ...FEW, ...bounds } });

    expect(explore(broken, rules, { wanted: property }).found?.fault.property).toBe(property);
  });

  it("partner, against a member", () => {
    const rules = without("respMacCoversInit", "respMacCoversIndex", "opensResp");
    const options = { attacker: "member", composed: 1, bounds: { ...FEW, inits: 2 } } as const;
    const broken = setting("partner", [HUB, SITE], rules, options);

    const { found } = explore(broken, rules, { wanted: "partner" });

    expect(found?.fault.property).toBe("partner");
  });
});

describe("the lazy intruder", () => {
  const restarting = { ...SERVER, bounds: { restarts: 1 } };
  it.each<readonly [string, readonly HostKind[]]>([
    ["client and server", [CLIENT, SERVER]],
    ["hub and site", [HUB, SITE]],
    ...(IS_FULL ? [["client and server that restarts", [CLIENT, restarting]] as const] : []),
  ])("misses nothing that any splice of known fields reaches: %s", (name, kinds) => {
    const small = setting(name, kinds, PROTOCOL, { bounds: FEW });

    const lazy = explore(small, PROTOCOL);
    const naive = explore(small, PROTOCOL, { deliverer: NAIVE });

    expect(naive.found).toBeUndefined();
    expect([naive.states, naive.steps]).toEqual([lazy.states, lazy.steps]);
  });
});

describe("what a member makes", () => {
  it.each(["member", "outsider"] as const)("can a %s make", (attacker) => {
    const world = setting("member", [HUB, SITE], PROTOCOL, { attacker, bounds: FEW });
    const intruder = new Attacker(world, PROTOCOL);
    const states = contextsOf(world, PROTOCOL).map((context) => booted(context));
    const sent = states.flatMap((state) => state.sent);
    const known = intruder.knowledge(sent);

    const made = [
      ...intruder.inits(intruder.knowledge(sent, PSK), sent),
      ...states.flatMap((state) => intruder.answers(known, sent, state)),
    ];

    expect(made.length).toBeGreaterThan(10);
    expect(made.filter((message) => known.derives(message))).toHaveLength(
      attacker === "member" ? made.length : 0,
    );
  });
});

describe("what the attacker knows", () => {
  const [x, y, key, text] = [fresh("x"), fresh("y"), fresh("key"), fresh("text")];

  it("is every part of what was sent, and what is sealed under a known key", () => {
    const nonce = publicName("nonce");
    const inner = sealed("aead", key, nonce, nonce, text);
    const outer = sealed("aead", oneWay("hash", inner), nonce, nonce, key);

    expect(new Knowledge([join("pair", inner, outer)]).derives(text)).toBe(true);
    expect(new Knowledge([inner]).derives(text)).toBe(false);
    expect(new Knowledge([outer]).derives(key)).toBe(false);
  });

  it("is no secret of two ephemerals, but one of an own and another's", () => {
    const passive = new Knowledge([power(x), power(y)]);
    const active = new Knowledge([power(x), y]);

    expect(passive.derives(power(x, y))).toBe(false);
    expect(active.derives(power(y, x))).toBe(true);
    expect(active.derives(x)).toBe(false);
  });

  it("is no input of a hash, and the hash of what is known", () => {
    const known = new Knowledge([oneWay("hash", x), y]);

    expect(known.derives(x)).toBe(false);
    expect(known.derives(oneWay("hash", y))).toBe(true);
    expect(known.derives(oneWay("hash", x, y))).toBe(false);
  });
});

function told(world: Setting, moves: readonly Move[]): string[] {
  return tell(world, PROTOCOL, moves).map(({ text }) => text);
}

/** Two hosts, for which ten minutes do not pass, with the bounds that the core has here. */
function isForCore({ hosts }: Setting): boolean {
  return hosts.every(
    ({ kind, bounds: { forgets, expires, resends, repeats } }) =>
      hosts.length === 2 &&
      forgets === 0 &&
      (expires === 0 || kind === "hub") &&
      resends === core.COOKIE_RESENDS &&
      repeats.endpoint === core.REPEATED_ANSWERS,
  );
}

/** Ways to states all over the space. */
function samplesOf({ states, wayTo }: Exploration): (readonly Move[])[] {
  const every = Math.max(1, Math.floor(states / SAMPLES));
  return Array.from({ length: Math.floor(states / every) }, (_, index) => wayTo(index * every));
}

/** Each way once, without those that are the beginning of another. */
function longest(ways: readonly (readonly Move[])[]): (readonly Move[])[] {
  const textOf = (moves: readonly Move[]) =>
    moves.map((move) => `${JSON.stringify(move)};`).join("");
  const byText = new Map(ways.map((moves) => [textOf(moves), moves]));
  const isBeginning = (text: string) =>
    [...byText.keys()].some((other) => other !== text && other.startsWith(text));
  return [...byText].flatMap(([text, moves]) => (isBeginning(text) ? [] : [moves]));
}

/** How a run on model and core goes until they differ; nothing where they do not. */
function differenceOnCore(world: Setting, moves: readonly Move[]): string[] {
  const lockstep = new Lockstep(world, PROTOCOL, 1);
  if (lockstep.startDifference !== undefined) return [lockstep.startDifference];
  for (const [index, move] of moves.entries()) {
    const { difference } = lockstep.take(move);
    if (difference === undefined) continue;
    return [[...told(world, moves.slice(0, index + 1)), difference].join("\n")];
  }
  return [];
}
