/**
 * What a running tunnel's status document says of the tunnel as a whole, in sentences.
 *
 * A pure function of the document; peers are in peer-findings.ts, drops in drop-advice.ts. The counters are those
 * since the start: a fault that is over may still be told.
 */
import type { StatusDocument } from "../control/status.ts";
import { type Finding, fine, problem } from "./finding.ts";
import { hostOf, packetsText, secondsText } from "./words.ts";

type Device = StatusDocument["interface"];

/** All but what concerns one peer. */
export function tunnelFindings(document: StatusDocument): readonly Finding[] {
  return [
    ...linkFindings(document),
    ...firewallFindings(document.interface),
    ...cipherFindings(document),
    ...strangerFindings(document),
    ...sourceFindings(document),
    ...destinationFindings(document),
    ...sendFindings(document),
  ];
}

function linkFindings({ interface: device, uptimeSeconds, pid }: StatusDocument) {
  const { name, isLinkUp, listenPort } = device;
  const where = `process ${pid}, up ${secondsText(uptimeSeconds)}, UDP port ${listenPort}`;
  if (isLinkUp) return [fine("tunnel", `${name} runs: ${where}`)];
  const text = `the link ${name} is down, so nothing passes (${where})`;
  return [problem("link-down", text, `ip link set ${name} up`)];
}

function firewallFindings({ firewall }: Device): readonly Finding[] {
  if (firewall === "off") return [];
  if (firewall === "on") return [fine("firewall", "the tunnel's own rules are in place")];
  const text =
    "the tunnel's own firewall is not in place: nft is missing or has refused it, so forged packets to the inner addresses are let in";
  return [problem("firewall-failed", text, "install nftables, or see the log for what nft said")];
}

function cipherFindings({ features }: StatusDocument): readonly Finding[] {
  if (features.cipher !== "evp") return [];
  const text = "the cipher runs by OpenSSL's EVP layer, which is slower";
  return [problem("cipher-slow", text, "use a Node.js that is built with its own OpenSSL")];
}

function strangerFindings({ strangers, peers }: StatusDocument): readonly Finding[] {
  // A daemon of another version may not tell.
  return (strangers ?? []).map(({ source, ageSeconds }) => {
    const owner = peers.find((peer) =>
      [peer.endpoint ?? "", ...peer.configuredEndpoints].some(
        (one) => hostOf(one) === hostOf(source),
      ),
    );
    const whose = owner === undefined ? "" : `, where peer ${owner.name} is,`;
    const text = `datagrams arrive from ${source}${whose} but no key here opens them (last ${secondsText(ageSeconds)} ago): another key on the other side`;
    const keys = peers.map(({ name, fingerprints }) => `${name} ${fingerprints.join(" or ")}`);
    const remedy = `give both sides the same key; 'iptun status -v' there must show a fingerprint of here (${keys.join(", ")})`;
    return problem("stranger", text, remedy);
  });
}

function sourceFindings({ sources }: StatusDocument): readonly Finding[] {
  return sources.map(({ address, charged, refused }) => {
    const unseen = refused === 0 ? "" : `, and ${refused} more were not looked at`;
    const text = `${charged} datagrams from ${address} failed their checks${unseen}: a scan or an attack, or a peer with another key`;
    return problem("limited-source", text, "if it is no peer of yours, block it in a firewall");
  });
}

function destinationFindings({ refusedDestination }: StatusDocument): readonly Finding[] {
  if (refusedDestination === null || refusedDestination === undefined) return [];
  const { address, packets } = refusedDestination;
  const text = `${packetsText(packets)} for destinations that no peer has, the last for ${address}: not in allowed_ips of any peer`;
  const remedy = `add ${address} or its network to allowed_ips of the peer that has it, or take the route into the tunnel away`;
  return [problem("refused-destination", text, remedy)];
}

/** Errors of the outer socket that have a cause of their own. */
function sendFindings({ engine: { udpErrors } }: StatusDocument): readonly Finding[] {
  const denied = udpErrors["EPERM"] ?? 0;
  const unreachable = (udpErrors["ENETUNREACH"] ?? 0) + (udpErrors["EHOSTUNREACH"] ?? 0);
  return [
    ...(denied === 0
      ? []
      : [
          problem(
            "send-denied",
            `${denied} datagrams were refused by this host's own firewall (EPERM)`,
            "let UDP out to the peers' endpoints: 'nft list ruleset', chains with hook output",
          ),
        ]),
    ...(unreachable === 0
      ? []
      : [
          problem(
            "send-unreachable",
            `${unreachable} datagrams found no way to an endpoint (ENETUNREACH, EHOSTUNREACH)`,
            "see 'ip route get ENDPOINT': a link was down, or a route is missing",
          ),
        ]),
  ];
}
