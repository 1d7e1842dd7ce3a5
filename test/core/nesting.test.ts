/** What among the packets from the device is taken for a tunnel's datagram (rule 16). */
import { describe, expect, it } from "vitest";
import { Nesting } from "../../src/core/nesting.ts";
import type { Peer } from "../../src/core/peer.ts";
import type { State } from "../../src/core/state.ts";
import { viewOf } from "../../src/core/wire.ts";
import { buildPacket, optionsExtension, type PacketSpec } from "../helpers/packet-builder.ts";
import { addConfirmed, addPeer, newCore } from "./core-fixtures.ts";

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
  const arena = new Uint8Array(BEFORE + bytes.length);
  arena.set(DATA_BYTES);
  arena.set(bytes, BEFORE);
  const family = spec.source === undefined ? 4 : 6;
  return new Nesting(state, arena).hopsFor(peer, family, BEFORE, bytes.length);
}

function message(start: readonly number[], length = 64): Uint8Array {
  const bytes = new Uint8Array(length).fill(0x77);
  bytes.set(start);
  return bytes;
}
