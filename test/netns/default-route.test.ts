/**
 * A default route through the tunnel: what goes where, what is left of it afterwards, and who may come in.
 *
 * One network for all tests, which build on each other: a start costs more than what is asked.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPackets, startCapture } from "../../scripts/netns/capture.ts";
import { Daemon } from "../../scripts/netns/daemon.ts";
import {
  clientDaemon,
  type DefaultRouteLab,
  hostState,
  INNER,
  makeDefaultRouteLab,
  moveServer,
  NEAR,
  SERVER,
  SITE,
} from "../../scripts/netns/default-route.ts";
import { type Host, type Lab, openLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { PORT } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";

const PINGS = 4;
const ALL = [PINGS, PINGS];
/** The tunnel's datagrams, and all else but what a wire of its own needs: neighbours, routers, multicast groups. */
const OUTER = `udp port ${PORT}`;
const OTHER = `not ${OUTER} and not arp and not (icmp6 and ip6[40] >= 130) and not (ip6 and ip6[6] = 0)`;
const TABLE = ["table", "inet", "iptun_iptun0"];
/** What the watch takes to see a loss, and then some. */
const REPAIR_MS = 10_000;

let lab: Lab;
let net: DefaultRouteLab;
/** The client before any daemon, and while one runs. */
let before: string;
let during: string;

beforeAll(async () => {
  lab = openLab();
  net = await makeDefaultRouteLab(lab);
  before = await hostState(net.client);
});
afterAll(() => lab.close());

describe("a default route through the tunnel", () => {
  it("takes all traffic of both families: outside are only the tunnel's datagrams", async () => {
    const { client, tunnel } = net;
    const clear = await seenOutside(OTHER, () => answers(client, SITE));
    await startTunnel();

    const other = await seenOutside(OTHER, () => answers(client, SITE));
    const outer = await seenOutside(OUTER, () => answers(client, SITE));

    expect(clear).toEqual({ answers: ALL, packets: 4 * PINGS });
    expect(other).toEqual({ answers: ALL, packets: 0 });
    expect(outer.answers).toEqual(ALL);
    // Both families' pings may leave together, as one run of datagrams.
    expect(outer.packets).toBeGreaterThanOrEqual(2 * PINGS);
    const { defaultRoute, firewall } = (await tunnel.status()).interface;
    expect([defaultRoute?.families, firewall]).toEqual([["IPv4", "IPv6"], "on"]);
  });

  it("leaves the local network reachable", async () => {
    expect(await answers(net.client, NEAR)).toEqual(ALL);
  });

  it("reaches the endpoint outside also when it has moved", async () => {
    const [home, elsewhere] = SERVER;
    await followServer(home, elsewhere);
    const other = await seenOutside(OTHER, () => answers(net.client, SITE));
    const state = await hostState(net.client);
    await followServer(elsewhere, home);

    expect(other).toEqual({ answers: ALL, packets: 0 });
    expect(state).toBe(during);
  });

  it("comes back when somebody takes its rules and routes away", async () => {
    const { client } = net;
    for (const family of ["-4", "-6"]) {
      const number = String((await net.tunnel.status()).interface.defaultRoute?.mark);
      client.ip(family, "rule", "del", "table", "main", "suppress_prefixlength", "0");
      client.ip(family, "rule", "del", "table", number);
      client.ip(family, "route", "flush", "table", number);
    }
    expect(await hostState(client)).not.toBe(during);

    await untilState(during);

    expect(await answers(client, SITE)).toEqual(ALL);
  });
});

describe("forged packets to the inner addresses", () => {
  it("are dropped, and get in while the firewall's table is gone, which comes back", async () => {
    const { near, client } = net;
    const guarded = await answers(near, INNER.client, 2);
    const rules = await client.output(["nft", "list", ...TABLE]);
    await client.output(["nft", "delete", ...TABLE]);
    const open = await answers(near, INNER.client, 2);

    expect([guarded, open]).toEqual([
      [0, 0],
      [2, 2],
    ]);
    expect(rules).toMatch(/ip daddr 10\.77\.0\.2 .*packets 2 /);
    expect(rules).toMatch(/ip6 daddr fd77::2 .*packets 2 /);
    await untilState(during);
  });
});

