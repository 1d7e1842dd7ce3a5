/**
 * The addon's UDP functions against a real kernel, in a namespace of their own.
 *
 * What each fact was made with stands in udp-scenarios.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "./isolated.ts";

let facts: Facts<typeof import("./udp-scenarios.ts")>;

/** Index of the loopback device, the first of every namespace. */
const LOOPBACK = 1;
const V6_A = "fd000000000000000000000000000001";
const V6_B = "fd000000000000000000000000000002";

beforeAll(async () => {
  facts = await runIsolated(new URL("./udp-scenarios.ts", import.meta.url));
}, 60_000);

describe("udpOpen", () => {
  it("binds all zeros as a dual-stack socket and a mapped address as IPv4", () => {
    expect(facts.dualStack.families).toEqual([6, 4, 6]);
  });

  it("makes both buffers of one size, at most twice what was asked for", () => {
    const [receiveBytes = 0, sendBytes = 0] = facts.dualStack.buffers;
    expect(receiveBytes).toBe(sendBytes);
    expect(receiveBytes).toBeGreaterThan(100_000);
    expect(receiveBytes).toBeLessThanOrEqual(2 * 7 * 1024 * 1024);
  });

  it.each([
    ["inUse", "EADDRINUSE"],
    ["inUseV4", "EADDRINUSE"],
    ["notOwn", "EADDRNOTAVAIL"],
    ["notOwnV6", "EADDRNOTAVAIL"],
    ["linkLocalWithoutDevice", "EINVAL"],
    ["noSuchDevice", "ENODEV"],
    ["deviceTooLong", "ENAMETOOLONG"],
    ["portTooLarge", "EINVAL"],
    ["negativePort", "EINVAL"],
    ["shortAddress", "EINVAL"],
    ["shortInfo", "EINVAL"],
  ] as const)("refuses %s with %s", (name, code) => {
    expect(facts.refusedOpens[name]).toBe(code);
  });

  it("takes a device to bind to and a firewall mark", () => {
    expect(facts.refusedOpens).toMatchObject({ bound: true, marked: true });
  });

  it("is bound to a device again, or says why not", () => {
    expect(facts.refusedOpens.rebound).toEqual({
      same: 0,
      gone: "ENODEV",
      tooLong: "ENAMETOOLONG",
      closed: "EBADF",
    });
  });

  it("takes another mark, or none", () => {
    expect(facts.refusedOpens.remarked).toEqual({ other: 0, none: 0, closed: "EBADF" });
  });
});

describe("udpReceive", () => {
  it("presents both families as 16 bytes with port, local address and device", () => {
    const [v4Port, v6Port] = facts.dualStack.ports;
    const common = { scope: 0, device: 1, tos: 0, segment: 0 };
    expect(facts.dualStack.received).toEqual([
      { ...common, length: 1, remote: "10.20.0.1", port: v4Port, local: "10.20.0.1" },
      { ...common, length: 2, remote: "10.20.0.2", port: v6Port, local: "10.20.0.1" },
      { ...common, length: 3, remote: V6_B, port: v6Port, local: V6_A },
    ]);
  });

  it("returns EAGAIN when nothing waits", () => {
    expect(facts.dualStack.after).toBe("EAGAIN");
    expect(facts.badCalls.empty).toBe("EAGAIN");
  });

  it("marks a datagram longer than its slot, and neither one that fits exactly nor an empty one", () => {
    expect(facts.truncation).toEqual({
      count: 3,
      status: [1, 0, 0],
      lengths: [100, 100, 0],
      offsets: [0, 100, 200],
      untouched: true,
    });
  });

  it("fills more rows than one system call takes, in order", () => {
    expect(facts.largeBatch).toEqual({ sent: 300, count: 300, isInOrder: true });
  });

  it("keeps the scope and the device of link-local addresses", () => {
    const { scope, ...seen } = facts.linkLocal;
    expect(scope).toBeGreaterThan(1);
    expect(seen).toEqual({
      status: ["0"],
      seenScope: scope,
      seenDevice: scope,
      remote: "fe80000000000000000000000000000a",
    });
  });

  it("refuses arrays that do not fit, and descriptors that are closed or no socket", () => {
    expect(facts.badCalls).toMatchObject({
      slotsPastArena: "EINVAL",
      rowsPastArray: "EINVAL",
      noStride: "EINVAL",
      noBudget: "EINVAL",
      negativeBudget: "EINVAL",
      noSocket: ["ENOTSOCK", "ENOTSOCK"],
      closed: ["EBADF", "EBADF"],
    });
  });
});

