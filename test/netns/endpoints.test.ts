/**
 * Endpoints as networks have them: an uplink that dies in silence, names whose answers change, two NATs.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { addAddress, type Host, type Lab, wire, withLab } from "../../scripts/netns/lab.ts";
import { pause, ROOT } from "../../scripts/netns/process.ts";
import {
  ADDRESSES,
  bringUp,
  hostPort,
  makePair,
  type Pair,
  startDaemons,
} from "../../scripts/netns/topology.ts";
import { longestGapMs, Ping, ping } from "../../scripts/netns/traffic.ts";
import { makeTwoRouters } from "../../scripts/netns/two-routers.ts";
import { figure } from "../helpers/figure.ts";

const { left, right } = ADDRESSES;
const SECOND = { left: "203.0.113.1", right: "203.0.113.2" } as const;
/** Where the right site lives after its move. */
const NEW_SIX = "2001:db8:1::77";
const NAME = "right.example";
/** Silence after which a name is asked for again: data unanswered for 15 s, then INITs for 5 s. */
const UNANSWERED_MS = 20_000;
/** A round trip with what ping adds to it, milliseconds. */
const ROUND_TRIP_MS = 100;

describe("a first endpoint that dies in silence", () => {
  it("is left within failover_ms and a round trip, and used again when it lives", async () => {
    await withLab(async (lab) => {
      const failoverMs = 2_000;
      const endpoint = [hostPort(right.outer4), hostPort(SECOND.right)];
      const pair = await makePair(lab, { left: { peer: { endpoint, failoverMs } } });
      wire(
        { host: pair.left.host, device: "eth1", addresses: [`${SECOND.left}/24`] },
        { host: pair.right.host, device: "eth1", addresses: [`${SECOND.right}/24`] },
      );
      // The right one first, or the left one's first INIT finds nobody, and the second endpoint answers.
      await pair.right.start();
      await pair.left.start();
      await bringUp(pair);
      expect((await pair.left.status()).peers[0]?.endpoint).toBe(hostPort(right.outer4));
      const beside = new Ping(pair.left.host, right.inner4, 0.01);
      await pause(500);

      await silence(pair.right.host, "eth0");
      await pause(4_000);
      const gapMs = longestGapMs(beside.replies);
      const second = (await pair.left.status()).peers[0];
      const replies = beside.replies.length;
      await pair.right.host.output(["nft", "delete table inet silence"]);
      await pair.left.waitForStatus(
        "the first endpoint",
        ({ peers }) => peers[0]?.endpoint === hostPort(right.outer4),
        20_000,
      );
      await pause(1_000);
      const result = await beside.stop();
      const backMs = longestGapMs(result.replies.slice(replies));

      const measured = `${gapMs.toFixed(0)} ms away, ${backMs.toFixed(0)} ms back`;
      figure(
        "endpoint",
        "traffic stood still",
        measured,
        "<= 2,000 ms + 1 round trip; <= 1,000 ms",
      );
      expect(second?.endpoint).toBe(hostPort(SECOND.right));
      expect(gapMs).toBeLessThan(failoverMs + ROUND_TRIP_MS);
      expect(backMs).toBeLessThan(1_000);
    });
  });
});

describe("a name", () => {
  it("whose answers are empty or fail keeps its address; one that moves to IPv6 only is followed", async () => {
    await withLab(async (lab) => {
      const { pair, answer } = await startNamed(lab);
      answer("");

      await silence(pair.right.host, "eth0");
      const asking = new Ping(pair.left.host, right.inner4, 0.2);
      await pause(UNANSWERED_MS + 1_500);
      answer("fail");
      await pause(2_500);
      await pair.right.host.output(["nft", "delete table inet silence"]);
      await asking.stop();
      const kept = await ping(pair.left.host, right.inner4, 40, 0.2);
      const endpoint = (await pair.left.status()).peers[0]?.endpoint;

      expect(pair.left.log).toContain(`cannot resolve ${NAME}`);
      expect(endpoint).toBe(hostPort(right.outer4));
      expect(kept.received).toBeGreaterThan(10);

      await pair.right.stop("SIGKILL");
      pair.right.host.ip("address", "flush", "dev", "eth0");
      addAddress(pair.right.host, "eth0", `${NEW_SIX}/64`);
      answer(NEW_SIX);
      await pair.right.start();
      const beside = new Ping(pair.left.host, right.inner4, 0.2);
      await pair.left.waitForStatus(
        "the new address",
        ({ peers }) => peers[0]?.endpoint === hostPort(NEW_SIX),
        UNANSWERED_MS + 10_000,
      );
      await beside.stop();
      expect((await ping(pair.left.host, right.inner4, 5)).received).toBe(5);
    });
  });
});

