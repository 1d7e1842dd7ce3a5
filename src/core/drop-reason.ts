/**
 * Why a datagram or packet was dropped: a value with a counter, never an exception.
 *
 * A reason is added here and used at one place; status, logs and metrics list them from this table.
 * The key is the stable name that operators see; the text is one clause for logs and `status`.
 */

/** Every reason, with the clause that explains it. */
export const DROP_REASONS = {
  // Inbound, before authentication.
  oversize: "datagram longer than any valid message",
  bad_length: "length fits no message type",
  bad_version: "unknown protocol version",
  bad_type: "unknown message type",
  bad_reserved: "reserved bytes are not zero",
  unknown_hint: "handshake for a key that is not configured here",
  bad_mac: "handshake not made with a key configured here",
  replayed_init: "handshake seen before",
  source_limited: "source sends too much that fails its checks",
  handshake_failed: "handshake does not open under the key",
  challenged: "handshake asked to prove its address first",
  own_node: "own handshake reflected",
  site_init: "handshake to a site of a group, which answers none",
  group_full: "group has as many nodes as it may",
  old_stamp: "handshake older than one that waits",
  handshake_budget: "too many handshakes at once",
  unexpected_response: "answer to no pending handshake",
  unknown_index: "data for a session that does not exist here",
  bad_counter: "data counter above its limit",
  expired_session: "data for an expired session",
  open_limited: "too many forged packets from other addresses",
  replayed: "data seen before or too old",
  forged: "data does not open under the session key",
  // Inbound, after authentication.
  bad_plaintext: "decrypted content of unknown kind",
  bad_control: "control frame of wrong form",
  inner_malformed: "inner packet header does not fit its length",
  inner_checksum: "partial checksum on a packet that has none",
  inner_source: "inner source address outside the peer's allowed_ips",
  inner_martian: "inner source address that no single host has, such as 127.0.0.1 or fe80::1",
  inner_taken: "inner source address that another node of the group holds",
  inner_not_ect: "marked for congestion on the way, but its ends see congestion by loss alone",
  // Outbound.
  too_big: "packet longer than the path to the peer carries; its sender was told",
  no_peer: "no peer for the destination",
  multicast: "multicast that no peer takes",
  loop: "the tunnel's own datagram: a route leads the peer's endpoint into the tunnel",
  ring: "datagram of a tunnel in a tunnel, deeper than is meant: their routes lead in a ring",
  no_endpoint: "peer's endpoint is not known",
  queue_full: "waiting for a session, queue full",
  rate_queue: "waited too long for the peer's rate, or found its queue full",
  queue_timeout: "no session came up in time",
  outbound_malformed: "packet from the device with a malformed header",
  counter_exhausted: "session counter used up",
  no_room: "more at once than a queue or batch of ours holds",
  key_table_full: "no key slot is free",
  seal_failed: "the cipher refused the packet",
  // Edges: counted by the engine.
  udp_send: "the kernel refused the datagram",
  tun_write: "the kernel refused the packet",
} as const satisfies Record<string, string>;

export type DropReason = keyof typeof DROP_REASONS;

/** A counter a reason, all present from the start. */
export type DropCounters = Record<DropReason, number>;

/** All counters at zero. */
export function dropCounters(): DropCounters {
  const counters: Partial<DropCounters> = {};
  for (const reason of Object.keys(DROP_REASONS) as DropReason[]) counters[reason] = 0;
  return counters as DropCounters;
}

/** Datagrams that were no message of the protocol at all, and so nobody's who speaks it. */
export function malformedIn(drops: DropCounters): number {
  return drops.bad_length + drops.bad_version + drops.bad_type + drops.bad_reserved;
}
