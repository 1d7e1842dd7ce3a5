/**
 * The status document as the status page is told it: less, and in its order.
 *
 * BOUNDED: MAX_PAGE_PEERS peers with a few addresses each, some 130 KB a second for each page that is open.
 */
import { DROP_REASONS, type DropReason } from "../../core/drop-reason.ts";
import type { PeerStatus, StatusDocument } from "../control/status.ts";
import type { PageView, PeerView } from "./page/view.ts";

/** Peers that a page shows. */
export const MAX_PAGE_PEERS = 256;
const MAX_ADDRESSES = 4;

/** What the page is told. */
export function pageView(status: StatusDocument): PageView {
  const { name, addresses, mtu, listenPort, isLinkUp } = status.interface;
  const peers = status.peers.filter(({ kind }) => kind !== "group");
  const sum = (rate: "inboundBytesPerSecond" | "outboundBytesPerSecond") =>
    peers.reduce((total, { rates }) => total + (rates?.[rate] ?? 0), 0);
  return {
    version: status.version,
    uptimeSeconds: status.uptimeSeconds,
    residentBytes: status.residentBytes,
    device: { name, addresses, mtu, listenPort, isLinkUp },
    peers: status.peers.slice(0, MAX_PAGE_PEERS).map(peerView),
    hiddenPeers: Math.max(status.peers.length - MAX_PAGE_PEERS, 0),
    totals: {
      peers: peers.length,
      up: peers.filter(({ state }) => state === "up").length,
      inboundBytesPerSecond: sum("inboundBytesPerSecond"),
      outboundBytesPerSecond: sum("outboundBytesPerSecond"),
    },
    drops: (Object.keys(DROP_REASONS) as DropReason[])
      .filter((reason) => status.drops[reason] > 0)
      .map((reason) => ({ reason, text: DROP_REASONS[reason], count: status.drops[reason] })),
    errors: Object.entries(status.engine.udpErrors).map(([errno, count]) => ({ errno, count })),
  };
}

function peerView(peer: PeerStatus): PeerView {
  const { name, kind, state, endpoint, quality, counters } = peer;
  const { roundTripMs, p95RoundTripMs, jitterMs, inboundLoss, outboundLoss } = quality;
  const inside = kind === "node" ? peer.addresses : peer.allowedIps;
  return {
    ...{ name, kind, state, endpoint },
    inside: inside.slice(0, MAX_ADDRESSES),
    handshakeAgeSeconds: peer.handshakeAgeSeconds,
    silentSeconds: peer.silentSeconds,
    inboundBytes: counters.inboundBytes,
    outboundBytes: counters.outboundBytes,
    inboundBytesPerSecond: peer.rates?.inboundBytesPerSecond ?? null,
    outboundBytesPerSecond: peer.rates?.outboundBytesPerSecond ?? null,
    ...{ roundTripMs, p95RoundTripMs, jitterMs, inboundLoss, outboundLoss },
    ...{ mtu: peer.mtu, pathMtu: peer.pathMtu },
  };
}
