/**
 * Every drop reason, provoked: the counters go through the real status document to the doctor's sentence.
 *
 * The table is typed by the reasons, so one without a cause does not compile. The two that the kernel decides,
 * udp_send and tun_write, are provoked with real packets in test/netns/doctor-tunnel.test.ts.
 */
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/core/address.ts";
import {
  DEFERRED_INITS,
  GROUP_NODES,
  HANDSHAKE_WORK_PER_TURN,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_MS,
} from "../../../src/core/constants.ts";
import { DROP_REASONS, type DropReason } from "../../../src/core/drop-reason.ts";
import type { PeerOptions, TunnelSnapshot } from "../../../src/core/options.ts";
import { MESSAGE, SEAL } from "../../../src/core/rows.ts";
import { sealAndQueue } from "../../../src/core/session/control.ts";
import { snapshotOf } from "../../../src/core/snapshot.ts";
import type { State } from "../../../src/core/state.ts";
import { after } from "../../../src/core/time.ts";
import { newResp } from "../../../src/core/wire.ts";
import { statusDocument } from "../../../src/daemon/control/status.ts";
import { DROP_ADVICE, dropFindings } from "../../../src/daemon/doctor/drop-advice.ts";
import {
  addConfirmed,
  addNode,
  addPeer,
  id16,
  newCore,
  rowFrom,
  START,
  udp,
} from "../../core/core-fixtures.ts";
import { type InitSpec, makeInit, NODE, proven, writeMac } from "../../core/init-fixtures.ts";
import { data, forged, Inbound } from "../../core/receive-fixtures.ts";
import { buildPacket } from "../../helpers/packet-builder.ts";
import { pingPacket, udpPacket } from "../../helpers/packets.ts";
import { TYPE } from "../../helpers/wire-view.ts";
import { receiveRun, sealed } from "../../sim/forged-runs.ts";
import { bringUp, innerOf, newGroup, say } from "../../sim/group.ts";
import { connect } from "../../sim/observe.ts";
import { INNER, LEFT, newClientPair, type Pair, type PairOptions } from "../../sim/pair.ts";
import { statusInput } from "../snapshot.ts";

const HOME = udp("198.51.100.1");
const AWAY = udp("203.0.113.5", 4_000);

type Core = ReturnType<typeof newPairCore>;

/** What has dropped something for each reason. */
const CAUSES: Readonly<
  Record<Exclude<DropReason, "udp_send" | "tun_write">, () => TunnelSnapshot>
