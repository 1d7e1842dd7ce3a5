/**
 * One screen of `iptun status --watch`: the interface, each peer with its figures and how they went, and troubles.
 *
 * A pure function of what the daemon said and of the terminal's size. Never more lines or characters than fit: what is
 * left out is counted. A peer takes one line of the table and, where there is room, one of sparklines.
 */
import { printable } from "../config/shown.ts";
import type { HistoryDocument, PeerHistory } from "../daemon/control/history.ts";
import type { PeerStatus, StatusDocument } from "../daemon/control/status.ts";
import { peerTable } from "./peer-table.ts";
import { sparkline } from "./sparkline.ts";
import { attentionText, headLines } from "./status-summary.ts";
import type { Paint } from "./table.ts";

/** What the screen shows. */
export interface WatchState {
  readonly document: StatusDocument;
  readonly history: HistoryDocument;
  /** What went wrong with the last question; the rest is older then. */
  readonly failure: string | undefined;
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** Seconds that sparklines show at most. */
export const WATCHED_SECONDS = 60;
/** Least that fills a bar: bytes a second, milliseconds, share. Else noise looks like news. */
const LEAST = { rate: 1_000, roundTripMs: 1, loss: 0.01 } as const;
const HELP = "q quits";

/** The screen's lines, at most as many as it has rows. */
export function screenLines(
  { document, history, failure }: WatchState,
  { columns, rows }: ScreenSize,
  paint: Paint,
): readonly string[] {
  const look = { width: columns, paint };
  const head = [...headLines(document, look), ""];
  const note = failure === undefined ? [] : [paint(cut(failure, columns), "bad")];
  const attention = attentionText(document)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => cut(line, columns));
  const foot = [paint(cut(HELP, columns), "dim")];
  const room = Math.max(rows - head.length - note.length - foot.length, 0);
  const peers = peerLines(document.peers, history, { columns, rows: room, paint });
  const left = room - peers.length;
  const below =
    attention.length > 0 && left > 1 ? ["", ...fitted(attention, left - 1, columns)] : [];
  return [...head, ...peers, ...note, ...below, ...foot].slice(0, rows);
}

/** The table with a line of sparklines under each peer, or the table alone, or as much of it as fits. */
function peerLines(
  peers: readonly PeerStatus[],
  history: HistoryDocument,
  { columns, rows, paint }: ScreenSize & { readonly paint: Paint },
): readonly string[] {
  if (peers.length === 0) return fitted(["no peers"], rows, columns);
  const [title = "", ...table] = peerTable(peers, { width: columns, paint });
  const lines = table.map((line, index) => {
    const own = history.peers.find(({ peer }) => peer === peers[index]?.name);
    return own === undefined ? [line] : [line, paint(sparkLine(own, columns), "dim")];
  });
  const whole = [title, ...lines.flat()];
  return whole.length <= rows ? whole : fitted([title, ...table], rows, columns);
}

/** "  in ▁▂▃ out ▁▂▃ rtt ▁▂▃ loss ▁▂▃", as wide as the terminal allows. */
function sparkLine(peer: PeerHistory, columns: number): string {
  const loss = peer.inboundLoss.map((share, index) => higher(share, peer.outboundLoss[index]));
  const parts = [
    ["in", peer.inboundBytesPerSecond, LEAST.rate],
    ["out", peer.outboundBytesPerSecond, LEAST.rate],
    ["rtt", peer.roundTripMs, LEAST.roundTripMs],
    ["loss", loss, LEAST.loss],
  ] as const;
  const words = parts.reduce((sum, [title]) => sum + title.length + 3, 0);
  const length = Math.floor((columns - words) / parts.length);
  if (length < 1) return "";
  const bars = Math.min(length, WATCHED_SECONDS);
  return parts
    .map(([title, values, least]) => `  ${title} ${sparkline(values, bars, least)}`)
    .join("");
}

function higher(one: number | null, other: number | null | undefined): number | null {
  if (one === null) return other ?? null;
  return Math.max(one, other ?? 0);
}

/** Lines that fit, the last of them counting those that do not. */
function fitted(lines: readonly string[], rows: number, columns: number): readonly string[] {
  if (lines.length <= rows) return lines;
  if (rows < 1) return [];
  const shown = lines.slice(0, rows - 1);
  return [...shown, cut(`${lines.length - shown.length} more lines`, columns)];
}

function cut(text: string, columns: number): string {
  return printable(text).slice(0, columns);
}
