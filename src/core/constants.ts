/**
 * Every number of the protocol's rules, with its unit and the rule it comes from (docs/protocol.md).
 *
 * Sizes and offsets of messages are in wire.ts; what an operator may change is in options.ts.
 */

/** Nodes of one group (Groups). BOUNDED: further ones are refused. */
export const GROUP_NODES = 1_024;
/** Nodes of one group whose first handshake came from one IPv4 address or IPv6 /64. BOUNDED (Groups). */
export const GROUP_NODES_PER_SOURCE = 256;
/** Inner addresses that one node can hold (Groups). BOUNDED: further ones are refused. */
export const GROUP_ADDRESSES = 64;
/**
 * Half-open sessions of all nodes that a group does not know yet (rule 7). BOUNDED: the oldest goes. More than
 * come at once within a round trip: one that is displaced costs its site 15 s, because it believes the RESP.
 */
export const GROUP_HALF_OPEN = 128;
/** Handshakes a second, and at once, of all nodes that a group does not know yet (Limits). */
export const GROUP_NEWCOMERS_PER_SECOND = 100;
/** Handshakes a second, and at once, of all nodes of a group that come from one source (Limits). */
export const GROUP_SOURCE_PER_SECOND = 40;
export const GROUP_SOURCE_BURST = 60;
/** What the known ones of these can draw of the reserved handshakes (Limits). */
export const GROUP_RESERVE_PER_SECOND = 2;
export const GROUP_RESERVE_BURST = 5;
/** Probes of a holder whose address another node claims, and the wait after each, milliseconds (Groups). */
export const PROBES = 3;
export const PROBE_PERIOD_MS = 333;
/** Rest of a holder that answered, before it is asked again: twice this, then twice as long each time, milliseconds. */
export const REST_FIRST_MS = 2_000;
export const REST_MOST_MS = 60_000;

/** Age at which the initiator of the current session starts a new one, milliseconds (Limits). */
export const REKEY_AFTER_MS = 120_000;
/** Age at which the responder does so itself, because the initiator did not, milliseconds (rule 8). */
export const RESPONDER_REKEY_AFTER_MS = 165_000;
/** Age at which a session is neither sealed nor opened with, and wiped, milliseconds (Limits). */
export const REJECT_AFTER_MS = 180_000;
/** Datagrams sealed after which a new session is started (Limits). */
export const REKEY_AFTER_MESSAGES = 2 ** 40;
/** Counters from here on are never sealed with; the distance to 2^48 covers the replay window (Limits). */
export const REJECT_AFTER_MESSAGES = 2 ** 48 - 2 ** 13 - 1;
/** Failed opens of one session after which a new one is started (Limits). */
export const REKEY_AFTER_FAILED_OPENS = 2 ** 30;

/** Waits between the first INITs of an attempt, milliseconds (rule 5). */
export const RETRY_FIRST_MS: readonly number[] = [300, 300, 600];
/** Wait between INITs until the attempt is RETRY_SLOW_FROM_MS old, then the slow one, milliseconds (rule 5). */
export const RETRY_MS = 1_000;
export const RETRY_SLOW_FROM_MS = 30_000;
export const RETRY_SLOW_MS = 5_000;
/** Each wait is lengthened by up to this share at random (rule 5). */
export const RETRY_JITTER = 0.2;
/** Age of an attempt at which it ends without a session, milliseconds (rule 5). */
export const GIVE_UP_AFTER_MS = 90_000;
/** Own INITs of a peer that stay answerable. BOUNDED: the oldest is wiped (rule 5). */
export const PENDING_PER_PEER = 4;
/** Resends of an INIT with a cookie in one attempt, so that a NAT with a new port a datagram makes no loop (rule 4). */
export const COOKIE_RESENDS = 3;
/** Age of an attempt at which its peer's name is worth resolving again, and the wait after that, milliseconds. */
export const UNANSWERED_EVENT_MS = 5_000;
export const UNANSWERED_REPEAT_MS = 30_000;