describe("two sites, each behind a NAT that keeps ports", () => {
  it("come up by each other's public address; mappings that are flushed heal within a keepalive", async () => {
    await withLab(async (lab) => {
      const keepalive = 2;
      const routed = await makeTwoRouters(lab, {
        left: { endpoint: hostPort(PUBLIC.right), peer: { keepalive } },
        right: { endpoint: hostPort(PUBLIC.left), peer: { keepalive } },
      });
      for (const router of [routed.r1, routed.r2]) await translate(router);
      await startDaemons(routed);
      const beside = new Ping(routed.left.host, right.inner4, 0.02);
      await pause(700);

      await Promise.all([routed.r1, routed.r2].map((router) => flush(router)));
      await pause(4_000);
      const { replies } = await beside.stop();

      const gapMs = longestGapMs(replies);
      figure(
        "NAT",
        "both mappings flushed under traffic",
        `${gapMs.toFixed(0)} ms`,
        "<= 2,000 ms + 1 round trip",
      );
      expect(replies.length).toBeGreaterThan(100);
      expect(gapMs).toBeLessThan(keepalive * 1000 + ROUND_TRIP_MS);
      expect((await ping(routed.right.host, left.inner4, 5)).received).toBe(5);
    });
  });
});

/** Addresses of the routers on the link in the middle. */
const PUBLIC = { left: "198.18.0.1", right: "198.18.0.2" } as const;

/** Drops everything that comes and goes on a device, without a word. */
async function silence(host: Host, device: string): Promise<void> {
  const chain = (hook: string) =>
    `add chain inet silence ${hook} { type filter hook ${hook} priority 0; }`;
  const rules = [
    "add table inet silence",
    chain("input"),
    chain("output"),
    `add rule inet silence input iifname ${device} drop`,
    `add rule inet silence output oifname ${device} drop`,
  ];
  await host.output(["nft", rules.join("; ")]);
}

/** A NAT that keeps ports where it can, and hides its networks. */
async function translate(router: Host): Promise<void> {
  const rules = [
    "add table ip nat",
    "add chain ip nat out { type nat hook postrouting priority 100; }",
    "add rule ip nat out oifname eth1 masquerade",
    // What nobody inside asked for is dropped, and so takes no port from who will ask.
    "add chain ip nat in { type filter hook input priority 0; }",
    "add rule ip nat in iifname eth1 udp dport 1-65535 drop",
  ];
  await router.output(["nft", rules.join("; ")]);
}

async function flush(router: Host): Promise<void> {
  await router.run(["conntrack", "-F"]);
}

/** A pair whose left side knows the right one by a name, and a name server on the left that says what it is told. */
async function startNamed(
  lab: Lab,
): Promise<{ readonly pair: Pair; readonly answer: (text: string) => void }> {
  const file = join(lab.dir, "answer");
  const resolv = join(lab.dir, "resolv.conf");
  const answer = (text: string) => writeFileSync(file, text);
  writeFileSync(resolv, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
  answer(right.outer4);
  const bind = `mount --bind ${resolv} /etc/resolv.conf; exec "$@"`;
  const wrapper = ["unshare", "--mount", "sh", "-c", bind, "sh"];
  const pair = await makePair(lab, { left: { endpoint: `${NAME}:1194`, wrapper } });
  const agent = join(ROOT, "scripts/netns/dns-agent.ts");
  const server = pair.left.host.start([process.execPath, "--import", "tsx", agent, file]);
  await server.waitForOutput(/listening/);
  await startDaemons(pair);
  return { pair, answer };
}
