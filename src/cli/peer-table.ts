/**
 * The peers as a table: one line each, what is asked for most often first.
 *
 * In 80 columns it has state, endpoint, age of the session, rates, round-trip time and loss; in 100 also traffic and MTU.
 */
import type { PeerStatus } from "../daemon/control/status.ts";
import { amountText, shortAgeText } from "./layout.ts";
import { type Column, type Paint, type Tone, tableLines } from "./table.ts";

/** Characters that an endpoint and a name keep at least. */
const LEAST_ENDPOINT = 15;
const LEAST_NAME = 10;
/** Share of loss from which it is worth a colour. */
const NOTABLE_LOSS = 0.01;
const NONE = "-";

type PeerColumn = Column<PeerStatus>;

/** The table's lines; `width`: characters of a line, absent: as many as it takes. */
export function peerTable(
  peers: readonly PeerStatus[],
  look: { readonly width: number | undefined; readonly paint: Paint },
): readonly string[] {
  const nodesOf = (group: PeerStatus) =>
    peers.filter(({ name, kind }) => kind === "node" && name.startsWith(`${group.name}/`));
  return tableLines(columnsWith(nodesOf), peers, look);
}

function columnsWith(nodesOf: (group: PeerStatus) => readonly PeerStatus[]): readonly PeerColumn[] {
  return [
    { title: "peer", text: ({ name }) => name, cutTo: LEAST_NAME },
    { title: "state", text: stateText, tone: stateTone },
    {
      title: "endpoint",
      text: (peer) => (peer.kind === "group" ? sitesText(nodesOf(peer)) : endpointText(peer)),
      cutTo: LEAST_ENDPOINT,
    },
    { title: "in/out bit/s", text: ratesText },
    { title: "rtt ms", text: roundTripText },
    { title: "session", text: sessionText },
    { title: "loss %", text: lossText, tone: lossTone },
    { title: "in/out bytes", text: trafficText, isExtra: true },
    { title: "mtu", text: ({ kind, mtu }) => (kind === "group" ? NONE : `${mtu}`), isExtra: true },
    { title: "key", text: keyText, isExtra: true },
  ];
}

function stateText({ kind, state }: PeerStatus): string {
  return kind === "group" ? "group" : state;
}

function stateTone({ kind, state }: PeerStatus): Tone | undefined {
  if (kind === "group") return undefined;
  return ({ up: "good", connecting: "uneasy", idle: "dim" } as const)[state];
}

function sitesText(nodes: readonly PeerStatus[]): string {
  const up = nodes.filter(({ state }) => state === "up").length;
  return `${up} of ${nodes.length} sites up`;
}

function endpointText({ endpoint, configuredEndpoints }: PeerStatus): string {
  return endpoint ?? configuredEndpoints[0] ?? NONE;
}

function ratesText({ rates }: PeerStatus): string {
  if (rates === null) return NONE;
  const { inboundBytesPerSecond, outboundBytesPerSecond } = rates;
  return `${amountText(8 * inboundBytesPerSecond)}/${amountText(8 * outboundBytesPerSecond)}`;
}

function roundTripText({ quality: { roundTripMs } }: PeerStatus): string {
  if (roundTripMs === null) return NONE;
  return roundTripMs < 10 ? `${roundTripMs}` : roundTripMs.toFixed(roundTripMs < 100 ? 1 : 0);
}

function sessionText({ sessions }: PeerStatus): string {
  const current = sessions.find(({ slot }) => slot === "current");
  return current === undefined ? NONE : shortAgeText(current.ageSeconds);
}

function lossText({ quality: { inboundLoss, outboundLoss } }: PeerStatus): string {
  if (inboundLoss === null && outboundLoss === null) return NONE;
  return `${percent(inboundLoss)}/${percent(outboundLoss)}`;
}

function lossTone({ quality: { inboundLoss, outboundLoss } }: PeerStatus): Tone | undefined {
  return Math.max(inboundLoss ?? 0, outboundLoss ?? 0) >= NOTABLE_LOSS ? "bad" : undefined;
}

/** Two digits are enough; a loss that rounds to none is not none. */
function percent(share: number | null): string {
  if (share === null) return NONE;
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1";
  return value < 10 ? `${Math.round(value * 10) / 10}` : value.toFixed(0);
}

function trafficText({ counters }: PeerStatus): string {
  return `${amountText(counters.inboundBytes)}/${amountText(counters.outboundBytes)}`;
}

function keyText({ fingerprints: [first, ...more] }: PeerStatus): string {
  if (first === undefined) return NONE;
  return more.length === 0 ? first : `${first} +${more.length}`;
}
