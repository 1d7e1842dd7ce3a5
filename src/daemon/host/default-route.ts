/**
 * The default route of a family through the tunnel: what it is made of, what stands in its way. Pure functions.
 *
 *     P-1: from all lookup main suppress_prefixlength 0     routes of the main table, but for its default route
 *     P:   not from all fwmark MARK lookup TABLE            all else into the tunnel, unless it is the tunnel's own
 *     TABLE: default dev DEVICE                             TABLE has the number of MARK
 *
 * The outer socket has the mark, so its datagrams take the default route of the main table wherever the
 * endpoint is: there is no route to the endpoint, which an attacker who chooses the endpoint's address could
 * use to draw other traffic out of the tunnel (TunnelCrack, CVE-2023-36673). The price of the first rule:
 * what a local network says is local, it gets (TunnelVision, CVE-2024-3661; TunnelCrack, CVE-2023-36672).
 *
 * Sources: ip-rule(8), ip-route(8). The rules come before all others but that of the table "local".
 */
import { crc32 } from "node:zlib";
import type { IpCommand } from "./network-plan.ts";
import { MAIN_TABLE, OWN_TABLES, type Routing, type RoutingRule } from "./routing-rules.ts";

/** One family's default route through the tunnel. */
export interface DefaultRoute {
  readonly family: 4 | 6;
  /** Mark of the outer datagrams, and number of the table. */
  readonly mark: number;
  /** Of the rule that leads into the table; the other stands before it. */
  readonly priority: number;
}

/**
 * Numbers to choose from as mark and table where none is configured. They have no bit that kube-proxy, Cilium
 * or Tailscale look for in a mark (0xf00, 0x4000, 0x8000 and above).
 */
const FIRST_NUMBER = 0x3000;
const NUMBERS = 256;

/** The commands that set it; what it needs is there before what leads to it. */
export function defaultRouteUp(route: DefaultRoute, device: string): readonly IpCommand[] {
  return [
    ["route", "add", ...routeWords(route, device)],
    ["rule", "add", ...mainRuleWords(route)],
    ["rule", "add", ...tableRuleWords(route)],
  ];
}

/** The commands that take it off, the other way round. */
export function defaultRouteDown(route: DefaultRoute, device: string): readonly IpCommand[] {
  return [
    ["rule", "del", ...tableRuleWords(route)],
    ["rule", "del", ...mainRuleWords(route)],
    ["route", "del", ...routeWords(route, device)],
  ];
}

/** Those of the commands that set it whose work is not there. A link that is down has no routes. */
export function defaultRouteLack(
  route: DefaultRoute,
  device: string,
  isLinkUp: boolean,
  { rules, routes }: Routing,
): readonly IpCommand[] {
  const { mark, priority } = route;
  const hasRoute = routes.some(
    ({ destination, table }) => destination === "default" && table === mark,
  );
  const hasMainRule = rules.some(
    (rule) => rule.priority === priority - 1 && rule.table === MAIN_TABLE && rule.suppressed === 0,
  );
  const hasTableRule = rules.some(
    (rule) => rule.priority === priority && rule.table === mark && rule.isNegated,
  );
  const isThere = [hasRoute || !isLinkUp, hasMainRule, hasTableRule];
  return defaultRouteUp(route, device).filter((_, at) => isThere[at] === false);
}

/** The place of the rules: before every other but the first; undefined: there is none. */
export function freePriority(rules: readonly RoutingRule[]): number | undefined {
  const first = Math.min(...rules.map(({ priority }) => priority).filter((one) => one > 0));
  return Number.isFinite(first) && first > 2 ? first - 1 : undefined;
}

/** Numbers to try as mark and table, those that name nothing yet: the remembered one, then from the name's own place. */
export function candidateMarks(
  interfaceName: string,
  remembered: number | undefined,
  rules: readonly RoutingRule[],
): readonly number[] {
  const start = crc32(interfaceName) % NUMBERS;
  const numbers = Array.from(
    { length: NUMBERS },
    (_, at) => FIRST_NUMBER + ((start + at) % NUMBERS),
  );
  const isOurs = remembered !== undefined && numbers.includes(remembered);
  return [...(isOurs ? [remembered] : []), ...numbers].filter(
    (number) => !rules.some((rule) => rule.table === number || fits(number, rule)),
  );
}

/** Tables other than the kernel's own into which a rule leads everything: another tunnel's, if it has a default route. */
export function rulesForAll(rules: readonly RoutingRule[]): readonly RoutingRule[] {
  return rules.filter(
    ({ table, isForAll, mark, isNegated, priority }) =>
      priority > 0 &&
      table !== undefined &&
      !OWN_TABLES.includes(table) &&
      isForAll &&
      (mark === undefined || isNegated),
  );
}

/** A route of the main table by another device that takes half of everything; rules cannot keep it from that. */
export function halfRoute({ routes }: Routing, device: string): string | undefined {
  const half = routes.find((one) => one.destination !== "default" && one.device !== device);
  return half === undefined ? undefined : `${half.destination} dev ${half.device ?? "?"}`;
}

/** Whether a packet with this mark fits what the rule looks for. */
function fits(number: number, { mark }: RoutingRule): boolean {
  // Unsigned: the bits of a mark are 32.
  return mark !== undefined && (number & mark.mask) >>> 0 === (mark.value & mark.mask) >>> 0;
}

function routeWords({ mark }: DefaultRoute, device: string): readonly string[] {
  return ["default", "dev", device, "table", String(mark)];
}

function mainRuleWords({ priority }: DefaultRoute): readonly string[] {
  const at = ["priority", String(priority - 1)];
  return [...at, "from", "all", "lookup", "main", "suppress_prefixlength", "0"];
}

function tableRuleWords({ mark, priority }: DefaultRoute): readonly string[] {
  const at = ["priority", String(priority)];
  const number = String(mark);
  return ["not", "from", "all", "fwmark", number, "lookup", number, ...at];
}
