/**
 * Asks the host what stands in the way of a default route through the tunnel, and chooses numbers that are free.
 *
 * Nothing is changed here, and asked before anything is: what cannot be had ends the start with one line. Two
 * tunnels may have the default route of a family each, not both that of one.
 */

import { DaemonError } from "../failure.ts";
import {
  candidateMarks,
  type DefaultRoute,
  freePriority,
  halfRoute,
  rulesForAll,
} from "./default-route.ts";
import type { RunProcess } from "./ip-command.ts";
import { type Routing, readRouting, readTable } from "./routing-rules.ts";

/** What is wanted. */
export interface RouteWish {
  readonly device: string;
  readonly families: readonly (4 | 6)[];
  /** 0: any that is free. */
  readonly fwmark: number;
}

type Family = 4 | 6;
type Host = ReadonlyMap<Family, Routing>;

const FAMILIES: readonly Family[] = [4, 6];
const OR_NOT = "or set routes = false";

/** The mark and table number; `remembered`: that of an earlier run. Throws a DaemonError where the wish cannot be had. */
export async function chooseMark(
  wish: RouteWish,
  remembered: number | undefined,
  run: RunProcess,
): Promise<number> {
  const host = await readHost(run);
  await checkHost(wish, host, run);
  const rules = [...host.values()].flatMap((routing) => routing.rules);
  if (wish.fwmark !== 0) {
    const isNamed = rules.some(({ table }) => table === wish.fwmark);
    if (!isNamed && (await isEmpty(wish.fwmark, run))) return wish.fwmark;
    throw new DaemonError(
      `interface.fwmark: ${wish.fwmark} is also the number of the default route's table, and a table of this number is in use; set another, or none`,
    );
  }
  for (const number of candidateMarks(wish.device, remembered, rules)) {
    if (await isEmpty(number, run)) return number;
  }
  throw new DaemonError(
    `no number is free as mark and routing table of the default route: set interface.fwmark, ${OR_NOT}`,
  );
}

/** The routes to set, as the host is at this moment, with the number from `chooseMark`; none for a family that it does not have. */
export async function planRoutes(
  wish: RouteWish,
  mark: number,
  run: RunProcess,
): Promise<readonly DefaultRoute[]> {
  const host = await readHost(run);
  await checkHost(wish, host, run);
  return wish.families.flatMap((family) => {
    const rules = host.get(family)?.rules;
    if (rules === undefined) return [];
    const priority = freePriority(rules);
    if (priority !== undefined) return { family, mark, priority };
    throw new DaemonError(
      `the rules of IPv${family} leave no room for two before them (ip rule): give the first a priority above 2, ${OR_NOT}`,
    );
  });
}

/** Families that the kernel does not have are left out. */
async function readHost(run: RunProcess): Promise<Host> {
  const read = await Promise.all(
    FAMILIES.map(async (family) => [family, await readRouting(family, run)] as const),
  );
  const host = new Map(read.filter(([, { rules }]) => rules.length > 0));
  if (host.size > 0) return host;
  throw new DaemonError(
    `this ip is too old: it does not print rules as JSON; install a newer iproute2, ${OR_NOT}`,
  );
}

async function checkHost(wish: RouteWish, host: Host, run: RunProcess): Promise<void> {
  for (const family of wish.families) {
    const routing = host.get(family);
    if (routing === undefined) continue;
    const half = halfRoute(routing, wish.device);
    if (half !== undefined) {
      throw new DaemonError(
        `the route ${half} would take IPv${family} past the tunnel: end what has set it (another tunnel?), ${OR_NOT}`,
      );
    }
    await checkOthers(family, routing, run);
  }
}

async function checkOthers(family: Family, routing: Routing, run: RunProcess): Promise<void> {
  for (const { priority, table = 0 } of rulesForAll(routing.rules)) {
    const routes = await readTable(family, table, run);
    if (!routes.some(({ destination }) => destination === "default")) continue;
    throw new DaemonError(
      `another tunnel has the default route of IPv${family} (ip rule ${priority}, table ${table}): end that one, ${OR_NOT}`,
    );
  }
}

async function isEmpty(table: number, run: RunProcess): Promise<boolean> {
  const routes = await Promise.all(FAMILIES.map((family) => readTable(family, table, run)));
  return routes.every((list) => list.length === 0);
}
