/**
 * Every metric: its name, what it says, and how its values are read from the status document.
 *
 * Names follow the usual exporter of WireGuard (`_receive_bytes_total`, `_last_handshake_seconds`), so that its
 * dashboards are easily adapted, and Prometheus's rules: base units, `_total` for what only grows. The trap: a name or a
 * label is an interface, because alert rules and dashboards hold it (contrib/); they are only ever added.
 */
import { DROP_REASONS } from "../../core/drop-reason.ts";
import { SECOND_MS } from "../../core/time.ts";
import type { LoopTime } from "../../engine/spawn.ts";
import type { PeerStatus, StatusDocument } from "../control/status.ts";

/** What is read at one scrape. */
export interface Reading {
  readonly status: StatusDocument;
  /** Seconds since 1970: now, and when the process began. */
  readonly nowSeconds: number;
  readonly startedSeconds: number;
  /** Of all threads of the process. */
  readonly cpuSeconds: number;
  readonly engineLoop: LoopTime;
  readonly controlDelay: LoopDelay;
}

/** How late the control side's event loop was since the last reading, milliseconds. */
export interface LoopDelay {
  readonly meanMs: number;
  readonly maxMs: number;
}

type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [labels: Labels, value: number];

/** One metric. */
export interface Metric {
  readonly type: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** One for each set of labels; what is not known has none. */
  readonly samples: (reading: Reading) => readonly Sample[];
}

type Figure = number | null | undefined;

