/** What is sealed outside the packet path: the bytes of each frame, and when nothing leaves. */
import { describe, expect, it } from "vitest";
import {
  GROUP_ADDRESSES,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_MS,
} from "../../../src/core/constants.ts";
import type { PeerKind } from "../../../src/core/options.ts";
import { SEAL } from "../../../src/core/rows.ts";
import {
  sealAndQueue,
  sendClose,
  sendConfirmation,
  sendKeepalive,
  sendPathChallenge,
  sendProbe,
} from "../../../src/core/session/control.ts";
import { after } from "../../../src/core/time.ts";
import { DATA, readUint64, viewOf } from "../../../src/core/wire.ts";
import { innerBytes } from "../../helpers/address.ts";
import { addConfirmed, addPeer, newCore, START, takeSent, udp } from "../core-fixtures.ts";

const TO = udp("198.51.100.1");
const [V4, V6] = [innerBytes("10.7.0.1"), innerBytes("fd77::1")];

describe("a frame", () => {
  it("for keepalive is none, and counted", () => {
    const { state, session, peer } = newPair();
    sendKeepalive(state, session, TO, START);
    expect(takeSent(state)).toMatchObject([{ to: "198.51.100.1", plaintext: [] }]);
    expect([peer.counters.keepalivesSent, peer.timers.isSet("unanswered")]).toEqual([1, false]);
  });

  it("of a probe says its number and the datagram's size, and is to be answered", () => {
    const { state, session, peer } = newPair();
    for (const id of [0, 1]) {
      sendProbe(state, session, TO, START);
      const [sent] = takeSent(state);
      expect(sent?.plaintext).toEqual([4, id, 0, 41, 0, 0, 0, 0, 0]);
      expect(sent?.bytes).toHaveLength(41);
    }
    expect([peer.counters.keepalivesSent, peer.timers.isSet("unanswered")]).toEqual([2, true]);
  });

  it("that closes a session gives the reason 0", () => {
    const { state, session } = newPair();
    sendClose(state, session, TO, START);
    expect(takeSent(state).map(({ plaintext }) => plaintext)).toEqual([[3, 0]]);
  });

  it("of a path challenge carries its token, and is to be answered", () => {
    const { state, session, peer } = newPair();
    sendPathChallenge(state, session, Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1), TO, START);
    expect(takeSent(state).map(({ plaintext }) => plaintext)).toEqual([
      [1, 8, 7, 6, 5, 4, 3, 2, 1],
    ]);
    expect(peer.timers.isSet("unanswered")).toBe(true);
  });
});

describe("what confirms a session", () => {
  it.each<[string, PeerKind, readonly Uint8Array[], readonly number[]]>([
    ["a pair's peer, a keepalive", "pair", [V4], []],
    ["a hub where there is no inner address, a keepalive", "hub", [], []],
    ["a hub, the inner addresses", "hub", [V4, V6], [7, 4, ...V4, 16, ...V6]],
  ])("is for %s", (_, kind, innerAddresses, plaintext) => {
    const { state, session } = newPair(kind, innerAddresses);
    sendConfirmation(state, session, TO, START);
    expect(takeSent(state).map((sent) => sent.plaintext)).toEqual([plaintext]);
  });

  it("holds 64 addresses at most", () => {
    const many = Array.from({ length: GROUP_ADDRESSES + 1 }, () => V4);
    const { state, session } = newPair("hub", many);
    sendConfirmation(state, session, TO, START);
    expect(takeSent(state)[0]?.plaintext).toHaveLength(1 + 5 * GROUP_ADDRESSES);
  });
});

describe("nothing leaves", () => {
  it("on a session that is 180 s old, or has ended", () => {
    const { state, session, peer } = newPair();
    sendKeepalive(state, session, TO, after(START, REJECT_AFTER_MS));
    session.end(state.aead);
    sendProbe(state, session, TO, START);
    expect([takeSent(state), peer.counters.keepalivesSent, peer.sends]).toEqual([[], 0, 0]);
  });

  it("behind the last counter, which is counted as a drop", () => {
    const { state, session, peer } = newPair();
    session.nextCounter = REJECT_AFTER_MESSAGES - 1;
    sendKeepalive(state, session, TO, START);
    sendKeepalive(state, session, TO, START);
    const sent = takeSent(state);
    expect(sent.map(({ bytes }) => readUint64(viewOf(bytes), DATA.counter))).toEqual([
      REJECT_AFTER_MESSAGES - 1,
    ]);
    expect([state.drops.counter_exhausted, peer.counters.keepalivesSent]).toEqual([1, 1]);
  });

  it("that could not be sealed, and nothing was sent then", () => {
    const { state, session, peer } = newPair();
    state.aead.seal = (_packets, _datagrams, rows) => {
      rows[SEAL.STATUS] = -22;
    };
    expect(sealAndQueue(state, session, new Uint8Array(3), TO, START)).toBe(false);
    expect([takeSent(state), state.drops.seal_failed, peer.sends]).toEqual([[], 1, 0]);
  });
});

/** A session in use with a peer of a kind. */
function newPair(kind: PeerKind = "pair", innerAddresses: readonly Uint8Array[] = []) {
  const state = newCore({ innerAddresses });
  const { peer } = addPeer(state, { kind });
  return { state, peer, session: addConfirmed(state, peer) };
}
