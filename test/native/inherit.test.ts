/**
 * The addon's functions for descriptors that come from another process, against a real kernel.
 *
 * What each fact was made with stands in inherit-scenarios.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { DESCRIPTOR } from "../../src/io/native.ts";
import { type Facts, runIsolated } from "./isolated.ts";

let facts: Facts<typeof import("./inherit-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./inherit-scenarios.ts", import.meta.url));
}, 60_000);

describe("tunAdopt and udpAdopt", () => {
  it("take an open device and a bound socket as they are", () => {
    expect(facts.adopted).toMatchObject({ tun: 0, name: "adopt0", udp: 0, family: 4 });
    expect(facts.adopted).toMatchObject({ isSamePort: true, isBufferSet: true });
  });

  it("set mark and device as this process wants them, also to none", () => {
    expect(facts.readopted).toMatchObject({
      before: "mark 0x7, lo",
      same: [0, "mark 0x7, lo"],
      other: [0, "mark 0, any"],
      back: [0, "mark 0x9, lo"],
      // Whoever else has the socket is still reached at its port, which the kernel had chosen.
      ...{ refused: "ENODEV", isSamePort: true },
      ...{ isAny: true, family: 6 },
    });
    expect(facts.adopted.bound).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
  });

  it("refuse what is of another kind, closed, or has no room for the answer", () => {
    expect(facts.adopted).toMatchObject({
      tunAsUdp: "ENOTSOCK",
      udpAsTun: "ENOTTY",
      closed: "EBADF",
      shortName: "EINVAL",
      shortInfo: "EINVAL",
      shortAddress: "EINVAL",
    });
    expect(facts.deleted.closed).toBe("EBADF");
  });
});

describe("descriptorKind", () => {
  it("tells devices, sockets and listeners apart", () => {
    expect(facts.adopted.kinds).toEqual([DESCRIPTOR.TUN, DESCRIPTOR.UDP, DESCRIPTOR.OTHER]);
    expect(facts.kinds).toEqual({
      listener: DESCRIPTOR.UNIX_LISTENER,
      datagram: DESCRIPTOR.OTHER,
      standardInput: DESCRIPTOR.OTHER,
    });
  });
});

describe("notify", () => {
  it("carries a text, and descriptors as copies of the sender's", () => {
    expect(facts.datagrams).toMatchObject({ empty: "EAGAIN", sent: 0, plain: "READY=1" });
    expect(facts.datagrams).toMatchObject({ without: [-1, -1], withOne: "x", isCopy: true });
    expect(facts.datagrams.kind).toBe(DESCRIPTOR.UDP);
  });

  it("keeps nothing open of a datagram that is too long, or of more descriptors than asked for", () => {
    expect(facts.datagrams).toMatchObject({ tooLong: "EMSGSIZE", keptOfTooLong: [-1, -1] });
    expect(facts.datagrams.more).toBe(2);
  });

  it("does not wait for a receiver whose queue is full", () => {
    expect(facts.datagrams.isQueueBounded).toBe(true);
  });

  it("says what is wrong with an address or too many descriptors", () => {
    expect(facts.datagrams).toMatchObject({
      nobody: "ENOENT",
      tooMany: "EINVAL",
      noPath: "EINVAL",
      longPath: "EINVAL",
      taken: "EADDRINUSE",
    });
  });

  it("takes abstract names", () => {
    expect(facts.datagrams).toMatchObject({ abstract: true, toAbstract: 0 });
  });
});
