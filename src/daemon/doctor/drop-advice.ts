/**
 * Why packets were dropped, in a sentence, and what to do: one entry for every drop reason.
 *
 * The table is typed by the reasons, so a new one does not compile without its advice. DROP_REASONS has the clause of
 * each for logs; here stands what an operator does about it. Nearly all of them are harmless in small numbers: the
 * level is "warning" where genuine traffic is lost, else "note".
 */
import { DROP_REASONS, type DropCounters, type DropReason } from "../../core/drop-reason.ts";
import type { Finding } from "./finding.ts";
import { packetsText } from "./words.ts";

export interface Advice {
  readonly level: "warning" | "note";
  readonly cause: string;
  readonly remedy: string;
}

const NOTHING = "nothing to do";
const STRAY = `${NOTHING}: strays and scanners draw no answer; if it is your own peer, both sides must run the same version`;
const RECORDED = `${NOTHING}: the network doubles or delays datagrams, or somebody plays recordings, which get nowhere`;
const OTHER_KEY = "give both sides the same key: compare the keys in 'iptun status -v' of both";
const LIMITS =
  "raise the limit in [limits] if these are your own peers, else block the sender in a firewall";
const DAMAGED =
  "look for a peer of another version, or a faulty network card there; small numbers do no harm";
const OLD_SESSION = `${NOTHING}: after a restart or a rekey some late datagrams are left over`;