/** Lifetime of a cookie secret; the one before it is still accepted, milliseconds (§3). */
export const COOKIE_SECRET_MS = 120_000;
/** How long a received cookie rides in later INITs, milliseconds (rule 4). */
export const COOKIE_RIDES_MS = 120_000;

/** INITs remembered a key. BOUNDED: the oldest is forgotten (rule 1). */
export const SEEN_INITS = 4_096;
/** How long one is remembered, milliseconds (rule 1). */
export const SEEN_INIT_MS = 600_000;
/** Answers an INIT draws after the first, and how many of them any source can have (rule 1). */
export const REPEATED_ANSWERS = 3;
export const REPEATED_ANSWERS_ANYWHERE = 2;
/** Nodes whose stamp floor is kept for a pair's key. BOUNDED: the longest unconfirmed goes (rule 2). */
export const FLOORS_PER_PAIR = 4;
/** The same for a group's key (rule 2). */
export const FLOORS_PER_GROUP = GROUP_NODES;

/** Waits before each repetition of the confirming keepalive, measured from the RESP, milliseconds (rule 6). */
export const CONFIRM_REPEATS_MS: readonly number[] = [300, 1_000, 3_000, 7_000];
/** Age at which a session that was confirmed by its RESP and never heard is started anew, milliseconds (rule 6). */
export const UNHEARD_SESSION_MS = 15_000;

/**
 * Half-open sessions of one node (rule 7). BOUNDED: the oldest goes. As many as INITs of one side stay
 * answerable: with fewer, a round trip longer than the retries displaces each one before it is confirmed.
 */
export const HALF_OPEN_PER_NODE = PENDING_PER_PEER;
/**
 * Half-open sessions of one peer, and in all (rule 7). BOUNDED: the oldest goes, a peer's newcomers before its
 * known node. Each peer has room of its own, or a hub's sites displace one another when all come back at once.
 */
export const HALF_OPEN_PER_PEER = 2 * HALF_OPEN_PER_NODE;
export const HALF_OPEN_TOTAL = 4_096;
/** An INIT with a lower stamp than one that has waited less than this came out of order, milliseconds (rule 7). */
export const REORDERED_INIT_MS = 10_000;
/** Life of a half-open session of a node that never had one, milliseconds (rule 7). */
export const HALF_OPEN_NEWCOMER_MS = 10_000;
/** Two sessions with opposite initiators born this close may have crossed, milliseconds (rule 8). */
export const CROSSING_MS = 10_000;

/** Data sent and nothing heard for this long starts a handshake, milliseconds (rule 11). */
export const UNANSWERED_DATA_MS = 15_000;
/** Data heard and nothing sent for this long draws one keepalive, milliseconds (rule 11). */
export const PASSIVE_KEEPALIVE_MS = 10_000;
/** Silence after which a learned endpoint is forgotten, milliseconds (Limits). */
export const STALE_AFTER_MS = 180_000;

/** Least time between two path challenges to a peer, milliseconds (rule 12). */
export const PATH_CHALLENGE_MS = 250;
/** Least plaintext that draws a path challenge, bytes: the challenge is no longer than its cause (rule 12). */
export const PATH_CHALLENGE_CAUSE_BYTES = 9;

