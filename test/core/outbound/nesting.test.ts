/** What among the packets from the device is taken for a tunnel's datagram (rule 16). */
import { describe, expect, it } from "vitest";
import { startAttempt } from "../../../src/core/handshake/initiate.ts";
import { Nesting } from "../../../src/core/outbound/nesting.ts";
import type { Peer } from "../../../src/core/peers/peer.ts";
import type { State } from "../../../src/core/state.ts";
import { DATA, INIT, MESSAGE_TYPE, RESP, viewOf } from "../../../src/core/wire.ts";
import { buildPacket, optionsExtension, type PacketSpec } from "../../helpers/packet-builder.ts";
import { addConfirmed, addPeer, id16, newCore, START, takeSent, udp } from "../core-fixtures.ts";

const DATA_BYTES = [4, 1, 0, 0] as const;
const V6 = { source: "fd00::1", destination: "fd00::2" } as const;
const FRAGMENT = { protocol: 44, body: Uint8Array.of(0, 1, 0, 0, 0, 9) };
/** Bytes before the packet in the arena, which begin as DATA does. */
const BEFORE = 64;
/** The kernel's own hop limit: the packet is none of a tunnel. */
const ORDINARY = 0;

describe("a packet from the device", () => {
  it("is a tunnel's where it holds DATA over UDP, whole or in its first fragment", () => {
    for (const spec of [{}, V6, { ...V6, extensions: [FRAGMENT] }]) {
      expect(hopsOf({ ...spec, hopLimit: 60 })).toBe(44);
    }
  });

  it.each<[string, Partial<PacketSpec>]>([
    ["is TCP", { protocol: "tcp", payload: message(DATA_BYTES) }],
    ["is TCP whose acknowledgment reads as DATA", { protocol: "tcp", acknowledgment: 0x04010000 }],
    [
      "is a first fragment of such TCP",
      { ...V6, protocol: "tcp", acknowledgment: 0x04010000, extensions: [FRAGMENT] },
    ],
    ["has destination options before UDP", { ...V6, extensions: [optionsExtension(60)] }],
    [
      "is a first fragment with options, where UDP's ports read as DATA",
      {
        ...V6,
        extensions: [FRAGMENT, optionsExtension(60)],
        sourcePort: 0x0401,
        destinationPort: 0,
      },
    ],
    ["is of another version", { payload: message([4, 2, 0, 0]) }],
    ["is no DATA", { payload: message([5, 1, 0, 0]) }],
    ["is another tunnel's RESP", { payload: message([2, 1, 0, 0], 108) }],
  ])("is ordinary where it %s", (_, spec) => {
    expect(hopsOf(spec)).toBe(ORDINARY);
  });

  it.each([
    [255, 239],
    [17, 1],
    [16, "ring"],
    [1, "ring"],
  ])(
    "of another tunnel loses 16 of its hops, and ends with none left: %i, %s",
    (hopLimit, left) => {
      expect(hopsOf({ hopLimit })).toBe(left);
      expect(hopsOf({ ...V6, hopLimit })).toBe(left);
    },
  );

  it.each([
    [31, ORDINARY],
    [32, 44],
    [33, 44],
  ])("with %i bytes of UDP payload is long enough for DATA, or not: %i", (length, hops) => {
    expect(hopsOf({ payload: message(DATA_BYTES, length), hopLimit: 60 })).toBe(hops);
  });

  it("is ordinary where it is a later fragment, whatever its bytes read as", () => {
    const later = buildPacket({ protocol: "udp", payload: message(DATA_BYTES) }).bytes;
    later[7] = 1;
    expect(hopsIn(later, 4)).toBe(ORDINARY);
  });

  it.each<[string, number, (state: State, peer: Peer) => Uint8Array]>([
    ["INIT", 120, ownInit],
    [
      "RESP",
      108,
      (state, peer) =>
        withIndex(MESSAGE_TYPE.RESP, RESP.senderIndex, addConfirmed(state, peer).localIndex),
    ],
    ["CHALLENGE", 64, ownChallenge],
    [
      "DATA",
      64,
      (state, peer) =>
        withIndex(MESSAGE_TYPE.DATA, DATA.receiverIndex, addConfirmed(state, peer).remoteIndex),
    ],
    ["DATA of the session before", 64, dataOfPrevious],
  ])("is a loop where it holds this tunnel's own %s for the same peer", (_, length, make) => {
    const state = newCore();
    const { peer } = addPeer(state);
    const other = addPeer(state, { name: "third" }).peer;
    const start = make(state, peer);
    const payload = message([...start], Math.max(length, start.length));
    expect(hopsOf({ payload }, state, peer)).toBe("loop");
    expect(hopsOf({ payload }, state, other)).not.toBe("loop");
    expect(hopsOf({ payload: changed(payload, 5) }, state, peer)).not.toBe("loop");
  });

  it("is a loop where it holds the tunnel's own DATA, by version and index", () => {
    const { state, peer } = newPair();
    const session = addConfirmed(state, peer);
    const own = message(DATA_BYTES);
    viewOf(own).setUint32(4, session.remoteIndex, true);
    expect(hopsOf({ payload: own }, state, peer)).toBe("loop");
    own[1] = 2;
    expect(hopsOf({ payload: own }, state, peer)).toBe(ORDINARY);
  });
});

