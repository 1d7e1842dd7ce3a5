/**
 * What was seen of the host's network, in sentences: ways to the endpoints and inner networks, filters, forwarding,
 * MTU, firewall, addresses of the device.
 *
 * Pure functions of the evidence. The firewall is judged from its rules alone: what is said to be dropped is, what is
 * not may still be (firewall-trace.ts).
 */
import { LEAST_INNER_MTU } from "../../core/constants.ts";
import type { StatusDocument } from "../control/status.ts";
import { FORWARDING_SWITCHES, forwardingWarnings } from "../host/forwarding.ts";
import type { Evidence, WayEvidence } from "./evidence.ts";
import { type Finding, fine, problem, unseen } from "./finding.ts";
import { fateOf, type Probe } from "./firewall-trace.ts";
import type { Known } from "./host-findings.ts";
import type { Subject } from "./subject.ts";
import { halves } from "./words.ts";

/** Around an inner packet: DATA 32, UDP 8, IP 20 or 40. */
const OVERHEAD = { 4: 60, 6: 80 } as const;

/** Findings that need a tunnel to ask about, and the rest. */
export function networkFindings(evidence: Evidence, known: Known): readonly Finding[] {
  const { subject, status } = known;
  const common = [...filterFindings(evidence)];
  if (subject === undefined) return common;
  return [
    ...outerWayFindings(evidence, subject),
    ...innerWayFindings(evidence, subject),
    ...common,
    ...forwardingFindings(evidence, subject),
    ...natFindings(evidence, subject),
    ...mtuFindings(evidence, subject),
    ...firewallFindings(evidence, subject),
    ...(status === undefined ? [] : addressFindings(evidence, status)),
  ];
}

function outerWayFindings({ outerWays }: Evidence, subject: Subject): readonly Finding[] {
  return outerWays.map(({ peer, target, route }) => {
    if (route === undefined) {
      const text = `there is no route to ${target}, where peer ${peer} is`;
      return problem("no-route", text, "see 'ip route': a default route, or one to it, is missing");
    }
    if (route.device !== subject.device) {
      const from = route.source === undefined ? "" : ` from ${route.source}`;
      return fine("routing", `${target} of peer ${peer} is reached by ${route.device}${from}`);
    }
    const text = `the route to ${target}, where peer ${peer} is, leads into the tunnel itself`;
    const remedy = `take that route away, or add one for ${target} by the way outside`;
    return problem("route-loop", text, remedy);
  });
}

function innerWayFindings({ innerWays }: Evidence, subject: Subject): readonly Finding[] {
  const astray = innerWays.filter(({ route }) => route?.device !== subject.device);
  const inPlace = innerWays.length - astray.length;
  return [
    ...(inPlace === 0 ? [] : [fine("routing", `${inPlace} routes of peers lead into the tunnel`)]),
    ...astray.map(({ peer, target, route }) => {
      const where = route === undefined ? "nowhere" : `by ${route.device}`;
      const text = `packets for ${target} of peer ${peer} go ${where} and not into the tunnel: a more specific route, or none`;
      const remedy = `see 'ip route get' for an address of it; 'routes = true' in [interface] adds routes`;
      return problem("route-elsewhere", text, remedy);
    }),
  ];
}

/** Of IPv4 alone: IPv6 has no such switch. */
function filterFindings({ strictFilters, filterDrops }: Evidence): readonly Finding[] {
  if (strictFilters.length === 0) return [fine("routing", "no reverse path filter is strict")];
  const devices = strictFilters.join(", ");
  const remedy = "sysctl -w net.ipv4.conf.all.rp_filter=2, and the same of the device";
  if ((filterDrops ?? 0) > 0) {
    const text = `the reverse path filter has dropped ${filterDrops} packets since the boot (strict on ${devices}): they came by another device than the way back`;
    return [problem("filter-drops", text, remedy)];
  }
  const text = `the reverse path filter is strict on ${devices}: datagrams that come by another device than the way back would vanish`;
  return [problem("filter-strict", text, `only with several uplinks: ${remedy}`)];
}

