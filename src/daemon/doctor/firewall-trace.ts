/**
 * What nftables would do with a packet, from `nft -j list ruleset`: as far as that can be told without sending one.
 *
 * The chains of one hook are walked as the kernel does (nft(8), "STATEMENTS"). A condition that this cannot judge, an
 * address, a limit, a set, makes a rule one that may hold: such a drop is passed over and such an accept makes the
 * answer "unclear". So "dropped" is sure, and "passed" is not. iptables-nft's rules are in the ruleset too, with
 * their matches hidden ("xt"); those of iptables-legacy are not. BOUNDED: chains that lead into one another.
 */
import { type Json, objects } from "../host/json.ts";

/** Jumps inside jumps that are followed (linux net/netfilter/nf_tables_core.c, NFT_JUMP_STACK_SIZE). */
const MOST_JUMPS = 16;

/** A packet that is asked about. */
export interface Probe {
  readonly hook: "input" | "forward" | "output";
  readonly family: 4 | 6;
  /** Where it comes in and leaves; undefined: not known. */
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  /** UDP destination port; undefined: a packet of whatever protocol. */
  readonly port: number | undefined;
  /** Whether it begins a connection, or answers one. */
  readonly state: "new" | "established";
}

export type Fate =
  | { readonly kind: "passed" | "unclear" }
  /** `where`: the chain, and the rule or policy. */
  | { readonly kind: "dropped"; readonly where: string };

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook: string | undefined;
  readonly isFilter: boolean;
  readonly drops: boolean;
}

interface Rule {
  readonly chain: string;
  readonly handle: number;
  readonly expressions: readonly Json[];
}

interface Ruleset {
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
}

/** How a chain ends for the probe; `mayAccept`: a rule that could not be judged may have let it through. */
interface Walk {
  readonly end: "accept" | "drop" | "through";
  readonly where: string;
  readonly mayAccept: boolean;
}

/** What becomes of the probe; a text that is no ruleset tells nothing. */
export function fateOf(rulesetJson: string, probe: Probe): Fate {
  const ruleset = parseRuleset(rulesetJson);
  let isClear = true;
  for (const chain of ruleset.chains) {
    const isAsked = chain.hook === probe.hook && chain.isFilter && covers(chain, probe);
    if (!isAsked) continue;
    const { end, where, mayAccept } = walk(ruleset, chain, probe, 0);
    const isDropped = end === "drop" || (end === "through" && chain.drops);
    if (isDropped && !mayAccept) {
      const name = `chain ${chain.table} ${chain.name}`;
      return { kind: "dropped", where: where === "" ? `${name} (policy drop)` : where };
    }
    if (isDropped) isClear = false;
  }
  return { kind: isClear ? "passed" : "unclear" };
}

function parseRuleset(json: string): Ruleset {
  const entries = objects((JSON.parse(json) as Json)["nftables"]);
  return {
    chains: entries.flatMap(({ chain }) => objects([chain]).map(parseChain)),
    rules: entries.flatMap(({ rule }) => objects([rule]).map(parseRule)),
  };
}

function parseChain({ family, table, name, hook, type, policy }: Json): Chain {
  return {
    family: String(family),
    table: String(table),
    name: String(name),
    hook: typeof hook === "string" ? hook : undefined,
    isFilter: type === "filter",
    drops: policy === "drop",
  };
}

function parseRule({ family, table, chain, handle, expr }: Json): Rule {
  return {
    chain: keyOf(String(family), String(table), String(chain)),
    handle: Number(handle),
    expressions: objects(expr),
  };
}

function keyOf(family: string, table: string, name: string): string {
  return `${family} ${table} ${name}`;
}

function covers({ family }: Chain, probe: Probe): boolean {
  return family === "inet" || family === (probe.family === 4 ? "ip" : "ip6");
}

function walk(ruleset: Ruleset, chain: Chain, probe: Probe, depth: number): Walk {
  const key = keyOf(chain.family, chain.table, chain.name);
  let mayAccept = false;
  for (const rule of ruleset.rules.filter((one) => one.chain === key)) {
    const holds = judge(rule.expressions, probe);
    if (holds === false) continue;
    const step = verdictOf(ruleset, chain, rule, probe, depth);
    mayAccept ||= step.mayAccept || (holds === undefined && step.end === "accept");
    if (holds === undefined || step.end === "through") continue;
    if (step.end === "accept" || step.end === "drop") return { ...step, mayAccept };
  }
  return { end: "through", where: "", mayAccept };
}

