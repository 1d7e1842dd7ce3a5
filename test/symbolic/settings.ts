/**
 * What is explored to its end: the short ones in every run of the tests, the long ones with IPTUN_FULL=1.
 */
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

export interface Task {
  readonly setting: Setting;
  /** A search that ends with fewer states has not been where it should. */
  readonly leastStates: number;
  /** What must have been seen (reached.ts). */
  readonly reaches: readonly string[];
}

/** One INIT, no restart, no repeated answer; what a task is about is added. */
export const FEW = {
  inits: 1,
  rekeys: false,
  restarts: 0,
  forgets: 0,
  expires: 0,
  repeats: { endpoint: 0, anywhere: 0 },
} as const;

/** A run that ends with both ends on one session, with a challenge on the way. */
const MEETING = [
  "INIT draws CHALLENGE",
  "CHALLENGE draws INIT",
  "INIT draws RESP",
  "initiator confirms",
  "responder confirms",
  "both ends send on one session",
] as const;

/** The older of two sessions stays in use; the smaller initiator has no attempt left, and drops nothing. */
const CROSSING = ["the responder's session is only the previous one"] as const;

export const SHORT: readonly Task[] = [
  task("client and server that restarts", [CLIENT, SERVER], {
    bounds: [{}, { restarts: 1 }],
    leastStates: 400,
    reaches: [...MEETING, "confirmed after a restart"],
  }),
  task("client and server that forgets", [CLIENT, SERVER], {
    bounds: [{ resends: 2 }, { forgets: 1 }],
    spoofs: false,
    leastStates: 60,
    reaches: [...MEETING, "RESP: bad_mac"],
  }),
  task("client that rekeys and server that restarts", [CLIENT, SERVER], {
    bounds: [{ inits: 2, rekeys: true }, { restarts: 1 }],
    spoofs: false,
    leastStates: 1_000,
    reaches: [...MEETING, "answered without a cookie", "confirmed after a restart"],
  }),
  task("client whose clock falls back, and server", [CLIENT, SERVER], {
    bounds: [{ inits: 3, restarts: 1 }, {}],
    spoofs: false,
    leastStates: 2_000,
    reaches: [
      ...MEETING,
      "confirmed after a restart",
      "challenged, not above the floor",
      "an old clock is let in",
      "answered without a cookie",
      "INIT: old_stamp",
    ],
  }),
  task("client and server, answers drawn again", [CLIENT, SERVER], {
    bounds: [{}, { repeats: { endpoint: 3, anywhere: 2 } }],
    leastStates: 1_500,
    reaches: [...MEETING, "INIT: replayed_init", "DATA: replayed"],
  }),
  task("both start", [CLIENT, CLIENT], {
    bounds: [{ inits: 2 }, {}],
    spoofs: false,
    leastStates: 600,
    reaches: [...MEETING, ...CROSSING],
  }),
  task("hub and site", [HUB, SITE], {
    bounds: [{}, { inits: 2, rekeys: true }],
    leastStates: 300,
    reaches: [...MEETING, "answered without a cookie", "INIT: site_init"],
  }),
  task("hub whose sessions expire, and site", [HUB, SITE], {
    bounds: [{ expires: 1 }, { inits: 2, rekeys: true }],
    spoofs: false,
    leastStates: 300,
    reaches: [...MEETING, "answered without a cookie", "challenged, above the floor"],
  }),
  task("hub and two sites", [HUB, SITE, SITE], { leastStates: 1_300, reaches: MEETING }),
  task("two sites", [SITE, SITE], {
    bounds: [
      { inits: 3, restarts: 1 },
      { inits: 3, restarts: 1 },
    ],
    leastStates: 20,
    reaches: ["INIT: site_init"],
  }),
  task("a pair's host and a hub with the same 32 bytes", [CLIENT, HUB], {
    leastStates: 1,
    reaches: ["INIT: unknown_hint"],
  }),
  task("two hosts with one node id", [CLIENT, CLIENT], {
    bounds: [{ inits: 2 }, { inits: 2 }],
    isCloned: true,
    leastStates: 4,
    reaches: ["INIT: own_node"],
  }),
  task("hub and site, dishonest member", [HUB, SITE], {
    attacker: "member",
    composed: 2,
    spoofs: false,
    leastStates: 1_200,
    reaches: [
      ...MEETING,
      "the member has a session with a hub",
      "the member has a session with a site",
      "RESP: own_node",
    ],
  }),
  task("two sites, dishonest member", [SITE, SITE], {
    attacker: "member",
    composed: 4,
    leastStates: 100,
    reaches: ["INIT: site_init", "the member has a session with a site"],
  }),
];

