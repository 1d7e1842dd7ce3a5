/** Which addresses packets were refused for, as a snapshot tells it. */
import { describe, expect, it } from "vitest";
import { RefusedAddress } from "../../../src/core/inbound/refused-address.ts";
import { formatAddress } from "../../../src/core/prefix.ts";
import { udpPacket } from "../../helpers/packets.ts";
import { INNER, newPair } from "../../sim/pair.ts";

describe("refused packets", () => {
  it("are counted, and the last address stays, of whichever family", () => {
    const refused = new RefusedAddress();
    expect(refused.snapshot()).toBeUndefined();
    refused.note("inner_source", 6, new Uint8Array(20).fill(7), 4);
    refused.note("inner_martian", 4, Uint8Array.of(0, 10, 1, 2, 3), 1);

    expect(refused.snapshot()).toEqual({
      address: Uint8Array.of(10, 1, 2, 3),
      reason: "inner_martian",
      packets: 2,
    });
  });

  it("are told by the snapshot: a source that is not the peer's, a destination that is nobody's", () => {
    const { world, left, right } = newPair();
    left.send(udpPacket("192.168.9.7", INNER.right, Uint8Array.of(1)));
    left.send(udpPacket(INNER.left, "10.99.0.1", Uint8Array.of(1)));
    left.send(udpPacket(INNER.left6, "ff02::1", Uint8Array.of(1)));
    world.advance(1_000);

    const source = right.snapshot().peers[0]?.refusedSource;
    expect(source).toMatchObject({ reason: "inner_source", packets: 1 });
    expect(formatAddress(source?.address ?? new Uint8Array(4))).toBe("192.168.9.7");
    const { refusedDestination: destination, peers } = left.snapshot();
    expect(destination).toMatchObject({ reason: "no_peer", packets: 1 });
    expect(formatAddress(destination?.address ?? new Uint8Array(4))).toBe("10.99.0.1");
    expect(peers[0]?.refusedSource).toBeUndefined();
  });

  it("are beside the tries of an attempt that nobody answers", () => {
    const { world, left, right } = newPair();
    right.stop();
    left.send(udpPacket(INNER.left, INNER.right, Uint8Array.of(1)));
    world.advance(20_000);

    const { attempt, counters } = left.snapshot().peers[0] ?? {};
    expect(attempt?.ageMs).toBeCloseTo(20_000, -2);
    expect(attempt?.tries).toBe(counters?.handshakesStarted);
    expect(attempt?.tries).toBeGreaterThan(5);
  });
});