/** All metrics, in the order of a scrape. */
export const METRICS: readonly Metric[] = [
  {
    type: "gauge",
    name: "iptun_build_info",
    help: "The version that runs; always 1.",
    labels: ["interface", "version", "node_version"],
    samples: ({ status }) => [
      [{ ...device(status), version: status.version, node_version: process.version }, 1],
    ],
  },
  one("gauge", "iptun_interface_up", "Whether the tunnel device's link is up: 1 or 0.", (r) =>
    Number(r.status.interface.isLinkUp),
  ),
  one("gauge", "iptun_interface_mtu_bytes", "MTU of the tunnel device.", (r) => {
    return r.status.interface.mtu;
  }),
  one(
    "gauge",
    "iptun_sessions",
    "Sessions with all peers, those that are being replaced too.",
    (r) => {
      return r.status.sessions;
    },
  ),
  {
    type: "gauge",
    name: "iptun_peer_info",
    help: "A peer: its kind, and the address its datagrams go to (empty: not known); always 1.",
    labels: ["interface", "peer", "kind", "endpoint"],
    samples: ({ status }) =>
      status.peers.map(({ name, kind, endpoint }) => [
        { ...device(status), peer: name, kind, endpoint: endpoint ?? "" },
        1,
      ]),
  },
  peer("gauge", "up", "Whether a confirmed session is there: 1 or 0. Not of a group.", (one) =>
    one.kind === "group" ? null : Number(one.state === "up"),
  ),
  traffic("receive_bytes", "Bytes of packets received from the peer.", "inboundBytes"),
  traffic("transmit_bytes", "Bytes of packets sent to the peer.", "outboundBytes"),
  traffic("receive_packets", "Packets received from the peer.", "inboundPackets"),
  traffic("transmit_packets", "Packets sent to the peer.", "outboundPackets"),
  peer(
    "gauge",
    "last_handshake_seconds",
    "When the last handshake with the peer was confirmed, in seconds since 1970.",
    ({ handshakeAgeSeconds }, now) => ago(now, handshakeAgeSeconds),
  ),
  peer(
    "gauge",
    "last_receive_seconds",
    "When the last authenticated datagram of the peer came, in seconds since 1970.",
    ({ silentSeconds }, now) => ago(now, silentSeconds),
  ),
  traffic("handshakes_started", "Handshakes started with the peer.", "handshakesStarted"),
  traffic("handshakes_answered", "Handshakes of the peer answered.", "handshakesAnswered"),
  traffic("sessions", "Sessions confirmed with the peer.", "sessions"),
  traffic("keepalives_sent", "Keepalives sent to the peer.", "keepalivesSent"),
  traffic("keepalives_received", "Keepalives received from the peer.", "keepalivesReceived"),
  traffic("endpoint_moves", "Changes of the address that the peer is reached at.", "endpointMoves"),
  traffic(
    "reordered_datagrams",
    "Datagrams of the peer that came after a later one.",
    "reorderedDatagrams",
  ),
  peer(
    "counter",
    "refused_claims_total",
    "Packets of a node refused because another node of its group holds their source.",
    ({ refusedClaims }) => refusedClaims,
  ),
  peer("gauge", "round_trip_seconds", "Smoothed round-trip time of the path.", ({ quality }) =>
    seconds(quality.roundTripMs),
  ),
  peer("gauge", "round_trip_min_seconds", "Least of the last 64 round-trip times.", ({ quality }) =>
    seconds(quality.minRoundTripMs),
  ),
  peer(
    "gauge",
    "round_trip_p95_seconds",
    "What 95 % of the last 64 round-trip times are not above.",
    ({ quality }) => seconds(quality.p95RoundTripMs),
  ),
  peer("gauge", "jitter_seconds", "Mean difference of one round-trip time from the next.", (one) =>
    seconds(one.quality.jitterMs),
  ),
  {
    type: "gauge",
    name: "iptun_peer_loss_ratio",
    help: "Share of the datagrams that was lost, of the last 64 s in which packets flowed.",
    labels: ["interface", "peer", "direction"],
    samples: ({ status }) =>
      status.peers.flatMap(({ name, quality }) => [
        ...known({ ...device(status), peer: name, direction: "inbound" }, quality.inboundLoss),
        ...known({ ...device(status), peer: name, direction: "outbound" }, quality.outboundLoss),
      ]),
  },
  peer("gauge", "mtu_bytes", "Largest packet for the peer.", ({ mtu }) => mtu),
  peer("gauge", "path_mtu_bytes", "Outer packet that the peer's path is known to carry.", (one) => {
    return one.pathMtu;
  }),
  peer("gauge", "waiting_packets", "Packets that wait for a session with the peer.", (one) => {
    return one.waitingPackets;
  }),
  peer(
    "gauge",
    "rate_bytes_per_second",
    "The rate set for the peer, outer headers included.",
    (one) => (one.pacing === null ? null : one.pacing.bitsPerSecond / 8),
  ),
  peer("gauge", "rate_queue_packets", "Packets that wait for the peer's rate.", ({ pacing }) => {
    return pacing?.packets;
  }),
  peer("gauge", "rate_queue_bytes", "Bytes that wait for the peer's rate.", ({ pacing }) => {
    return pacing?.bytes;
  }),
  peer(
    "counter",
    "rate_queue_dropped_total",
    "Packets dropped because they waited too long for the peer's rate.",
    ({ pacing }) => pacing?.dropped,
  ),
  peer(
    "counter",
    "rate_queue_marked_total",
    "Packets marked for congestion in place of a drop.",
    ({ pacing }) => pacing?.marked,
  ),
  {
    type: "counter",
    name: "iptun_dropped_packets_total",
    help: "Datagrams and packets dropped, by reason; `iptun status` says each in words.",
    labels: ["interface", "reason"],
    samples: ({ status }) =>
      Object.keys(DROP_REASONS).flatMap((reason) =>
        known({ ...device(status), reason }, (status.drops as Record<string, number>)[reason]),
      ),
  },
  {
    type: "counter",
    name: "iptun_kernel_errors_total",
    help: "Errors of the UDP socket, by errno.",
    labels: ["interface", "errno"],
    samples: ({ status }) =>
      Object.entries(status.engine.udpErrors).map(([errno, count]) => [
        { ...device(status), errno },
        count,
      ]),
  },
  one(
    "counter",
    "iptun_handshake_computations_total",
    "Diffie-Hellman computations made on behalf of received messages.",
    ({ status }) => status.handshakeComputations,
  ),
  one("gauge", "iptun_limited_sources", "Sources that fail many checks, at most 16.", (r) => {
    return r.status.sources.length;
  }),
  engine("turns", "Turns of the engine's loop.", ({ turns }) => turns),
  engine("timer_turns", "Turns that a timer started.", ({ timerTurns }) => timerTurns),
  engine(
    "timer_lateness_seconds",
    "How late those turns were, all together; a suspend of the host counts.",
    ({ timerLatenessMs }) => timerLatenessMs / SECOND_MS,
  ),
  engine("receive_datagrams", "Datagrams received.", ({ datagramsReceived }) => datagramsReceived),
  engine(
    "unread_datagrams",
    "Datagrams that the kernel dropped unread: no room, or junk in a flood.",
    ({ datagramsUnread }) => datagramsUnread,
  ),
  engine("shields", "Floods of junk that the kernel was told to drop.", (e) => e.shieldsRaised),
  engine("transmit_datagrams", "Datagrams sent.", ({ datagramsSent }) => datagramsSent),
  engine("read_packets", "Packets read from the device.", ({ packetsRead }) => packetsRead),
  engine(
    "written_packets",
    "Packets written to the device.",
    ({ packetsWritten }) => packetsWritten,
  ),
  engine(
    "gso_fallbacks",
    "Runs of datagrams that the kernel did not take in one piece.",
    ({ gsoFallbacks }) => gsoFallbacks,
  ),
  one(
    "counter",
    "iptun_engine_active_seconds_total",
    "Time in which the engine's thread worked.",
    ({ engineLoop }) => engineLoop.activeMs / SECOND_MS,
  ),
  one(
    "counter",
    "iptun_engine_idle_seconds_total",
    "Time in which the engine's thread waited for something to do.",
    ({ engineLoop }) => engineLoop.idleMs / SECOND_MS,
  ),
  one(
    "gauge",
    "iptun_control_delay_mean_seconds",
    "How late the control side's event loop was since the last scrape, on average.",
    ({ controlDelay }) => controlDelay.meanMs / SECOND_MS,
  ),
  one(
    "gauge",
    "iptun_control_delay_max_seconds",
    "How late the control side's event loop was since the last scrape, at most.",
    ({ controlDelay }) => controlDelay.maxMs / SECOND_MS,
  ),
  bare("counter", "process_cpu_seconds_total", "CPU time of the process, all its threads.", (r) => {
    return r.cpuSeconds;
  }),
  bare("gauge", "process_resident_memory_bytes", "Resident memory of the process.", (r) => {
    return r.status.residentBytes;
  }),
  bare(
    "gauge",
    "process_start_time_seconds",
    "When the process began, in seconds since 1970.",
    (r) => {
      return r.startedSeconds;
    },
  ),
];

