/**
 * What a running tunnel's status document says of each peer, in sentences.
 *
 * Pure. A peer that is well has one line; the problems of one that is not come in the order in which they keep it
 * from working: no address, no answer, no packets, slow.
 */
import type { PeerStatus, StatusDocument } from "../control/status.ts";
import { type Finding, fine, problem } from "./finding.ts";
import { packetsText, secondsText } from "./words.ts";

/** Handshakes without an answer from which a peer counts as not answering: some 6 s. */
export const UNANSWERED_TRIES = 3;
/** Periods of a keepalive, and seconds more, after which silence is none of chance. */
const SILENT_PERIODS = 3;
const SILENT_SLACK_SECONDS = 2;
/** Packets that were sent and drew none back. */
export const ONE_WAY_PACKETS = 5;
/** Share of datagrams lost at which TCP notices, and milliseconds that a talk notices (ITU-T G.114: 150 one way). */
const NOTABLE_LOSS = 0.01;
const SLOW_MS = 300;
/** Bytes of an Ethernet packet: a path that carries less is narrow. */
const USUAL_PATH_MTU = 1_500;
/** What IPv6 asks of a link inside, and what is around it at most. */
const LEAST_WHOLE_PATH = 1_280 + 80;

/** The findings of every peer; a group's own entry has none but what was refused. */
export function peerFindings({ peers }: StatusDocument): readonly Finding[] {
  return peers.flatMap((peer) => {
    const found = [...connectionFindings(peer), ...refusalFindings(peer), ...pathFindings(peer)];
    const isWell = peer.state === "up" && found.every(({ level }) => level === "note");
    return isWell ? [wellLine(peer), ...found] : found;
  });
}

function wellLine({ name, endpoint, silentSeconds, counters }: PeerStatus): Finding {
  const { inboundPackets, outboundPackets } = counters;
  const heard = silentSeconds === null ? "" : `, heard ${secondsText(silentSeconds)} ago`;
  const traffic = `${packetsText(inboundPackets)} in, ${outboundPackets} out`;
  return fine("peers", `${name} is up at ${endpoint ?? "no address"}${heard}; ${traffic}`);
}

function connectionFindings(peer: PeerStatus): readonly Finding[] {
  if (peer.kind === "group") return [];
  if (peer.state === "up") return [...silenceFindings(peer), ...oneWayFindings(peer)];
  const { name, endpoint, configuredEndpoints, attempt, counters, silentSeconds } = peer;
  if (endpoint === null && configuredEndpoints.length > 0) {
    const text = `${name} has no address: ${configuredEndpoints.join(", ")} did not resolve`;
    return [problem("unresolved", text, "correct 'endpoint', or see /etc/resolv.conf")];
  }
  const tries = attempt?.tries ?? (counters.sessions === 0 ? counters.handshakesStarted : 0);
  if (tries >= UNANSWERED_TRIES) return [unanswered(peer, tries)];
  if (configuredEndpoints.length > 0 || silentSeconds !== null) return [];
  const text = `${name} was not heard yet, and has to begin: no endpoint is configured for it here`;
  return [problem("awaited", text, `see 'iptun doctor' on ${name}, which names what it lacks`)];
}

function unanswered({ name, endpoint, silentSeconds }: PeerStatus, tries: number): Finding {
  const heard = silentSeconds === null ? "" : ` (last heard ${secondsText(silentSeconds)} ago)`;
  const text = `${name}: sent ${tries} handshakes to ${endpoint}, nothing came back${heard}: a firewall or a wrong address, or another key over there`;
  const remedy =
    "check address and port of 'endpoint', that iptun runs there and that its UDP port is open; with another key it keeps silent, and its 'iptun doctor' names this host";
  return problem("unanswered", text, remedy);
}

function silenceFindings(peer: PeerStatus): readonly Finding[] {
  const { name, silentSeconds, keepaliveSeconds, remoteKeepaliveSeconds } = peer;
  // A keepalive of ours is answered.
  const period = remoteKeepaliveSeconds || keepaliveSeconds || 0;
  const most = SILENT_PERIODS * period + SILENT_SLACK_SECONDS;
  if (!(period > 0) || silentSeconds === null || silentSeconds <= most) return [];
  const text = `${name} is silent for ${secondsText(silentSeconds)}, though a keepalive every ${period} s is set: its host, its link or what is between has failed`;
  const remedy =
    "look whether its host is up and reachable; a session comes back by itself when it is";
  return [problem("silent", text, remedy)];
}

function oneWayFindings({ name, counters, allowedIps }: PeerStatus): readonly Finding[] {
  const { inboundPackets, outboundPackets } = counters;
  if (inboundPackets > 0 || outboundPackets < ONE_WAY_PACKETS) return [];
  const text = `${name}: ${packetsText(outboundPackets)} went there and none came back: the other side refuses them, or its replies go another way`;
  const remedy = `over there, allowed_ips must have this host's inner addresses, and a firewall must let them in; ${allowedIps.join(", ") || "the destination"} must be there`;
  return [problem("one-way", text, remedy)];
}

function refusalFindings({ name, refusedSource, refusedClaims }: PeerStatus): readonly Finding[] {
  const found: Finding[] = [];
  // A daemon of another version may not tell.
  if (refusedSource && refusedSource.reason !== "inner_taken") {
    const { address, packets, reason } = refusedSource;
    const why =
      reason === "inner_martian"
        ? "an address that no single host has, and not named in allowed_ips"
        : `not in allowed_ips of peer ${name}`;
    const text = `${packetsText(packets)} from ${name} refused, the last from ${address}: ${why}`;
    const remedy = `add ${address} or its network to allowed_ips of ${name} here, or have ${name} send from its own address`;
    found.push(problem("refused-source", text, remedy));
  }
  if (refusedClaims > 0) {
    const last =
      refusedSource?.reason === "inner_taken" ? `, the last ${refusedSource.address}` : "";
    const text = `${packetsText(refusedClaims)} from ${name} refused: it uses inner addresses that other nodes of its group hold${last}`;
    found.push(problem("claims-refused", text, "give each site inner addresses of its own"));
  }
  return found;
}

function pathFindings({ name, pathMtu, mtu, quality }: PeerStatus): readonly Finding[] {
  const found: Finding[] = [];
  if (pathMtu !== null && pathMtu < USUAL_PATH_MTU) {
    const parts =
      pathMtu < LEAST_WHOLE_PATH ? "; packets of 1280, which IPv6 needs, go in two parts" : "";
    const text = `${name}: the path carries ${pathMtu} bytes only, so packets of up to ${mtu} go through${parts}`;
    found.push(problem("path-mtu-low", text, "nothing to do: TCP is told; it costs some speed"));
  }
  const { inboundLoss, outboundLoss, roundTripMs } = quality;
  if (Math.max(inboundLoss ?? 0, outboundLoss ?? 0) >= NOTABLE_LOSS) {
    const text = `${name}: ${shareText(inboundLoss)} of the datagrams from there and ${shareText(outboundLoss)} of those to there are lost on the way`;
    const remedy =
      "a link is full or bad: set 'rate' below what the link carries, or look at the links between";
    found.push(problem("loss", text, remedy));
  }
  if (roundTripMs !== null && roundTripMs >= SLOW_MS) {
    const text = `${name}: a datagram and its answer take ${roundTripMs} ms`;
    const remedy =
      "a long way takes that; if it is short, a queue on the way is full: set 'rate' below what the link carries";
    found.push(problem("slow-path", text, remedy));
  }
  return found;
}

function shareText(share: number | null): string {
  return share === null ? "an unknown share" : `${(share * 100).toFixed(1)} %`;
}