/** What a rule does whose conditions hold. */
function verdictOf(ruleset: Ruleset, chain: Chain, rule: Rule, probe: Probe, depth: number): Walk {
  const where = `chain ${chain.table} ${chain.name}, rule handle ${rule.handle}`;
  for (const expression of rule.expressions) {
    if ("accept" in expression) return { end: "accept", where, mayAccept: false };
    if ("drop" in expression || "reject" in expression) {
      return { end: "drop", where, mayAccept: false };
    }
    // A map of verdicts may hold any, and a queue's program too.
    if ("vmap" in expression || "queue" in expression) {
      return { end: "through", where, mayAccept: true };
    }
    const target = targetOf(expression);
    const next = ruleset.chains.find(
      ({ family, table, name }) =>
        family === chain.family && table === chain.table && name === target,
    );
    if (next !== undefined && depth < MOST_JUMPS) return walk(ruleset, next, probe, depth + 1);
  }
  return { end: "through", where, mayAccept: false };
}

function targetOf({ jump, goto }: Json): unknown {
  return objects([jump, goto])[0]?.["target"];
}

/** Whether all conditions hold; undefined: some cannot be judged and none fails. */
function judge(expressions: readonly Json[], probe: Probe): boolean | undefined {
  let answer: boolean | undefined = true;
  for (const expression of expressions) {
    const one = judgeOne(expression, probe);
    if (one === false) return false;
    if (one === undefined) answer = undefined;
  }
  return answer;
}

/** Statements that are no condition hold. */
function judgeOne(expression: Json, probe: Probe): boolean | undefined {
  if ("limit" in expression || "xt" in expression) return undefined;
  const [match] = objects([expression["match"]]);
  if (match === undefined) return true;
  const actual = actualOf(match["left"], probe);
  if (actual === undefined) return undefined;
  if (actual === false) return match["op"] === "!=";
  const holds = isOneOf(match["right"], actual);
  return holds === undefined || match["op"] !== "!=" ? holds : !holds;
}

/** The probe's values of what a match looks at; false: it has no such field; undefined: not known. */
function actualOf(left: unknown, probe: Probe): readonly (string | number)[] | false | undefined {
  const [{ meta, payload, ct } = {}] = objects([left]);
  const [header] = objects([payload]);
  if (header !== undefined) return headerField(header, probe);
  const [connection] = objects([ct]);
  if (connection?.["key"] === "state") return [probe.state];
  switch (objects([meta])[0]?.["key"]) {
    case "iif":
    case "iifname":
      return probe.iif === undefined ? undefined : [probe.iif];
    case "oif":
    case "oifname":
      return probe.oif === undefined ? undefined : [probe.oif];
    case "l4proto":
      return probe.port === undefined ? undefined : ["udp", 17];
    case "nfproto":
      return probe.family === 4 ? ["ipv4", 2] : ["ipv6", 10];
    case "protocol":
      return probe.family === 4 ? ["ip"] : ["ip6"];
    default:
      return undefined;
  }
}

function headerField({ protocol, field }: Json, { port, family }: Probe) {
  if (port === undefined) return undefined;
  if (protocol === "udp" || protocol === "th") return field === "dport" ? [port] : undefined;
  if (protocol !== "ip" && protocol !== "ip6") return false;
  if (protocol === (family === 4 ? "ip6" : "ip")) return false;
  return field === "protocol" || field === "nexthdr" ? ["udp", 17] : undefined;
}

/** Whether a match's right side has one of the values; undefined: it cannot be told. */
function isOneOf(right: unknown, actual: readonly (string | number)[]): boolean | undefined {
  if (Array.isArray(right)) return right.some((one) => isOneOf(one, actual) === true);
  if (typeof right === "number") return actual.includes(right);
  if (typeof right === "string") return isText(right, actual);
  const [{ set, range } = {}] = objects([right]);
  if (Array.isArray(set)) return isOneOf(set, actual);
  if (!Array.isArray(range)) return undefined;
  const [low, high] = range.map(Number);
  return actual.some((one) => Number(one) >= (low ?? 0) && Number(one) <= (high ?? 0));
}

/** "eth*" is any device whose name begins so; "@name" is a set. */
function isText(right: string, actual: readonly (string | number)[]): boolean | undefined {
  if (right.startsWith("@")) return undefined;
  if (right.endsWith("*")) return actual.some((one) => `${one}`.startsWith(right.slice(0, -1)));
  return actual.includes(right);
}
