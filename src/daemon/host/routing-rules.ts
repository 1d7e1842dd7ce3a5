/**
 * The host's policy routing as `ip -N -j` tells it: rules, and routes of a table.
 *
 * Sources: ip-rule(8), ip-route(8), iproute2's JSON. `-N` gives tables as numbers, whatever
 * /etc/iproute2/rt_tables calls them. Only what decides is read. A table that does not exist is an empty one.
 */
import { DaemonError } from "../failure.ts";
import { familyFlag, type RunProcess, readIp } from "./ip-command.ts";
import { type Json, records } from "./json.ts";

/** Numbers of the kernel's own tables (linux/rtnetlink.h): default, main, local. */
export const OWN_TABLES: readonly number[] = [253, 254, 255];
export const MAIN_TABLE = 254;

export interface RoutingRule {
  readonly priority: number;
  /** Whether it applies to what does not fit. */
  readonly isNegated: boolean;
  readonly mark: { readonly value: number; readonly mask: number } | undefined;
  readonly table: number | undefined;
  /** Routes of this length or shorter do not count; undefined: all do. */
  readonly suppressed: number | undefined;
  /** Whether it looks at nothing but the mark. */
  readonly isForAll: boolean;
}

export interface TableRoute {
  /** As "default" or "10.0.0.0/8". */
  readonly destination: string;
  readonly device: string | undefined;
  /** undefined: the one that was asked for, or main. */
  readonly table: number | undefined;
}

/** Rules of one family, and routes that were asked for along with them. */
export interface Routing {
  readonly rules: readonly RoutingRule[];
  readonly routes: readonly TableRoute[];
}

/** Destinations whose covering routes, other than a default route, take all or half of a family's traffic. */
const HALVES = { 4: ["0.0.0.0/1", "128.0.0.0/1"], 6: ["2000::/4", "3000::/4"] } as const;

/** The rules, and the routes of the main table that take half of everything or more. No rules: no such family. */
export function readRouting(family: 4 | 6, run: RunProcess): Promise<Routing> {
  const wide = HALVES[family].map((half) => `route show table main match ${half}`);
  return readBatch(family, ["rule show", ...wide], run);
}

/** The rules, and the routes by way of a device in all tables. */
export function readPlaced(family: 4 | 6, device: string, run: RunProcess): Promise<Routing> {
  return readBatch(family, ["rule show", `route show table all dev ${device}`], run);
}

/** The routes of one table. */
export async function readTable(
  family: 4 | 6,
  table: number,
  run: RunProcess,
): Promise<readonly TableRoute[]> {
  const show = ["route", "show", "table", String(table)];
  const text = await readIp(["-N", "-j", familyFlag(family), ...show], run);
  return text === undefined ? [] : routesIn(rowsOf(text));
}

async function readBatch(
  family: 4 | 6,
  commands: readonly string[],
  run: RunProcess,
): Promise<Routing> {
  const args = ["-N", "-j", familyFlag(family), "-force", "-batch", "-"];
  const { stdout, startError } = await run("ip", args, `${commands.join("\n")}\n`);
  if (startError !== undefined) throw new DaemonError(`cannot run ip: ${startError}`);
  const rows = stdout.split("\n").flatMap(rowsOf);
  return { rules: rulesIn(rows), routes: routesIn(rows) };
}

function rowsOf(text: string): readonly Json[] {
  try {
    return records(text);
  } catch (cause) {
    const remedy = "install a newer iproute2, or set routes = false";
    throw new DaemonError(`this ip is too old: it does not print rules as JSON; ${remedy}`, 1, {
      cause,
    });
  }
}

/** What a rule may have beside selectors of packets. */
const NO_SELECTORS = [
  ...["priority", "not", "src", "fwmark", "fwmask", "table", "suppress_prefixlen", "protocol"],
];

function rulesIn(rows: readonly Json[]): readonly RoutingRule[] {
  return rows.flatMap((row) => {
    const { priority, fwmark, fwmask, table, suppress_prefixlen: suppressed } = row;
    if (typeof priority !== "number") return [];
    const isForAll = Object.keys(row).every((key) => NO_SELECTORS.includes(key));
    const mask = fwmask === undefined ? 0xffff_ffff : Number(fwmask);
    return {
      priority,
      isNegated: "not" in row,
      mark: fwmark === undefined ? undefined : { value: Number(fwmark), mask },
      table: table === undefined ? undefined : Number(table),
      suppressed: typeof suppressed === "number" ? suppressed : undefined,
      isForAll: isForAll && row["src"] === "all",
    };
  });
}

function routesIn(rows: readonly Json[]): readonly TableRoute[] {
  return rows.flatMap((row) => {
    const { dst, dev, table, type } = row;
    // Such a route says that this table has none.
    if (typeof dst !== "string" || type === "throw") return [];
    return {
      destination: dst,
      device: typeof dev === "string" ? dev : undefined,
      table: table === undefined ? undefined : Number(table),
    };
  });
}
