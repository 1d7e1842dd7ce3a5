/**
 * The harness itself, driven with a fake tunnel: clock, paths, order of a turn, and that faults show.
 */
import { describe, expect, it } from "vitest";
import type { SocketAddress } from "../helpers/address.ts";
import { seeds } from "../helpers/random.ts";
import { EVE } from "./eve.ts";
import { type FakeOptions, FakeTunnel } from "./fake-tunnel.ts";
import type { Host } from "./host.ts";
import { World } from "./world.ts";

const A: SocketAddress = { ip: "192.0.2.1", port: 1194 };
const B: SocketAddress = { ip: "198.51.100.1", port: 1194 };

describe("the clock", () => {
  it("jumps to deadlines and ends exactly where it was told to", () => {
    const { world, b } = twoHosts({ tickMs: 1_000 });

    world.advance(3_500);

    expect(world.now).toBe(3_500);
    expect(b.delivered.map(({ at }) => at)).toEqual([1_010, 2_010, 3_010]);
  });

  it("steps from instant to instant and says when nothing is left", () => {
    const { world, a, b } = twoHosts();
    a.send(bytes("x"));

    const steps = [world.step(), world.step()];

    expect(steps).toEqual([true, false]);
    expect(world.now).toBe(10);
    expect(b.delivered).toHaveLength(1);
  });

  it("measures how long a condition took, and fails loudly where it never comes", () => {
    const { world, a, b } = twoHosts();
    a.send(bytes("x"));

    expect(world.until("delivery", () => b.delivered.length === 1, 100)).toBe(10);
    expect(() => world.until("a second one", () => b.delivered.length === 2, 100)).toThrow(
      "a second one: not within 100 ms (seed 1)",
    );
  });

  it("gives each host a boot-time origin of its own", () => {
    const { a, b } = twoHosts();

    expect(a.now).not.toBe(b.now);
  });

  it("repeats actions until stopped", () => {
    const { world, a, b } = twoHosts();
    const stop = world.every(100, () => a.send(bytes("x")));
    world.in(250, stop);

    world.advance(1_000);

    expect(b.delivered.map(({ at }) => at)).toEqual([10, 110, 210]);
  });
});

describe("faults of the code under test", () => {
  it("a deadline that stays in the past fails and names the host and the reason", () => {
    const { world } = twoHosts({ tickMs: 5, fault: "stuck" });

    expect(() => world.advance(10)).toThrow(/stuck at one instant, busy: a \(tick\); seed 1/);
  });

  it("a deadline that creeps by nanoseconds fails too", () => {
    const { world } = twoHosts({ tickMs: 5, fault: "creeping" });
    world.eve.withhold = () => true;

    expect(() => world.advance(10)).toThrow("stuck at one instant");
  });

  it("a transmit queue that never empties fails", () => {
    const world = new World(1);
    world.eve.withhold = () => true;
    addFake(world, "a", A, { peer: B, fault: "endless" });

    expect(() => world.settle()).toThrow("a: pollTransmit never ends");
  });
});

describe("a host", () => {
  it("drives its tunnel in the order that the core prescribes", () => {
    const { world, a, fakeA } = twoHosts();
    world.settle();
    fakeA.calls.length = 0;
    a.send(bytes("x"));
    world.eve.inject(A, bytes("y"));

    world.settle();

    expect(fakeA.calls.map((call) => call.split(" ")[0])).toEqual([
      "setWallClock",
      "handleTimeout",
      "pollTransmit",
      "handleDatagrams",
      "pollTransmit",
      "handlePackets",
      "pollTransmit",
    ]);
  });

  it("takes more datagrams than a batch holds in several batches", () => {
    const { world, a, fakeA } = twoHosts();
    for (let index = 0; index < 300; index += 1) world.eve.inject(A, bytes("junk"));

    world.settle();

    expect(fakeA.calls.filter((call) => call.startsWith("handleDatagrams"))).toEqual([
      "handleDatagrams 128",
      "handleDatagrams 128",
      "handleDatagrams 44",
    ]);
    expect(a.delivered).toHaveLength(300);
  });

  it("marks a datagram longer than its slot as truncated", () => {
    const { world, a, fakeA } = twoHosts();
    world.eve.inject(A, new Uint8Array(9_000));

    world.settle();

    expect(fakeA.truncated).toBe(1);
    expect(a.delivered[0]?.bytes.length).toBe(fakeA.buffers.datagramStride);
  });

  it("loses what arrives while it is down, and keeps it while frozen", () => {
    const { world, a, b } = twoHosts();
    b.stop();
    a.send(bytes("lost"));
    world.advance(20);
    b.start();
    b.isFrozen = true;
    a.send(bytes("kept"));
    world.advance(20);
    expect(b.delivered).toHaveLength(0);

    b.isFrozen = false;
    world.advance(0);

    expect(b.delivered.map(text)).toEqual(["kept"]);
  });

  it("sends from another address where the one asked for is gone, and counts it", () => {
    const world = new World(1);
    const { host } = addFake(world, "a", A, { peer: B, from: "192.0.2.77" });
    host.send(bytes("x"));

    world.settle();

    expect(world.eve.seen.map(({ from }) => from)).toEqual([A]);
    expect(host.counts).toMatchObject({ sent: 1, relocated: 1, refused: 0 });
  });

  it("refuses what it has no address for, and tells the tunnel", () => {
    const world = new World(1);
    const { host } = addFake(world, "a", A, { peer: { ip: "2001:db8::1", port: 1 } });
    host.send(bytes("x"));

    world.settle();

    expect(host.counts).toMatchObject({ sent: 0, refused: 1 });
    expect(host.snapshot().drops.udp_send).toBe(1);
  });

  it("moves: the old address goes dead, the new one works, the tunnel is told", () => {
    const { world, a, b } = twoHosts();
    a.send(bytes("old"));
    b.move(["198.51.100.9"]);
    world.advance(20);
    world.eve.inject({ ip: "198.51.100.9", port: 1194 }, bytes("new"));
    world.advance(20);

    expect(b.delivered.map(text)).toEqual(["new"]);
    expect(b.events.map(({ event }) => event)).toEqual([{ kind: "lost", count: 1 }]);
  });

  it("has a wall clock that can be wrong", () => {
    const { world, a, fakeA } = twoHosts();
    a.wallOffsetMicros = -5;
    fakeA.calls.length = 0;

    world.settle();

    expect(fakeA.calls[0]).toBe(`setWallClock ${world.wallMicros - 5}`);
  });
});