describe("udpReceive with a budget", () => {
  it("goes on while it lasts, in larger steps once the messages are small", () => {
    expect(facts.budgets.smallWithinBudget).toEqual({ seen: [300], isInOrder: true });
    expect(facts.budgets.smallInLargeSlots).toEqual({ seen: [100], isInOrder: true });
  });

  it("stops near it, leaves the rest to the next call and loses nothing", () => {
    const { seen, isInOrder } = facts.budgets.smallPastBudget;
    expect(isInOrder).toBe(true);
    expect(seen.reduce((sum, count) => sum + count)).toBe(300);
    expect(Math.max(...seen)).toBeLessThan(100 + 8);
    expect(Math.min(...seen.slice(0, -1))).toBeGreaterThanOrEqual(100);
  });

  it("takes large messages eight at a time", () => {
    expect(facts.budgets.large).toEqual({ seen: [16, 16, 8], isInOrder: true });
    expect(facts.budgets.largeAndLittleBudget.seen).toEqual([8, 8, 8, 8, 8]);
  });

  it("returns what there was when that is as many as it asked for", () => {
    expect(facts.budgets.exactlyFew).toEqual({ seen: [8], isInOrder: true });
  });
});

describe("udpOffload", () => {
  const run = [[2000, 800]];
  const datagrams = [
    [800, 0],
    [800, 0],
    [400, 0],
  ];

  it("finds both offloads, and switches joining on for both families", () => {
    expect(facts.offloads).toMatchObject({ known: 3, on: [run, run], v4: 3, onV4: run });
  });

  it("leaves a single datagram without a segment size", () => {
    expect(facts.offloads.single).toEqual([[900, 0]]);
  });

  it("switches joining off where it is not wanted", () => {
    expect(facts.offloads).toMatchObject({ onlyGso: 1, none: 0, off: [datagrams, datagrams] });
  });

  it("fails on what is no socket or closed", () => {
    expect(facts.offloads).toMatchObject({ noSocket: "ENOTSOCK", closed: "EBADF" });
  });
});

describe("udpSend", () => {
  it.each([
    ["mappedOnDualStack", "10.20.0.2"],
    ["otherMapped", "10.20.0.1"],
    ["v4", "10.20.0.2"],
    ["v6", V6_B],
    ["otherV6", V6_A],
  ] as const)("answers from the address that was addressed (%s)", (name, asked) => {
    expect(facts.replyAddress[name]).toEqual({
      local: asked,
      device: LOOPBACK,
      sent: 1,
      from: asked,
    });
  });

  it.each(["v4ToV4", "v4ToDual", "dualToV4", "v6ToDual"] as const)(
    "carries TOS with ECN as set in the row, and zero where none is (%s)",
    (pair) => {
      expect(facts.tos[pair]).toEqual([0xb9, 0, 3]);
    },
  );

  it("cuts a run into its segments, the last shorter, and sends a single one whole", () => {
    expect(facts.segments).toEqual({
      status: ["0", "0", "0", "0"],
      lengths: [1000, 1000, 500, 1000, 1000, 1000, 900],
    });
  });

  it("fails rows outside the arena or of two families alone, and sends the others", () => {
    const bad = Array.from({ length: 14 }, () => "EINVAL");
    expect(facts.badRows.status).toEqual(["0", ...bad, "0"]);
    expect(facts.badRows.sent).toBe(2);
    expect(facts.badRows.arrived).toBe(3);
  });

  it("fails an IPv6 address on an IPv4 socket, and goes on with the next row", () => {
    expect(facts.badRows.family).toEqual({ sent: 1, status: ["EAFNOSUPPORT", "0"] });
  });

  it("fails a local address that is not this host's", () => {
    expect(facts.badRows.notOurs).toEqual({ sent: 0, status: ["ENETUNREACH", "EINVAL"] });
  });

  it("gets out all the same through src/io/udp.ts, which leaves the local side to the kernel", () => {
    expect(facts.staleLocal).toEqual({ refused: 0, lengths: [1, 2, 3, 4, 5], errors: {} });
  });

  it("stops at a full send buffer and leaves EAGAIN in that row and all after it", () => {
    const { sent, status } = facts.fullBuffer;
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(20);
    expect(status).toEqual(status.map((_, row) => (row < sent ? "0" : "EAGAIN")));
  });

  it("refuses a count that the array does not hold", () => {
    expect(facts.badCalls).toMatchObject({ sendRows: "EINVAL", sendNegative: "EINVAL" });
  });
});