> = {
  oversize: inCore(({ state, session, inbound }) => {
    inbound.receive([{ from: HOME, datagrams: [data(state, session, 0)], isTruncated: true }]);
  }),
  bad_length: onArrival(new Uint8Array(10)),
  bad_version: onArrival(Uint8Array.of(3, 2, ...new Uint8Array(62))),
  bad_type: onArrival(Uint8Array.of(5, 1, ...new Uint8Array(62))),
  bad_reserved: onArrival(Uint8Array.of(4, 1, 0, 1, ...new Uint8Array(60))),
  unknown_hint: inCore(({ psk, inbound }) => {
    const ring = { ...psk.ring, hint: psk.ring.hint ^ 1 };
    arrive(inbound, makeInit({ ...psk, ring }).bytes);
  }),
  bad_mac: inCore(({ psk, inbound }) => arrive(inbound, makeInit(psk).bytes.fill(0, 119))),
  replayed_init: inCore(({ state, psk, inbound }) => {
    const { bytes } = makeInit(psk, { nodeId: state.nodeId });
    arrive(inbound, bytes);
    arrive(inbound, bytes);
  }),
  source_limited: inCore(({ state, session, inbound }) => {
    const { rows, base } = rowFrom(AWAY);
    while (state.sources.charge(rows, base + MESSAGE.REMOTE, START));
    arrive(inbound, data(state, session, 1), AWAY);
  }),
  handshake_failed: inCore(({ psk, inbound }) => {
    const init = makeInit(psk).bytes.fill(0, 60, 64);
    writeMac(psk, init);
    arrive(inbound, init);
  }),
  challenged: inCore(({ psk, inbound }) => {
    arrive(inbound, makeInit(psk, { nodeId: id16(9) }).bytes);
  }),
  own_node: inCore(({ state, psk, inbound }) => {
    arrive(inbound, makeInit(psk, { nodeId: state.nodeId }).bytes);
  }),
  site_init: inCore(({ psk, inbound }) => arrive(inbound, makeInit(psk).bytes), { kind: "hub" }),
  group_full: inCore(
    ({ state, psk, inbound }) => {
      const node = addNode(state, psk, NODE);
      addConfirmed(state, node);
      const { nodes } = node.group;
      for (let place = nodes.size; place < GROUP_NODES; place += 1) nodes.set(`${place}`, node);
      arriveProven(state, psk, inbound, { nodeId: id16(9) });
    },
    { kind: "group" },
  ),
  old_stamp: inCore(({ psk, inbound }) => {
    psk.floors.confirm(NODE, 1);
    arrive(inbound, makeInit(psk, { stamp: 20 }).bytes);
    arrive(inbound, makeInit(psk, { stamp: 19 }).bytes);
  }),
  handshake_budget: inCore(({ state, psk, inbound }) => {
    state.handshakeWork = HANDSHAKE_WORK_PER_TURN;
    for (let sent = 0; sent <= DEFERRED_INITS; sent += 1) arrive(inbound, makeInit(psk).bytes);
  }),
  unexpected_response: onArrival(newResp(1, 2)),
  unknown_index: onArrival(Uint8Array.of(4, 1, ...new Uint8Array(40))),
  bad_counter: inCore(({ state, session, inbound }) => {
    arrive(inbound, data(state, session, 2 ** 48));
  }),
  expired_session: inCore(({ state, session, inbound }) => {
    const late = after(START, REJECT_AFTER_MS);
    inbound.receive([{ from: HOME, datagrams: [data(state, session, 0)] }], late);
  }),
  open_limited: inCore(({ state, session, inbound }) => {
    while (state.strangeOpens.take(START));
    arrive(inbound, data(state, session, 0), AWAY);
  }),
  replayed: inCore(({ state, session, inbound }) => {
    arrive(inbound, data(state, session, 0));
    arrive(inbound, data(state, session, 0));
  }),
  forged: inCore(({ state, session, inbound }) => {
    arrive(inbound, forged(data(state, session, 0)));
  }),
  bad_plaintext: ofPlaintext(Uint8Array.of(0x20, 1, 2)),
  bad_control: ofPlaintext(Uint8Array.of(1, 2, 3)),
  inner_malformed: ofPlaintext(
    udpPacket("10.7.0.1", "10.8.0.1", new Uint8Array(9)).subarray(0, 30),
  ),
  inner_checksum: ofPlaintext(withPartialMark(pingPacket("10.7.0.1", "10.8.0.1"))),
  inner_source: ofPlaintext(udpPacket("192.168.9.7", "10.8.0.1", new Uint8Array(9))),
  inner_martian: ofPlaintext(udpPacket("127.0.0.1", "10.8.0.1", new Uint8Array(9)), ["0.0.0.0/0"]),
  inner_taken: () => {
    const group = newGroup();
    bringUp(group);
    const [, second] = group.sites;
    if (second === undefined) throw new Error("no second site");
    say(second, innerOf(1));
    group.world.advance(300);
    return group.hub.snapshot();
  },
  inner_not_ect: inWorld(({ leftSite, right }) => {
    receiveRun(right, LEFT, sealed(leftSite, [packet()]), 3);
    return right;
  }),
  too_big: sent(udpPacket(INNER.left, INNER.right, new Uint8Array(1_421 - 28))),
  no_peer: sent(packet({ destination: "10.99.0.1" })),
  multicast: sent(packet({ destination: "224.0.0.251" })),
  outbound_malformed: sent(packet().subarray(0, 19)),
  loop: inWorld(({ world, left }) => {
    const own = world.eve.last("left", TYPE.DATA).bytes;
    left.send(udpPacket(INNER.left, INNER.right, own));
    return left;
  }),
  ring: sent(packet({ payload: Uint8Array.of(4, 1, ...new Uint8Array(40)), hopLimit: 1 })),
  no_endpoint: () => {
    const { world, right } = newClientPair();
    right.send(packet({ source: INNER.right, destination: INNER.left }));
    world.settle();
    return right.snapshot();
  },
  queue_full: unanswered(140, 100),
  queue_timeout: unanswered(1, 100_000),
  rate_queue: inWorld(
    ({ left }) => {
      const burst = Array.from({ length: 400 }, () => packet({ payload: new Uint8Array(1_300) }));
      left.send(...burst);
      return left;
    },
    { leftPeer: { rateBitsPerSecond: 64_000 } },
  ),
  counter_exhausted: inCore(({ state, session }) => {
    session.nextCounter = REJECT_AFTER_MESSAGES;
    sealAndQueue(state, session, new Uint8Array(0), HOME, START);
  }),
  no_room: inCore(({ state }) => {
    const datagrams = [1, 2, 3].map((index) => newResp(index, index));
    new Inbound(state, 2).receive(datagrams.map((one) => ({ from: HOME, datagrams: [one] })));
  }),
  key_table_full: () => {
    const state = newCore({}, 1);
    const { psk } = addPeer(state, { kind: "group" });
    arriveProven(state, psk, new Inbound(state), {});
    return snapshotOf(state, START);
  },
  seal_failed: inCore(({ state, session }) => {
    state.aead.seal = (_packets, _datagrams, rows) => {
      rows[SEAL.STATUS] = -22;
    };
    sealAndQueue(state, session, new Uint8Array(0), HOME, START);
  }),
};