describe("Eve", () => {
  it("records what hosts send, replays, spoofs, reflects, and is not recorded herself", () => {
    const { world, a, b } = twoHosts();
    a.send(bytes("x"));
    world.advance(20);
    const [first] = world.eve.seen;
    if (first === undefined) throw new Error("nothing recorded");

    world.eve.replay(first);
    world.eve.replay(first, EVE);
    world.eve.reflect(first);
    world.settle();

    expect(b.delivered.map(text)).toEqual(["x", "x", "x"]);
    expect(a.delivered.map(text)).toEqual(["x"]);
    expect(world.eve.seen).toHaveLength(1);
    expect(first).toMatchObject({ by: "a", from: A, to: B });
  });

  it("keeps copies: later use of the buffer does not change her records", () => {
    const { world, a } = twoHosts();
    a.send(bytes("first"));
    world.settle();
    a.send(bytes("other"));
    world.settle();

    expect(world.eve.seen.map(text)).toEqual(["first", "other"]);
  });

  it("withholds datagrams", () => {
    const { world, a, b } = twoHosts();
    world.eve.withhold = ({ by }) => by === "a";
    a.send(bytes("x"));
    b.send(bytes("y"));

    world.advance(20);

    expect([a.delivered.length, b.delivered.length]).toEqual([1, 0]);
  });
});

it.each(seeds(3))("seed %i gives the same run twice, fault for fault", (seed) => {
  expect(noisyRun(seed)).toEqual(noisyRun(seed));
});

it("different seeds give different runs", () => {
  expect(noisyRun(1)).not.toEqual(noisyRun(2));
});

it("the report has the seed and the lines with virtual time", () => {
  const { world, a } = twoHosts();
  a.send(bytes("x"));
  world.advance(20);

  expect(world.report()).toContain("seed 1 at 0.0200 s");
  expect(world.report()).toContain("0.0000  a 192.0.2.1:1194 -> 198.51.100.1:1194 junk 1");
});

function twoHosts(options: Omit<FakeOptions, "peer"> = {}): {
  world: World;
  a: Host;
  b: Host;
  fakeA: FakeTunnel;
} {
  const world = new World(1);
  const first = addFake(world, "a", A, { ...options, peer: B });
  const { host: b } = addFake(world, "b", B, { peer: A });
  return { world, a: first.host, b, fakeA: first.fake() };
}

function addFake(
  world: World,
  name: string,
  at: SocketAddress,
  options: FakeOptions,
): { host: Host; fake: () => FakeTunnel } {
  let fake: FakeTunnel | undefined;
  const host = world.host({
    name,
    addresses: [at.ip],
    port: at.port,
    boot: ({ now }) => {
      fake = new FakeTunnel(options, now);
      return fake;
    },
  });
  return {
    host,
    fake: () => {
      if (fake === undefined) throw new Error("not booted");
      return fake;
    },
  };
}

function noisyRun(seed: number): string[] {
  const world = new World(seed);
  world.network({ loss: 0.2, jitterMs: 30, duplicate: 0.1, burstStart: 0.02 });
  const a = addFake(world, "a", A, { peer: B }).host;
  const b = addFake(world, "b", B, { peer: A }).host;
  world.every(5, (index) => a.send(bytes(`${index}`)));
  world.advance(2_000);
  return b.delivered.map((delivery) => `${delivery.at} ${text(delivery)}`);
}

function bytes(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value));
}

function text(delivery: { readonly bytes: Uint8Array }): string {
  return Buffer.from(delivery.bytes).toString();
}
