/**
 * The status document as text for people: the interface, each peer, what was dropped and why.
 *
 * Counters that are zero are left out, except a peer's traffic. Scripts read `status --json`.
 */
import { DROP_REASONS } from "../core/drop-reason.ts";
import type { PeerStatus, StatusDocument } from "../daemon/control/status.ts";
import { offloadText } from "../daemon/host/offloads.ts";
import { keyRow } from "./key-text.ts";
import { ageText, bytesText, columns, countText, rateText } from "./layout.ts";

type Row = readonly string[];

/** Counters by reason, all or some. */
interface Drops {
  readonly drops: Readonly<Record<string, number>>;
}

/** The whole document as aligned lines. */
export function statusText(document: StatusDocument): string {
  return [interfaceBlock(document), ...document.peers.map(peerBlock), troubleBlocks(document)].join(
    "",
  );
}

/** What was dropped and why, who sent it, and what the kernel refused; empty where nothing was. */
export function troubleBlocks(
  document: Pick<StatusDocument, "sources" | "engine"> & Drops,
): string {
  return [
    block("dropped", dropRows(document)),
    block("limited sources", sourceRows(document)),
    block("kernel errors", errorRows(document)),
  ].join("");
}

function interfaceBlock(document: StatusDocument): string {
  const { interface: device } = document;
  const rows: Row[] = [
    ["link", device.isLinkUp ? "up" : "down"],
    ["addresses", device.addresses.join(", ") || "none"],
    ["mtu", `${device.mtu}`],
    ["listen", `UDP port ${device.listenPort}`],
    ...hostRows(document),
    ["offloads", offloadText(document.features)],
    ...runRows(document),
    ...unreadRows(document),
    ...cipherRows(document),
    ["process", processText(document)],
    ...confirmRows(document),
  ];
  return `interface ${columns([[device.name]])}${columns(rows, 2)}`;
}

/** Only while a reload waits for its confirmation. */
function confirmRows({ confirmSecondsLeft: seconds }: StatusDocument): readonly Row[] {
  if (seconds === null) return [];
  return [["not confirmed", `taken back in ${seconds} s unless 'iptun confirm' comes`]];
}

/** Only what is set, or should be. */
function hostRows(document: StatusDocument): readonly Row[] {
  const { defaultRoute } = document.interface;
  const rows: Row[] = [];
  if (defaultRoute !== null) {
    const mark = `mark and table ${defaultRoute.mark}`;
    rows.push(["default route", `${defaultRoute.families.join(" and ")}; ${mark}`]);
  }
  return [...rows, ...firewallRows(document)];
}

/** None where no firewall is wanted. */
export function firewallRows({ interface: { firewall } }: StatusDocument): readonly Row[] {
  if (firewall === "failed") return [["firewall", "none: nft is missing or has refused it"]];
  return firewall === "on" ? [["firewall", "on"]] : [];
}

/** What became of runs that the kernel did not take as one message. */
function runRows({ engine: { gsoFallbacks, plainRoutes } }: StatusDocument): readonly Row[] {
  if (gsoFallbacks === 0) return [];
  const where = plainRoutes === 0 ? "" : `; for now no runs to ${countText(plainRoutes, "remote")}`;
  return [["gso", `${countText(gsoFallbacks, "run")} not taken, sent one by one${where}`]];
}

/** What the kernel dropped before it could be counted by a reason. */
function unreadRows({
  engine: { datagramsUnread, shieldsRaised },
}: StatusDocument): readonly Row[] {
  if (datagramsUnread === 0) return [];
  const junk =
    shieldsRaised === 0 ? "" : `, or junk in a flood (${countText(shieldsRaised, "time")})`;
  const unread = countText(datagramsUnread, "datagram");
  return [["unread", `${unread} dropped by the kernel: its buffer was full${junk}`]];
}

/** Only where it is the slower one, which the operator can change by another Node.js. */
function cipherRows({ features: { cipher } }: StatusDocument): readonly Row[] {
  return cipher === "evp"
    ? [["cipher", "by OpenSSL's EVP layer, slower: this Node.js is built without its own OpenSSL"]]
    : [];
}

function processText({ pid, uptimeSeconds, residentBytes, version }: StatusDocument): string {
  return `${pid}, up ${ageText(uptimeSeconds)}, ${bytesText(residentBytes)}, version ${version}`;
}

/** Everything about one peer. */
export function peerBlock(peer: PeerStatus): string {
  if (peer.kind === "group") return groupBlock(peer);
  const { counters, rates } = peer;
  const rows: Row[] = [
    ["state", peer.state],
    ["endpoint", endpointText(peer)],
    ["session", sessionText(peer)],
    ["last heard", peer.silentSeconds === null ? "never" : `${ageText(peer.silentSeconds)} ago`],
    ["mtu", mtuText(peer)],
    ["round trip", roundTripText(peer)],
    ["loss", lossText(peer)],
    [
      "inbound",
      flowText(counters.inboundPackets, counters.inboundBytes, rates?.inboundBytesPerSecond),
    ],
    [
      "outbound",
      flowText(counters.outboundPackets, counters.outboundBytes, rates?.outboundBytesPerSecond),
    ],
    ["handshakes", handshakeText(peer)],
    ["keepalives", `${counters.keepalivesSent} sent, ${counters.keepalivesReceived} received`],
    ...addressRows(peer),
    keyRow(peer),
  ];
  if (peer.pacing !== null) rows.push(["rate", pacingText(peer.pacing)]);
  if (peer.waitingPackets > 0) rows.push(["waiting", countText(peer.waitingPackets, "packet")]);
  return `peer ${columns([[peer.name]])}${columns(rows, 2)}`;
}