export const LONG: readonly Task[] = [
  task("client and server that restarts and forgets, long", [CLIENT, SERVER], {
    bounds: [{}, { restarts: 1, forgets: 1 }],
    leastStates: 11_000,
    reaches: [...MEETING, "confirmed after a restart"],
  }),
  task("client and server, answers drawn again, long", [CLIENT, SERVER], {
    bounds: [{ resends: 3 }, { repeats: { endpoint: 3, anywhere: 2 } }],
    leastStates: 27_000,
    reaches: [...MEETING, "INIT: replayed_init", "DATA: replayed"],
  }),
  task("hub and site, long", [HUB, SITE], {
    bounds: [{}, { inits: 3, rekeys: true }],
    leastStates: 8_000,
    reaches: [...MEETING, "answered without a cookie"],
  }),
  task("hub whose sessions expire, and site, long", [HUB, SITE], {
    bounds: [{ expires: 1 }, { inits: 2, restarts: 1, rekeys: true }],
    leastStates: 4_000,
    reaches: [...MEETING, "challenged, above the floor"],
  }),
  task("client that rekeys and server that restarts, long", [CLIENT, SERVER], {
    bounds: [{ inits: 2, restarts: 1, rekeys: true }, { restarts: 1 }],
    leastStates: 100_000,
    reaches: [...MEETING, "confirmed after a restart"],
  }),
  task("client and server that forgets, long", [CLIENT, SERVER], {
    bounds: [{ inits: 2, rekeys: true, resends: 2 }, { forgets: 1 }],
    leastStates: 60_000,
    reaches: [...MEETING, "RESP: bad_mac"],
  }),
  task("client whose clock falls back, and server, long", [CLIENT, SERVER], {
    bounds: [{ inits: 3, restarts: 2, rekeys: true }, {}],
    leastStates: 30_000,
    reaches: [...MEETING, "an old clock is let in"],
  }),
  task("both start, long", [CLIENT, CLIENT], {
    bounds: [{ inits: 2 }, { inits: 2 }],
    leastStates: 100_000,
    reaches: [...MEETING, ...CROSSING],
  }),
  task("both start and one restarts", [CLIENT, CLIENT], {
    bounds: [{ inits: 2, restarts: 1 }, {}],
    leastStates: 10_000,
    reaches: [...MEETING, "confirmed after a restart"],
  }),
  task("hub and two sites, long", [HUB, SITE, SITE], {
    bounds: [{}, { inits: 2, restarts: 1 }, {}],
    leastStates: 10_000,
    reaches: [...MEETING, "confirmed after a restart"],
  }),
  task("hub and site, busy member", [HUB, SITE], {
    attacker: "member",
    composed: 3,
    leastStates: 50_000,
    reaches: [...MEETING, "the member has a session with a hub"],
  }),
];

interface TaskOptions extends Omit<SettingOptions, "bounds"> {
  /** What the hosts have beyond FEW, in their order. */
  readonly bounds?: readonly HostKind["bounds"][];
  readonly leastStates: number;
  readonly reaches: readonly string[];
  readonly rules?: Rules;
}

function task(name: string, kinds: readonly HostKind[], options: TaskOptions): Task {
  const { bounds = [], leastStates, reaches, rules = PROTOCOL, ...rest } = options;
  const bounded = kinds.map((kind, at) => ({ ...kind, bounds: { ...bounds[at] } }));
  return {
    setting: setting(name, bounded, rules, { ...rest, bounds: FEW }),
    leastStates,
    reaches,
  };
}

/** Who is there and how far runs go, in one line: hosts with what each may do, and the attacker. */
export function boundsOf({ hosts, attacker, composed, spoofs }: Setting): string {
  const texts = hosts.map(({ name, kind, starts, bounds }) => {
    const { inits, resends, repeats, rekeys, ...counts } = bounds;
    const initiator = starts ? { inits, resends } : {};
    const all = { ...initiator, ...counts, repeats: repeats.endpoint, rekeys: Number(rekeys) };
    const limits = Object.entries(all).filter(([, count]) => count > 0);
    return `${kind} ${name}: ${limits.map(([what, count]) => `${what} ${count}`).join(", ")}`;
  });
  const made = attacker === "member" ? `member, ${composed} datagrams of its own` : "outsider";
  return [...texts, spoofs ? `${made}, any source` : made].join("; ");
}