describe("nothing is left", () => {
  it("after SIGTERM", async () => {
    const { code } = await net.tunnel.stop();

    expect(code).toBe(0);
    expect(await hostState(net.client)).toBe(before);
  });

  it("after the device was deleted, which ends the tunnel", async () => {
    await startTunnel();
    net.client.ip("link", "del", "iptun0");
    const { code } = await net.tunnel.child.ended;

    expect(code).toBe(1);
    expect(await hostState(net.client)).toBe(before);
  });

  it("after SIGKILL, a start and an end", async () => {
    await startTunnel();
    await net.tunnel.stop("SIGKILL");
    const left = await hostState(net.client);
    const { stderr } = await net.tunnel.check();
    await startTunnel();
    const answered = await answers(net.client, SITE);
    const { code } = await net.tunnel.stop("SIGINT");

    expect(left).not.toBe(before);
    expect(stderr).toMatch(/iptun0\.journal tells of a run that was killed/);
    expect(net.tunnel.log).toMatch(/undid what a killed run had left/);
    expect([answered, code]).toEqual([ALL, 0]);
    expect(await hostState(net.client)).toBe(before);
  });
});

describe("two tunnels on one host", () => {
  it("work beside each other where one has the default route; a second default route is refused", async () => {
    const { client, near, keyFile, tunnel } = net;
    const peer = { keyFile, allowedIps: ["10.78.0.0/24"] };
    const listen = `[::]:${PORT + 1}`;
    const side = { device: "iptun1", listen };
    const far = new Daemon(near, {
      ...{ ...side, addresses: ["10.78.0.1/24"] },
      peers: [{ ...peer, name: "client" }],
    });
    const second = new Daemon(
      client,
      {
        ...{ ...side, addresses: ["10.78.0.2/24"] },
        peers: [{ ...peer, name: "near", endpoint: `${NEAR[0]}:${PORT + 1}` }],
      },
      { subdir: "second" },
    );
    const third = clientDaemon(
      client,
      keyFile,
      { device: "iptun2", addresses: ["10.79.0.2/24"], listen: `[::]:${PORT + 2}` },
      { subdir: "third" },
    );
    await Promise.all([far.start(), second.start(), startTunnel()]);
    const running = await hostState(client);

    expect((await ping(client, "10.78.0.1", PINGS)).received).toBeGreaterThan(0);
    expect(await answers(client, SITE)).toEqual(ALL);
    const { code, stderr } = await third.spawn().ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /another tunnel has the default route of IPv4 \(ip rule \d+, table \d+\)/,
    );
    expect(await hostState(client)).toBe(running);
    await Promise.all([tunnel.stop(), second.stop()]);
    expect(await hostState(client)).toBe(before);
  });
});

/** Starts the client's tunnel and waits until it carries packets. */
async function startTunnel(): Promise<void> {
  await net.tunnel.start();
  await net.tunnel.waitForStatus("default route", ({ interface: device, peers }) => {
    return device.defaultRoute !== null && peers[0]?.state === "up";
  });
  during = await hostState(net.client);
}

/** Moves the server, which then sends, and waits until the client sends there. */
async function followServer(from: string, to: string): Promise<void> {
  moveServer(net, from, to);
  await ping(net.server, INNER.client[0], 2);
  const isThere = (endpoint: string | null | undefined) => endpoint === `${to}:${PORT}`;
  await net.tunnel.waitForStatus("move", ({ peers }) => isThere(peers[0]?.endpoint));
}

async function untilState(expected: string): Promise<void> {
  await until(
    "the state of before",
    REPAIR_MS,
    async () => ((await hostState(net.client)) === expected ? true : undefined),
    200,
  );
}

/** Pings to each address, all at once, and how many came back. */
async function answers(
  from: Host,
  to: readonly string[],
  count = PINGS,
): Promise<readonly number[]> {
  const results = await Promise.all(to.map((address) => ping(from, address, count)));
  return results.map(({ received }) => received);
}

/** What a filter lets through of the wire between client and router while `work` runs. */
async function seenOutside(filter: string, work: () => Promise<readonly number[]>) {
  const capture = await startCapture(net.router, "eth0", { filter });
  const result = await work();
  await capture.stop();
  return { answers: result, packets: readPackets(capture.file).length };
}