/** A hub's host has to forward; another has to for a network behind it, of which nothing is known here. */
function forwardingFindings({ forwards }: Evidence, { peers }: Subject): readonly Finding[] {
  const read = (path: string) => {
    const isOn = forwards[path.includes("ipv4") ? 4 : 6];
    return isOn === undefined ? undefined : `${Number(isOn)}`;
  };
  const concerned = peers.map(({ name, kind, allowedIps }) => {
    return { name, kind, allowedIps: allowedIps.map((text) => ({ family: familyOf(text) })) };
  });
  const groups = forwardingWarnings({ peers: concerned }, read);
  if (groups.length > 0) return groups.map((line) => problem("not-forwarding", ...halves(line)));
  return ([4, 6] as const).flatMap((family) => {
    const isConcerned = concerned.some(({ allowedIps }) =>
      allowedIps.some((one) => one.family === family),
    );
    if (!isConcerned || forwards[family] === undefined) return [];
    if (forwards[family]) return [fine("routing", `this host forwards IPv${family}`)];
    const text = `this host does not forward IPv${family}: only its own addresses are reached by the tunnel, no network behind it`;
    const remedy = `only if there is such a network: sysctl -w ${FORWARDING_SWITCHES[family]}=1`;
    return [problem("forwarding-off", text, remedy)];
  });
}

function familyOf(text: string): 4 | 6 {
  return text.includes(":") ? 6 : 4;
}

/** Whoever leaves from a private address towards a public one passes a NAT, which forgets. */
function natFindings({ outerWays }: Evidence, { peers }: Subject): readonly Finding[] {
  return peers
    .filter(({ keepaliveSeconds }) => keepaliveSeconds === 0)
    .flatMap(({ name }) => {
      const way = outerWays.find(({ peer, target, route }) => {
        return peer === name && isPrivate(route?.source ?? "") && !isPrivate(target);
      });
      if (way === undefined) return [];
      const text = `${name} is reached from ${way.route?.source}, which is behind a NAT, and no keepalive is set: after a minute or so of silence it cannot reach this host`;
      const remedy = `keepalive = 25 at peer ${name} here`;
      return [problem("keepalive-behind-nat", text, remedy)];
    });
}

/** RFC 1918, RFC 6598. */
function isPrivate(address: string): boolean {
  const [first = 0, second = 0] = address.split(".").map(Number);
  if (first === 10 || (first === 192 && second === 168)) return true;
  return (first === 172 && second >> 4 === 1) || (first === 100 && second >> 6 === 1);
}

function mtuFindings({ outerWays }: Evidence, { fixedMtu }: Subject): readonly Finding[] {
  return outerWays.flatMap((way) => mtuFinding(way, fixedMtu) ?? []);
}

function mtuFinding({ peer, target, route }: WayEvidence, fixedMtu: number | undefined) {
  if (route?.mtu === undefined) return undefined;
  const overhead = OVERHEAD[familyOf(target)];
  const needed = (fixedMtu ?? LEAST_INNER_MTU) + overhead;
  if (needed <= route.mtu) {
    const inner = fixedMtu ?? route.mtu - overhead;
    return fine(
      "mtu",
      `${route.device} carries ${route.mtu}: inner packets of ${inner} to ${peer}`,
    );
  }
  const what =
    fixedMtu === undefined
      ? `less than the ${needed} that the 1280 of IPv6 need: those go in two parts`
      : `less than the ${needed} that mtu = ${fixedMtu} makes: datagrams go in fragments or are lost`;
  const text = `${route.device}, the way to peer ${peer}, carries ${route.mtu} bytes, ${what}`;
  const remedy =
    fixedMtu === undefined ? `ip link set ${route.device} mtu 1500, if it can` : 'mtu = "auto"';
  return problem("link-mtu-small", text, remedy);
}

function firewallFindings(evidence: Evidence, subject: Subject): readonly Finding[] {
  const { ruleset, hasLegacyRules } = evidence;
  if ("unseen" in ruleset) {
    const text = `the rules of nftables (${ruleset.unseen})`;
    return [unseen("firewall", text, "run 'iptun doctor' as root, with nftables installed")];
  }
  const found = [
    ...inboundFindings(ruleset.json, evidence, subject),
    ...outboundFindings(ruleset.json, evidence, subject),
    ...innerFindings(ruleset.json, evidence, subject),
  ];
  const looked =
    "looked at: the filter chains of nftables with hooks input, output and forward; of addresses, limits and sets nothing is said";
  return [
    ...(found.length > 0
      ? found
      : [fine("firewall", `no rule drops the tunnel's packets (${looked})`)]),
    ...legacyFindings(hasLegacyRules),
  ];
}