describe("a drop", () => {
  it.each(Object.entries(CAUSES))("for %s has its sentence and its remedy", (reason, provoke) => {
    const findings = dropFindings(documentOf(provoke()).drops);

    const found = findings.find(({ id }) => id === `drop-${reason}`);
    const { level, cause, remedy } = DROP_ADVICE[reason as DropReason];
    expect(found).toEqual({
      section: "drops",
      level,
      id: `drop-${reason}`,
      text: expect.stringMatching(/^\d+ packets? dropped \([a-z_]+\): ./),
      remedy,
    });
    expect(found?.text).toContain(cause);
  });

  it("that did not happen has none", () => {
    expect(dropFindings(documentOf(snapshotOf(newCore(), START)).drops)).toEqual([]);
  });
});

describe("the advice", () => {
  it("has a sentence and a remedy of one line for every reason, and none for another", () => {
    expect(Object.keys(DROP_ADVICE)).toEqual(Object.keys(DROP_REASONS));
    for (const { cause, remedy } of Object.values(DROP_ADVICE)) {
      expect(cause).toMatch(/^[a-z][^\n]{20,}[^.\n]$/);
      expect(remedy).toMatch(/^[a-z][^\n]{10,}[^.\n]$/);
    }
  });
});

/** The document that a daemon with this snapshot would give, as it arrives. */
function documentOf(snapshot: TunnelSnapshot) {
  const document = statusDocument(statusInput(snapshot));
  return JSON.parse(JSON.stringify(document)) as typeof document;
}

/** A core with a session, at home. */
function newPairCore(options: Partial<PeerOptions> = {}, allowed = ["10.7.0.0/16"]) {
  const state = newCore();
  const { peer, psk } = addPeer(state, { allowed, ...options });
  const other = options.kind === undefined ? peer : addPeer(state, { name: "pair" }).peer;
  const session = addConfirmed(state, other);
  other.endpoint = HOME;
  return { state, psk, session, inbound: new Inbound(state) };
}

function inCore(cause: (core: Core) => void, options: Partial<PeerOptions> = {}) {
  return () => {
    const core = newPairCore(options);
    cause(core);
    return snapshotOf(core.state, START);
  };
}

function onArrival(datagram: Uint8Array) {
  return inCore(({ inbound }) => arrive(inbound, datagram));
}

/** The peer seals this. */
function ofPlaintext(plaintext: Uint8Array, allowed?: string[]) {
  return () => {
    const { state, session, inbound } = newPairCore({}, allowed);
    arrive(inbound, data(state, session, 0, plaintext));
    return snapshotOf(state, START);
  };
}

function arrive(inbound: Inbound, datagram: Uint8Array, from: Endpoint = HOME): void {
  inbound.receive([{ from, datagrams: [datagram] }]);
}

/** An INIT, and again with the cookie of its CHALLENGE. */
function arriveProven(state: State, psk: Core["psk"], inbound: Inbound, spec: InitSpec): void {
  const init = makeInit(psk, spec);
  arrive(inbound, init.bytes);
  arrive(inbound, proven(state, psk, init).bytes);
}

/** A pair that is connected; the snapshot of the host that `cause` names. */
function inWorld(cause: (pair: Pair) => Pair["left"], options: PairOptions = {}) {
  return () => {
    const pair = newClientPair(options);
    connect(pair);
    const host = cause(pair);
    pair.world.settle();
    return host.snapshot();
  };
}

/** The left side's programs send this. */
function sent(bytes: Uint8Array) {
  return inWorld(({ left }) => {
    left.send(bytes);
    return left;
  });
}

/** Packets for a peer that is not there, and the time they wait. */
function unanswered(packets: number, ms: number) {
  return () => {
    const { world, left, right } = newClientPair();
    right.stop();
    left.send(...Array.from({ length: packets }, () => packet()));
    world.advance(ms);
    return left.snapshot();
  };
}

/** A UDP packet from left to right unless told. */
function packet(changes: Parameters<typeof buildPacket>[0] = {}): Uint8Array {
  return buildPacket({
    protocol: "udp",
    source: INNER.left,
    destination: INNER.right,
    payload: new Uint8Array(20),
    ...changes,
  }).bytes;
}

function withPartialMark(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, at) => (at === 0 ? byte | 0x80 : byte));
}