/** A group's own entry; its nodes follow it. */
function groupBlock(group: PeerStatus): string {
  const { counters } = group;
  const rows: Row[] = [["allowed ips", group.allowedIps.join(", ")], keyRow(group)];
  if (counters.sessions > 0) {
    const traffic = `${trafficText(counters.inboundPackets, counters.inboundBytes)} in`;
    rows.push(["nodes gone", `${countText(counters.sessions, "session")}, ${traffic}`]);
  }
  return `group ${columns([[group.name]])}${columns(rows, 2)}`;
}

function addressRows(peer: PeerStatus): readonly Row[] {
  if (peer.kind !== "node") return [["allowed ips", peer.allowedIps.join(", ") || "none"]];
  const rows: Row[] = [["addresses", peer.addresses.join(", ") || "none yet"]];
  if (peer.refusedClaims > 0) {
    const packets = countText(peer.refusedClaims, "packet");
    rows.push(["refused", `${packets} from addresses that other nodes hold`]);
  }
  return rows;
}

function endpointText({ endpoint, configuredEndpoints }: PeerStatus): string {
  const configured = configuredEndpoints.join(", ");
  if (endpoint === null)
    return configured === "" ? "not known yet" : `${configured} (not resolved)`;
  if (configured === "") return `${endpoint} (learned)`;
  return endpoint === configured ? endpoint : `${endpoint} (configured: ${configured})`;
}

function mtuText({ mtu, pathMtu }: PeerStatus): string {
  return pathMtu === null ? `${mtu}` : `${mtu}, the path carries ${pathMtu}`;
}

function roundTripText({ quality }: PeerStatus): string {
  const { roundTripMs, minRoundTripMs, p95RoundTripMs, jitterMs } = quality;
  if (roundTripMs === null) return "not known yet";
  return `${roundTripMs} ms (least ${minRoundTripMs}, p95 ${p95RoundTripMs}), jitter ${jitterMs} ms`;
}

function lossText({ quality, counters }: PeerStatus): string {
  const { outboundLoss, inboundLoss } = quality;
  const late = counters.reorderedDatagrams;
  const reordered = late === 0 ? "" : `; ${countText(late, "datagram")} came out of order`;
  if (outboundLoss === null && inboundLoss === null) return `not known yet${reordered}`;
  return `${shareText(inboundLoss)} inbound, ${shareText(outboundLoss)} outbound${reordered}`;
}

function pacingText(pacing: NonNullable<PeerStatus["pacing"]>): string {
  const { bitsPerSecond, packets, bytes, dropped, marked } = pacing;
  const waiting = `${trafficText(packets, bytes)} waiting`;
  return `${rateText(bitsPerSecond)}; ${waiting}, ${dropped} dropped, ${marked} marked`;
}

function shareText(share: number | null): string {
  return share === null ? "not known" : `${(share * 100).toFixed(share === 0 ? 0 : 2)} %`;
}

function sessionText({ sessions }: PeerStatus): string {
  const current = sessions.find((session) => session.slot === "current");
  if (current === undefined) return "none";
  const role = current.isInitiator ? "initiator" : "responder";
  return `${ageText(current.ageSeconds)} old, ${role}, key ${current.fingerprint}`;
}

function trafficText(packets: number, bytes: number): string {
  return `${countText(packets, "packet")}, ${bytesText(bytes)}`;
}

function flowText(packets: number, bytes: number, bytesPerSecond: number | undefined): string {
  const rate =
    bytesPerSecond === undefined ? "" : `; ${rateText(8 * bytesPerSecond)} in the last second`;
  return `${trafficText(packets, bytes)}${rate}`;
}

function handshakeText({ counters, handshakeAgeSeconds }: PeerStatus): string {
  const { handshakesStarted, handshakesAnswered, sessions, endpointMoves } = counters;
  const last = handshakeAgeSeconds === null ? "" : `, last ${ageText(handshakeAgeSeconds)} ago`;
  const moves = endpointMoves === 0 ? "" : `, ${countText(endpointMoves, "endpoint move")}`;
  return `${handshakesStarted} started, ${handshakesAnswered} answered, ${countText(sessions, "session")}${last}${moves}`;
}

function dropRows({ drops }: Drops): readonly Row[] {
  const clauses: Readonly<Record<string, string>> = DROP_REASONS;
  return Object.entries(drops)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => [reason, `${count}`, clauses[reason] ?? ""]);
}

function sourceRows({ sources }: Pick<StatusDocument, "sources">): readonly Row[] {
  return sources.map(({ address, charged, refused }) => [
    address,
    `${charged} failed a check`,
    `${refused} refused`,
  ]);
}

/** Errors by errno name; the engine's other counters are in the JSON. */
function errorRows({ engine }: Pick<StatusDocument, "engine">): readonly Row[] {
  return Object.entries(engine).flatMap(([name, counts]: [string, unknown]) => {
    if (typeof counts !== "object" || counts === null) return [];
    const call = name
      .replace(/Errors$/, "")
      .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    return Object.entries(counts).map(([errno, count]) => [call, errno, `${count}`]);
  });
}

function block(title: string, rows: readonly Row[]): string {
  return rows.length === 0 ? "" : `${title}\n${columns(rows, 2)}`;
}