/** Smallest path MTU that is asked for, bytes of an outer IP packet (RFC 8899 §5.1.2, RFC 8200 §5) (rule 18). */
export const BASE_PLPMTU = 1_280;
/** Inner packets up to here fit a path of that size, whichever the outer family: 1,280 - 48 - 32 (rule 18). */
export const LARGE_INNER_BYTES = 1_200;
/** Largest path MTU that is looked for, bytes of an outer IP packet (rule 18). */
export const LARGEST_PATH_MTU = 9_216;
/** The inner packet that fits it over IPv4: 9,216 - 28 - 32. */
export const LARGEST_INNER_MTU = 9_156;
/** Smallest inner MTU, bytes: what IPv6 needs of a link (RFC 8200 §5) (rule 18). */
export const LEAST_INNER_MTU = 1_280;
/** Probes of one size that are lost in a row before it counts as too large (RFC 8899 §5.1.2) (rule 18). */
export const MAX_PROBES = 3;
/** Wait for the answers of a round of probes while the round-trip time is unknown, and its bounds, milliseconds. */
export const PROBE_WAIT_MS = 500;
export const LEAST_PROBE_WAIT_MS = 100;
export const MOST_PROBE_WAIT_MS = 3_000;
/** Wait between two looks whether the path still carries its size, while large datagrams flow, milliseconds (rule 18). */
export const CONFIRMATION_MS = 1_500;
/** Wait before a search that got no answer is tried again; twice as long each time, milliseconds (rule 18). */
export const SEARCH_RETRY_MS = 5_000;
/** Own probes of a peer whose answer is awaited. BOUNDED: the oldest is forgotten. */
export const PROBES_AWAITED = 32;

/** UDP payload of a probe that an operator asks for, bytes; and answers of such that wait to be read. BOUNDED. */
export const PING_BYTES = 64;
export const PINGS_AWAITED = PROBES_AWAITED;

/** Probes of a speed test that are sent in one turn, so that packets get theirs. BOUNDED. */
export const SPEED_BATCH = 128;
/** Probes of a speed test that are on their way: at first, at least and at most. BOUNDED. */
export const SPEED_FIRST_WINDOW = 16;
export const SPEED_LEAST_WINDOW = 8;
export const SPEED_MOST_WINDOW = 4_096;
/** Least time over which the rate of answers is taken, milliseconds, and how many of those the best is chosen from. */
export const SPEED_ROUND_MS = 20;
export const SPEED_ROUNDS = 10;
/** Milliseconds of the best rate that are on their way beside two round trips, and at least beside one. */
export const SPEED_QUEUE_MS = 5;
export const SPEED_LEAST_QUEUE_MS = 2;
/** Share of a round that may be lost before less is sent, as in BBRv2 (draft-cardwell-iccrg-bbr-congestion-control-02 §3.2). */
export const SPEED_LOSS = 0.02;
/** Probes that tell the round-trip time before a speed test, one after another, and how long that may take, milliseconds. */
export const SPEED_IDLE_PROBES = 10;
export const SPEED_IDLE_MS = 1_000;
/** How long the last answers of a speed test are waited for, and for any while all is silent, milliseconds. */
export const SPEED_LAST_MS = 1_000;
/** Wait before a speed test that could not send tries again, milliseconds. */
export const SPEED_RETRY_MS = 100;
/** UDP payload of the shortest probes of a speed test, bytes, and its longest time, seconds. */
export const SPEED_LEAST_BYTES = 64;
export const SPEED_MOST_SECONDS = 60;

/** First parts of packets of a session that wait for the second, or the reverse. BOUNDED: the oldest goes (rule 18). */
export const PARTS_WAITING = 8;
/** How long one waits, milliseconds: far less than the ids take to come round (rule 18). */
export const PART_WAIT_MS = 2_000;
/** Packets put together in one batch. BOUNDED: further ones are dropped. */
export const JOINED_PER_BATCH = 32;
/** Bytes behind the datagrams of a batch where that is done. */
export const JOINED_BYTES = JOINED_PER_BATCH * LEAST_INNER_MTU;

/** Silence after which another of several endpoints is tried, unless configured, milliseconds (rule 19). */
export const DEFAULT_FAILOVER_MS = 2_000;
/** Shares of `failover_ms` at which a silent endpoint is asked, and at the last is given up (rule 19). */
export const FAILOVER_STAGES: readonly number[] = [0.5, 0.75, 1];
/** Other endpoints that are asked at once (rule 19). BOUNDED. */
export const FAILOVER_CANDIDATES = 4;
/** Answers in a row after which a preferred endpoint is used again, the wait between them and before the first, milliseconds. */
export const PREFERRED_ANSWERS = 3;
export const PREFERRED_AGAIN_MS = 1_000;
export const PREFERRED_MS = 10_000;