function legacyFindings(hasLegacyRules: boolean | undefined): readonly Finding[] {
  if (hasLegacyRules === false) return [];
  const is = hasLegacyRules === true ? "are there" : "may be there";
  const text = `rules of iptables-legacy, which ${is}`;
  return [unseen("firewall", text, "see 'iptables-legacy-save' as root")];
}

function inboundFindings(json: string, evidence: Evidence, subject: Subject): readonly Finding[] {
  const { listenPort, peers } = subject;
  if (listenPort === 0) return [];
  const iif = evidence.outerWays.find(({ route }) => route !== undefined)?.route?.device;
  const probe = { hook: "input", family: 4, iif, oif: undefined, port: listenPort } as const;
  const fresh = fateOf(json, { ...probe, state: "new" });
  if (fresh.kind !== "dropped") return [];
  const remedy = `let UDP port ${listenPort} in: nft add rule ... udp dport ${listenPort} accept`;
  const answers = fateOf(json, { ...probe, state: "established" });
  const canStart = peers.length > 0 && peers.every(({ endpoints }) => endpoints.length > 0);
  if (answers.kind !== "dropped" && canStart) {
    const text = `the firewall drops datagrams to UDP port ${listenPort} but for answers (${fresh.where}): only this host can begin`;
    return [problem("firewall-new", text, `only if peers should begin: ${remedy}`)];
  }
  const text = `the firewall drops datagrams to UDP port ${listenPort} (${fresh.where})`;
  return [problem("firewall-in", text, remedy)];
}

function outboundFindings(
  json: string,
  { outerWays }: Evidence,
  { peers }: Subject,
): readonly Finding[] {
  return outerWays.flatMap(({ peer, target, route }) => {
    const { port, endpoints } = peers.find(({ name }) => name === peer) ?? { endpoints: [] };
    const probe: Probe = {
      hook: "output",
      family: familyOf(target),
      iif: undefined,
      oif: route?.device,
      port: port ?? endpoints[0]?.port,
      state: "new",
    };
    const fate = fateOf(json, probe);
    if (fate.kind !== "dropped") return [];
    const text = `the firewall drops datagrams to ${target}, UDP port ${probe.port}, of peer ${peer} (${fate.where})`;
    return [problem("firewall-out", text, `let UDP to port ${probe.port} out`)];
  });
}

/** Packets that come out of the tunnel: for this host, and to be forwarded. */
function innerFindings(json: string, { forwards }: Evidence, subject: Subject): readonly Finding[] {
  const { device: iif, peers } = subject;
  const common = { family: 4, iif, oif: undefined, port: undefined, state: "new" } as const;
  const input = fateOf(json, { ...common, hook: "input" });
  const forward = fateOf(json, { ...common, hook: "forward" });
  const mustForward = forwards[4] === true || peers.some(({ kind }) => kind === "group");
  return [
    ...(input.kind === "dropped"
      ? [
          problem(
            "firewall-inner",
            `the firewall drops what comes out of ${iif} for this host (${input.where})`,
            `let it in if it should be: nft add rule ... iifname "${iif}" accept`,
          ),
        ]
      : []),
    ...(forward.kind === "dropped" && mustForward
      ? [
          problem(
            "firewall-forward",
            `the firewall drops what comes out of ${iif} to be forwarded (${forward.where})`,
            `let it pass if it should: nft add rule ... iifname "${iif}" accept, in the chain with hook forward`,
          ),
        ]
      : []),
  ];
}

function addressFindings({ device }: Evidence, status: StatusDocument): readonly Finding[] {
  const { name, addresses } = status.interface;
  if (device === undefined || device === null) return [];
  const lost = addresses.filter((one) => !device.addresses.includes(one));
  if (lost.length === 0) return [];
  const text = `${name} has lost ${lost.join(", ")}: somebody has taken it away, or the link is down`;
  const remedy = `set the link up: what is missing is put back within seconds; else ip addr add ${lost[0]} dev ${name}`;
  return [problem("address-lost", text, remedy)];
}