export const DROP_ADVICE: Readonly<Record<DropReason, Advice>> = {
  oversize: note("they are longer than anything that this protocol sends", STRAY),
  bad_length: note("they are no datagrams of this protocol", STRAY),
  bad_version: note("they are of another protocol, or of another version of this one", STRAY),
  bad_type: note("they are no datagrams of this protocol", STRAY),
  bad_reserved: note("they are no datagrams of this protocol", STRAY),
  unknown_hint: warning(
    "handshakes arrive that were made for a key which is not configured here",
    OTHER_KEY,
  ),
  bad_mac: warning("handshakes arrive that another key has made than the one here", OTHER_KEY),
  replayed_init: note("a handshake arrived a second time", RECORDED),
  source_limited: warning(
    "an address has sent so much that fails its checks that it is not listened to for a while",
    LIMITS,
  ),
  handshake_failed: note("a handshake was damaged on its way, or forged", DAMAGED),
  challenged: note(
    "the sender of a handshake was asked to prove its address first, as after a restart, a move, or where its clock is behind",
    `${NOTHING}: a genuine peer proves it a moment later; a wrong clock costs no more than that`,
  ),
  own_node: note(
    "own handshakes came back",
    "no peer's endpoint may be this host: look at 'endpoint', and at who reflects datagrams",
  ),
  site_init: warning(
    "another site of the group sends handshakes to this one, which answers none",
    "set 'endpoint' over there to the hub's address",
  ),
  group_full: warning(
    "the group has as many nodes as it may, and another one wants in",
    "give some sites a group with a key of its own",
  ),
  old_stamp: note(
    "a handshake came out of order, or its host's clock went back within seconds",
    `${NOTHING}: it is tried again; a wrong clock costs no more than that`,
  ),
  handshake_budget: warning(
    "more handshakes arrive at once than may be answered",
    "peers try again within seconds; raise handshakes_per_second_total in [limits] if it stays so",
  ),
  unexpected_response: note("an answer came to a handshake that is over", OLD_SESSION),
  unknown_index: note("data came for a session that is not here", OLD_SESSION),
  bad_counter: note("data came with a counter that no peer reaches", STRAY),
  expired_session: note("data came for a session that is over", OLD_SESSION),
  open_limited: warning("too many forged packets arrive from addresses of nobody", LIMITS),
  replayed: note("data came a second time, or so late that it cannot be told from that", RECORDED),
  forged: warning(
    "data that claims to be of a session does not open under its key",
    "somebody forges, or a device on the way changes datagrams: look who sends them with tcpdump",
  ),
  bad_plaintext: note("a peer sends something that is neither packet nor frame", DAMAGED),
  bad_control: note("a peer sends a control frame of wrong form", DAMAGED),
  inner_malformed: note("a peer sends packets whose header does not fit their length", DAMAGED),
  inner_checksum: note("a peer sends packets with a checksum that cannot be finished", DAMAGED),
  inner_source: warning(
    "a peer sends packets from addresses that are not in its allowed_ips",
    "add them to allowed_ips of that peer here, or have the peer use its own address",
  ),
  inner_martian: warning(
    "a peer sends packets from addresses that no single host has",
    "name the prefix in allowed_ips of that peer if it is meant",
  ),
  inner_taken: warning(
    "a node of a group sends from an address that another node holds",
    "give each site inner addresses of its own",
  ),
  inner_not_ect: warning(
    "a router on the way marked packets for congestion whose ends do not understand marks",
    "it counts as the loss that it stands for; a queue on the way is full",
  ),
  too_big: note(
    "packets were longer than the path carries, and their senders were told",
    `${NOTHING} unless a connection hangs: then something on this host keeps ICMP from the sender`,
  ),
  no_peer: warning(
    "packets were routed into the tunnel for destinations that no peer has",
    "add them to allowed_ips of the peer they are meant for, or correct the route",
  ),
  multicast: note("this host sends multicast into the device, which no peer takes", NOTHING),
  loop: warning(
    "a route leads the tunnel's own datagrams back into it",
    "keep the peer's endpoint out of the routes into the tunnel ('ip route get ENDPOINT' must not name its device)",
  ),
  ring: warning(
    "tunnels lead into one another in a ring",
    "look with 'ip route get ENDPOINT' on each host of the ring, and take one route away",
  ),
  no_endpoint: warning(
    "packets were for a peer whose address is not known yet",
    "set 'endpoint' for the peer, or let it begin: 'keepalive' over there keeps it known",
  ),
  queue_full: warning(
    "more packets waited for a session than may wait",
    "see why the peer does not answer; without a session nothing passes",
  ),
  rate_queue: note(
    "packets waited too long for the peer's rate, which is how senders learn of it",
    "raise 'rate' of the peer if its link carries more",
  ),
  queue_timeout: warning(
    "packets waited for a session that did not come up",
    "see why the peer does not answer; without a session nothing passes",
  ),
  outbound_malformed: note(
    "a program on this host sends packets with a malformed header into the device",
    "find it with tcpdump on the device",
  ),
  counter_exhausted: warning(
    "a session has used up its counter and no new one came up",
    "see why the peer does not answer handshakes",
  ),
  no_room: warning(
    "more came at once than a queue holds",
    "small numbers do no harm; else this host is too busy: look at its CPU",
  ),
  key_table_full: warning(
    "no key slot was free for another session",
    "fewer peers on one tunnel: start a second one with a port of its own",
  ),
  seal_failed: warning(
    "the cipher refused packets, which never happens on a sound machine",
    "restart the tunnel; report it with the output of 'iptun status --json'",
  ),
  udp_send: warning(
    "the kernel refused datagrams",
    "the errors are under 'kernel errors' in 'iptun status -v': EPERM is a firewall on this host, ENETUNREACH a missing route",
  ),
  tun_write: warning(
    "the kernel refused packets at the device",
    "set the device up ('ip link set DEVICE up'), or restart the tunnel",
  ),
};

/** A finding for each reason that has dropped something since the start. */
export function dropFindings(drops: Readonly<DropCounters>): readonly Finding[] {
  return (Object.keys(DROP_REASONS) as DropReason[]).flatMap((reason) => {
    // A daemon of another version may not have it.
    const count = drops[reason] ?? 0;
    if (count === 0) return [];
    const { level, cause, remedy } = DROP_ADVICE[reason];
    const text = `${packetsText(count)} dropped (${reason}): ${cause}`;
    return [{ section: "drops", level, id: `drop-${reason}`, text, remedy } as const];
  });
}

function note(cause: string, remedy: string): Advice {
  return { level: "note", cause, remedy };
}

function warning(cause: string, remedy: string): Advice {
  return { level: "warning", cause, remedy };
}
