/**
 * The status for a look in passing: the interface in a line, the peers as a table, then only what needs attention.
 *
 * What a healthy tunnel drops is not in it; status-text.ts has everything.
 */

import type { PeerStatus, StatusDocument } from "../daemon/control/status.ts";
import { USUAL_DROPS } from "../daemon/log/drop-summary.ts";
import { ageText, columns, countText } from "./layout.ts";
import { peerTable } from "./peer-table.ts";
import { firewallRows, troubleBlocks } from "./status-text.ts";
import type { Paint } from "./table.ts";

/** How wide a line may be (absent: as it comes), and how tones are shown. */
export interface Look {
  readonly width: number | undefined;
  readonly paint: Paint;
}

/** The summary as lines. */
export function summaryText(document: StatusDocument, look: Look): string {
  const { peers } = document;
  const table = peers.length === 0 ? ["no peers"] : peerTable(peers, look);
  const attention = attentionText(document);
  const parts = [
    headLines(document, look),
    table,
    ...(attention === "" ? [] : [[attention.trimEnd()]]),
  ];
  return parts.map((lines) => `${lines.join("\n")}\n`).join("\n");
}

/** What the interface is, in as many lines as it takes. */
export function headLines(document: StatusDocument, { width, paint }: Look): readonly string[] {
  const { interface: device, uptimeSeconds } = document;
  const name = columns([[device.name]]).trimEnd();
  const facts = [
    `up ${ageText(uptimeSeconds)}`,
    ...device.addresses,
    `mtu ${device.mtu}`,
    `UDP port ${device.listenPort}`,
  ];
  const indent = `${name}  `.length;
  const [first = "", ...more] = wrapped(facts, (width ?? Number.POSITIVE_INFINITY) - indent);
  return [
    `${paint(name, "strong")}  ${first}`,
    ...more.map((line) => `${" ".repeat(indent)}${line}`),
  ];
}

/** Words as lines of at most so many characters, a comma between two; a longer word has a line of its own. */
function wrapped(words: readonly string[], width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    const joined = `${last}, ${word}`;
    if (last === undefined || joined.length > width) lines.push(word);
    else lines[lines.length - 1] = joined;
  }
  return lines;
}

/** Empty where all is well. */
export function attentionText(document: StatusDocument): string {
  const { interface: device, drops } = document;
  const unusual = Object.fromEntries(
    Object.entries(drops).filter(([reason]) => !USUAL_DROPS.has(reason)),
  );
  const rows = [
    ...(device.isLinkUp ? [] : [[device.name, "its link is down"]]),
    ...firewallRows(document).filter(() => device.firewall === "failed"),
    ...document.peers.flatMap(peerRows),
  ];
  return `${columns(rows)}${troubleBlocks({ ...document, drops: unusual })}`;
}

function peerRows(peer: PeerStatus): readonly (readonly string[])[] {
  const { name, endpoint, configuredEndpoints, refusedClaims, pacing } = peer;
  const rows: string[][] = [];
  if (endpoint === null && configuredEndpoints.length > 0) {
    rows.push([name, `${configuredEndpoints.join(", ")} cannot be resolved`]);
  }
  if (refusedClaims > 0) {
    rows.push([name, `${countText(refusedClaims, "packet")} from addresses that other nodes hold`]);
  }
  if (pacing !== null && pacing.dropped > 0) {
    rows.push([name, `${countText(pacing.dropped, "packet")} waited too long for its rate`]);
  }
  return rows;
}