function newPair(): { readonly state: State; readonly peer: Peer } {
  const state = newCore();
  return { state, peer: addPeer(state).peer };
}

/** What is found of a UDP packet with DATA in it, but for `spec`; the peer has no session unless given. */
function hopsOf(
  spec: Partial<PacketSpec>,
  state: State = newCore(),
  peer: Peer = addPeer(state).peer,
): number | string {
  const { bytes } = buildPacket({ protocol: "udp", payload: message(DATA_BYTES), ...spec });
  return hopsIn(bytes, spec.source === undefined ? 4 : 6, state, peer);
}

/** What is found of a packet that lies amid other bytes. */
function hopsIn(
  bytes: Uint8Array,
  family: 4 | 6,
  state: State = newCore(),
  peer: Peer = addPeer(state).peer,
): number | string {
  const arena = new Uint8Array(BEFORE + bytes.length + 64);
  arena.set(DATA_BYTES);
  arena.set(bytes, BEFORE);
  return new Nesting(state, arena).hopsFor(peer, family, BEFORE, bytes.length);
}

/** The INIT that an attempt sent. */
function ownInit(state: State, peer: Peer): Uint8Array {
  peer.endpoint = udp("198.51.100.1");
  startAttempt(state, peer, START);
  return takeSent(state)[0]?.bytes ?? new Uint8Array();
}

function ownChallenge(state: State, peer: Peer): Uint8Array {
  const [psk] = peer.psks;
  if (psk === undefined) throw new Error("the peer has no key");
  const init = new Uint8Array(INIT.SIZE);
  return state.cookies.challenge(init, 9, psk, id16(2), udp("198.51.100.1"), START);
}

function dataOfPrevious(state: State, peer: Peer): Uint8Array {
  const { remoteIndex } = addConfirmed(state, peer);
  addConfirmed(state, peer, { stamp: 2 });
  return withIndex(MESSAGE_TYPE.DATA, DATA.receiverIndex, remoteIndex);
}

/** The first bytes of a message that carries an index. */
function withIndex(type: number, offset: number, index: number): Uint8Array {
  const start = Uint8Array.of(type, 1, 0, 0, 0, 0, 0, 0);
  viewOf(start).setUint32(offset, index, true);
  return start;
}

function changed(bytes: Uint8Array, offset: number): Uint8Array {
  return bytes.map((byte, at) => (at === offset ? byte ^ 1 : byte));
}

function message(start: readonly number[], length = 64): Uint8Array {
  const bytes = new Uint8Array(length).fill(0x77);
  bytes.set(start);
  return bytes;
}