/** A metric that the process has once, whichever interface. */
function bare(
  type: Metric["type"],
  name: string,
  help: string,
  value: (reading: Reading) => number,
): Metric {
  return { type, name, help, labels: [], samples: (reading) => [[{}, value(reading)]] };
}

function one(
  type: Metric["type"],
  name: string,
  help: string,
  value: (reading: Reading) => number,
): Metric {
  const samples = (reading: Reading): Sample[] => [[device(reading.status), value(reading)]];
  return { type, name, help, labels: ["interface"], samples };
}

function engine(
  name: string,
  help: string,
  value: (counters: StatusDocument["engine"]) => number,
): Metric {
  return one("counter", `iptun_engine_${name}_total`, help, ({ status }) => value(status.engine));
}

function peer(
  type: Metric["type"],
  name: string,
  help: string,
  value: (peer: PeerStatus, nowSeconds: number) => Figure,
): Metric {
  return {
    type,
    name: `iptun_peer_${name}`,
    help,
    labels: ["interface", "peer"],
    samples: ({ status, nowSeconds }) =>
      status.peers.flatMap((one) =>
        known({ ...device(status), peer: one.name }, value(one, nowSeconds)),
      ),
  };
}

function traffic(name: string, help: string, counter: keyof PeerStatus["counters"]): Metric {
  return peer("counter", `${name}_total`, help, ({ counters }) => counters[counter]);
}

function device({ interface: { name } }: StatusDocument): Labels {
  return { interface: name };
}

function known(labels: Labels, value: Figure): readonly Sample[] {
  return value === null || value === undefined ? [] : [[labels, value]];
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / SECOND_MS;
}

/** Whole seconds: an age that is rounded would make the instant tremble. */
function ago(nowSeconds: number, ageSeconds: number | null): number | null {
  return ageSeconds === null ? null : Math.round(nowSeconds - ageSeconds);
}
