/**
 * Names into addresses: back-off, refresh, and that nothing that worked is lost.
 */
import { describe, expect, it } from "vitest";
import type { PlainEndpoint } from "../../../src/core/options.ts";
import { formatEndpoint } from "../../../src/core/prefix.ts";
import {
  FIRST_RETRY_MS,
  literalEndpoint,
  MAX_ADDRESSES,
  REFRESH_MS,
  Resolver,
  SHORTEST_REFRESH_MS,
} from "../../../src/daemon/names/resolver.ts";
import { ManualTimers, settle } from "../timers.ts";

const PEER = { name: "b", endpoints: [{ host: "vpn.example.org", port: 1194 }] };

describe("a host", () => {
  const zones = (zone: string) => (zone === "eth0" ? 3 : 0);

  it.each([
    ["192.0.2.1", "192.0.2.1:1194"],
    ["2001:db8::1", "[2001:db8::1]:1194"],
    ["fe80::1%eth0", "[fe80::1%3]:1194"],
  ])("%s is an address already", (host, expected) => {
    const endpoint = literalEndpoint({ host, port: 1194 }, zones);

    expect(endpoint && formatEndpoint(endpoint)).toBe(expected);
  });

  it.each(["vpn.example.org", "192.0.2", "1.2.3.4.5"])("%s is a name", (host) => {
    expect(literalEndpoint({ host, port: 1194 }, zones)).toBeUndefined();
  });
});

describe("H7 resolving", () => {
  it("hands over all addresses in the order of the answer", async () => {
    const { resolver, resolved } = setUp([["192.0.2.2", "2001:db8::2"]]);

    resolver.add(PEER);
    await settle();

    expect(resolved).toEqual(["b 192.0.2.2:1194 [2001:db8::2]:1194"]);
  });

  it("never asks for an address", async () => {
    const { resolver, asked } = setUp([]);

    resolver.add({ name: "b", endpoints: [{ host: "192.0.2.2", port: 1194 }] });
    resolver.refresh("b");
    await settle();

    expect(asked).toEqual([]);
  });

  it("tells when peers have had an address, those with one in the configuration at once", async () => {
    const { resolver, timers } = setUp([new Error("EAI_AGAIN"), ["192.0.2.2"]]);
    let isAnswered = false;
    resolver.add(PEER);
    resolver.add({ name: "c", endpoints: [{ host: "192.0.2.3", port: 1194 }] });
    await resolver.answered(["c", "nobody"]);
    const answered = resolver.answered(["b", "c"]).then(() => {
      isAnswered = true;
    });

    await settle();
    const early = isAnswered;
    await timers.fire(FIRST_RETRY_MS);
    await answered;

    expect([early, isAnswered]).toEqual([false, true]);
  });

  it("lets go who waits for an answer when it is closed", async () => {
    const { resolver } = setUp([new Error("EAI_AGAIN")]);
    resolver.add(PEER);
    const answered = resolver.answered(["b"]);

    resolver.close();

    await expect(answered).resolves.toBeUndefined();
  });

  it("keeps at most 16 addresses of an answer", async () => {
    const many = Array.from({ length: 500 }, (_, index) => `192.0.${index >> 8}.${index & 255}`);
    const { resolver, resolved } = setUp([many]);

    resolver.add(PEER);
    await settle();

    expect(resolved[0]?.split(" ")).toHaveLength(1 + MAX_ADDRESSES);
  });

  it("takes another order of the same addresses for no news", async () => {
    const rig = setUp([["192.0.2.2", "192.0.2.3"], ["192.0.2.3", "192.0.2.2"], ["192.0.2.4"]]);
    rig.resolver.add(PEER);
    await settle();

    await rig.refreshLater();
    await rig.refreshLater();

    expect(rig.asked).toHaveLength(3);
    expect(rig.resolved).toEqual(["b 192.0.2.2:1194 192.0.2.3:1194", "b 192.0.2.4:1194"]);
  });
});

describe("H7 a peer with several endpoints", () => {
  const several = {
    name: "b",
    endpoints: [
      { host: "one.example.org", port: 1 },
      { host: "192.0.2.9", port: 2 },
      { host: "two.example.org", port: 3 },
    ],
  };

  it("has the addresses of all that are known, in order of preference", async () => {
    const { resolver, resolved } = setUp([["192.0.2.1"], ["192.0.2.3"]]);
    resolver.add(several);
    await settle();

    expect(resolved.at(-1)).toBe("b 192.0.2.1:1 192.0.2.9:2 192.0.2.3:3");
  });

  it("keeps what worked of each where an answer fails or is empty", async () => {
    const rig = setUp([
      ["192.0.2.1"],
      ["192.0.2.3"],
      new Error("no"),
      ["192.0.2.4"],
      ["192.0.2.5"],
    ]);
    rig.resolver.add(several);
    await settle();

    await rig.refreshLater();

    expect(rig.resolved.at(-1)).toBe("b 192.0.2.1:1 192.0.2.9:2 192.0.2.4:3");
  });

  it("takes the families of one name in turns, the first answer's first", async () => {
    const answer = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"];
    const { resolver, resolved } = setUp([answer]);
    resolver.add(PEER);
    await settle();

    expect(resolved).toEqual([
      "b [2001:db8::1]:1194 192.0.2.1:1194 [2001:db8::2]:1194 192.0.2.2:1194 [2001:db8::3]:1194",
    ]);
  });
});

it("a name is asked for again every five minutes", async () => {
  const { resolver, timers, asked, resolved } = setUp([["192.0.2.2"], ["192.0.2.3"]]);
  resolver.add(PEER);
  await settle();

  await timers.fire(REFRESH_MS);

  expect(asked).toHaveLength(2);
  expect(resolved).toEqual(["b 192.0.2.2:1194", "b 192.0.2.3:1194"]);
  expect(timers.delays()).toEqual([REFRESH_MS]);
});

