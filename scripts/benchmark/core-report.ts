/**
 * Tables of the core's benchmark, as text for a terminal.
 */
import type { Allocations } from "./core-heap.ts";
import type { Costs } from "./core-rig.ts";
import type { Summary } from "./statistics.ts";

const TITLE_COLUMNS = 28;
const CELL_COLUMNS = 18;

/** Nanoseconds a packet of each rig; those of a super-packet as a whole below. */
export function costTable(costs: readonly Costs[], rounds: number): string {
  const rows = costs.flatMap((cost) => {
    const each = row(cost.title, cost, 1);
    if (cost.superPackets === 0) return [each];
    const segments = cost.packets / cost.superPackets;
    return [row(`${cost.title}, a segment`, cost, 1), row("  the whole", cost, segments)];
  });
  return [`Core, ns a packet, best and median of ${rounds} rounds`, header(), ...rows, ""].join(
    "\n",
  );
}

/** Nanoseconds a packet by number of peers, and the multiple of one peer's. */
export function scaleTable(costs: readonly Costs[], rounds: number): string {
  const first = costs[0];
  const rows = costs.flatMap((cost) => [
    row(cost.title, cost, 1),
    first === undefined ? "" : multiples(cost, first),
  ]);
  return [
    `Hub, ns a packet of 1,400 bytes without offloads, best and median of ${rounds} rounds, ` +
      "multiple of 1 peer",
    header(),
    ...rows,
    "",
  ].join("\n");
}

/** Bytes allocated a packet. */
export function allocationTable(all: readonly Allocations[]): string {
  const rows = all.map(({ title, packets, coreOutbound, coreBothEnds, engineBothEnds }) => {
    const cells = [coreOutbound, coreBothEnds, engineBothEnds].map((bytes) => bytes.toFixed(3));
    return line(title, [...cells, String(packets)]);
  });
  const head = line("", ["core, outbound", "core, both ends", "engines, both", "packets"]);
  return ["Bytes allocated a packet", head, ...rows, ""].join("\n");
}

function line(title: string, cells: readonly string[]): string {
  return title.padEnd(TITLE_COLUMNS) + cells.map((cell) => cell.padStart(CELL_COLUMNS)).join("");
}

function header(): string {
  return line("", ["outbound", "without cipher", "inbound", "without cipher"]);
}

function row(title: string, cost: Costs, times: number): string {
  const cells = columns(cost).map(
    ({ least, median }) => `${(least * times).toFixed(0)} ${(median * times).toFixed(0)}`,
  );
  return line(title, cells);
}

function multiples(cost: Costs, first: Costs): string {
  const bases = columns(first);
  const cells = columns(cost).map(({ least, median }, index) => {
    const base = bases[index];
    if (base === undefined) return "";
    return `${(least / base.least).toFixed(2)}x ${(median / base.median).toFixed(2)}x`;
  });
  return line("", cells);
}

function columns(cost: Costs): readonly Summary[] {
  return [cost.outbound, cost.outboundWithoutCipher, cost.inbound, cost.inboundWithoutCipher];
}