/** Time between two reports and two measuring probes while packets flow, milliseconds (rule 20). */
export const MEASURE_MS = 1_000;
/** Round-trip times, and periods of a report, that link quality is told from (rule 20). */
export const QUALITY_SAMPLES = 64;
/** UDP payload of the longest probe whose round-trip time counts: the configured keepalive (rule 20). */
export const MEASURED_PROBE_BYTES = 41;

/** Queues of the flows of a peer with a rate (RFC 8290 §5.2.3); two flows may share one (rule 21). BOUNDED. */
export const FLOW_QUEUES = 1_024;
/** Bytes of a flow's turn (RFC 8290 §5.2.4) (rule 21). */
export const FLOW_TURN_BYTES = 1_514;
/** Packets that the longest queue loses at once where all is full (RFC 8290 §4.1.2). */
export const OVERFLOW_PACKETS = 64;
/** What a paced peer's queue holds: milliseconds of its rate, bytes at least and at most, packets; and of all peers. BOUNDED. */
export const PACED_MS = 250;
export const PACED_LEAST_BYTES = 256 * 1024;
export const PACED_MOST_BYTES = 16 * 1024 * 1024;
export const PACED_PACKETS = 10_240;
export const PACED_BYTES_TOTAL = 64 * 1024 * 1024;
/** Heap that a waiting packet takes besides its bytes (measured with Node.js 20); it counts in the total. */
export const PACED_PACKET_BYTES = 600;
/** How much may leave at once, milliseconds of the rate: the timer that wakes us comes some late. */
export const PACE_BURST_MS = 4;
/** The longest that a part of a super-packet takes on the wire, where one segment does not. */
export const PACE_PART_MS = 1;
/** Wait of each packet, and how long it stands, above which CoDel acts, milliseconds (RFC 8289 §4.2, §4.3). */
export const CODEL_TARGET_MS = 5;
export const CODEL_INTERVAL_MS = 100;

/** Packets and bytes that wait for a session, a peer and in all. BOUNDED: the oldest is dropped (rule 14). */
export const WAITING_PACKETS = 128;
export const WAITING_BYTES = 256 * 1024;
export const WAITING_BYTES_TOTAL = 16 * 1024 * 1024;

/** Opens a second, of all peers together, of data from another address than its session's (Limits). */
export const STRANGE_OPENS_PER_SECOND = 5_000;
/** Share of the total handshake budget that only peers which had a session may use (Limits). */
export const HANDSHAKE_RESERVED_SHARE = 0.25;

/** Address frames of a session that are looked at: the first confirmation and its repetitions. BOUNDED. */
export const ADDRESS_FRAMES = 1 + CONFIRM_REPEATS_MS.length;

/**
 * What handshakes may cost in one turn, in Noise opens of some 0.13 ms, and what a Diffie-Hellman with its
 * answer counts: 3 ms a turn, so that packets do not wait longer. The rest waits: so many INITs. BOUNDED.
 */
export const HANDSHAKE_WORK_PER_TURN = 20;
export const HANDSHAKE_DH_WORK = 6;
export const DEFERRED_INITS = 256;

/**
 * Hops that a datagram loses against the datagram of another tunnel that it carries (rule 16): with the usual 64
 * four tunnels may run one inside another, as many as RFC 2473 §6.6 allows unless told.
 */
export const NESTED_HOPS = 16;

/** Datagrams that wait to be sent by `pollTransmit`. BOUNDED: further ones are dropped and counted. */
export const TRANSMIT_QUEUE = 4_096;
/** Events that wait to be read. BOUNDED: further ones are counted. */
export const EVENT_QUEUE = 1_024;
/** Addresses remembered as strangers, and the least time between two events of one, milliseconds. */
export const STRANGERS = 256;
export const STRANGER_EVENT_MS = 60_000;
/** ICMP errors a second towards local senders, and the burst (RFC 1812 §4.3.2.8). */
export const ICMP_PER_SECOND = 100;
export const ICMP_BURST = 50;