describe("H7 a name that does not resolve", () => {
  it("is tried again after 1 s, doubling to 60 s, for ever, and each failure is told", async () => {
    const { resolver, timers, failed } = setUp(new Array<Error>(9).fill(new Error("EAI_AGAIN")));
    resolver.add(PEER);
    await settle();

    const delays = [];
    for (let failure = 0; failure < 8; failure += 1) {
      const [delay = 0] = timers.delays();
      delays.push(delay);
      await timers.fire(delay);
    }

    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1_000));
    expect(failed).toHaveLength(9);
    expect(failed[0]).toBe("b vpn.example.org EAI_AGAIN 1000");
  });

  it("starts at 1 s again after an answer", async () => {
    const rig = setUp([new Error("no"), new Error("no"), ["192.0.2.2"], new Error("no")]);
    rig.resolver.add(PEER);
    await settle();
    await rig.timers.fire(1_000);
    await rig.timers.fire(2_000);

    await rig.refreshLater();

    expect(rig.resolved).toEqual(["b 192.0.2.2:1194"]);
    expect(rig.timers.delays()).toEqual([1_000]);
  });

  it.each([
    ["fails", new Error("EAI_AGAIN")],
    ["is empty", []],
    ["holds no address", ["junk"]],
  ])("after it did keeps its addresses when the answer %s", async (_name, answer) => {
    const rig = setUp([["192.0.2.2"], answer]);
    rig.resolver.add(PEER);
    await settle();

    await rig.refreshLater();

    expect(rig.asked).toHaveLength(2);
    expect(rig.resolved).toEqual(["b 192.0.2.2:1194"]);
    expect(rig.failed).toHaveLength(1);
  });
});

describe("H7 a refresh", () => {
  it("asks no sooner than 5 s after the last answer", async () => {
    const { resolver, timers, asked } = setUp([["192.0.2.2"], ["192.0.2.2"]]);
    resolver.add(PEER);
    await settle();

    timers.nowMs += SHORTEST_REFRESH_MS - 1;
    resolver.refresh("b");
    const early = asked.length;
    timers.nowMs += 1;
    resolver.refresh("b");

    expect([early, asked.length]).toEqual([1, 2]);
  });

  it("does not ask while a look-up is under way or a retry waits", async () => {
    const { resolver, asked } = setUp([new Error("no")]);
    resolver.add(PEER);
    resolver.refresh("b");
    const during = asked.length;
    await settle();

    resolver.refresh("b");

    expect([during, asked.length]).toEqual([1, 1]);
  });

  it("of a peer without a name does nothing", () => {
    const { resolver, asked } = setUp([]);

    resolver.refresh("nobody");

    expect(asked).toEqual([]);
  });
});

describe("closing", () => {
  it("ends retries", async () => {
    const { resolver, timers } = setUp([new Error("no")]);
    resolver.add(PEER);
    await settle();

    resolver.close();

    expect(timers.delays()).toEqual([]);
  });

  it("ignores look-ups under way", async () => {
    const { resolver, resolved, timers } = setUp([["192.0.2.2"]]);
    resolver.add(PEER);

    resolver.close();
    await settle();

    expect([resolved, timers.delays()]).toEqual([[], []]);
  });

  it("asks for no names afterwards, and lets go at once who waits for one", async () => {
    const { resolver, asked } = setUp([["192.0.2.2"]]);
    resolver.close();

    let isLetGo = false;
    resolver.add(PEER);
    void resolver.answered(["b"]).then(() => {
      isLetGo = true;
    });
    await settle();

    expect([isLetGo, asked]).toEqual([true, []]);
  });
});

/** A resolver whose look-ups give the answers in order; an Error is a failure. */
function setUp(answers: readonly (readonly string[] | Error)[]) {
  const queue = [...answers];
  const timers = new ManualTimers();
  const asked: string[] = [];
  const resolved: string[] = [];
  const failed: string[] = [];
  const resolver = new Resolver({
    lookup: async (host) => {
      asked.push(host);
      const answer = queue.shift() ?? new Error("no answer was prepared");
      if (answer instanceof Error) throw answer;
      return answer;
    },
    zoneIndex: () => 0,
    startTimer: timers.start,
    nowMs: () => timers.nowMs,
    resolved: (peer: string, endpoints: readonly PlainEndpoint[]) => {
      resolved.push([peer, ...endpoints.map(formatEndpoint)].join(" "));
    },
    failed: (peer, host, reason, retryMs) => failed.push(`${peer} ${host} ${reason} ${retryMs}`),
  });
  const refreshLater = async () => {
    timers.nowMs += SHORTEST_REFRESH_MS;
    resolver.refresh("b");
    await settle();
  };
  return { resolver, timers, asked, resolved, failed, refreshLater };
}

describe("a peer that is removed", () => {
  it("is asked for no more, and an answer that was under way is not told", async () => {
    const { resolver, resolved, timers } = setUp([["192.0.2.2"]]);
    resolver.add(PEER);
    resolver.remove("b");
    await settle();
    expect([resolved, timers.delays()]).toEqual([[], []]);
    await resolver.answered(["b"]);
    resolver.remove("nobody");
  });

  it("may come again with another name", async () => {
    const { resolver, resolved, timers } = setUp([["192.0.2.2"], ["192.0.2.3"]]);
    resolver.add(PEER);
    await settle();
    resolver.remove("b");
    expect(timers.delays()).toEqual([]);
    resolver.add({ name: "b", endpoints: [{ host: "other.example", port: 7 }] });
    await settle();
    expect(resolved).toEqual(["b 192.0.2.2:1194", "b 192.0.2.3:7"]);
  });
});
