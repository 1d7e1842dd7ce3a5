/**
 * A site changes its address under traffic, and an attacker tries to make the other side believe so.
 */
import { describe, expect, it } from "vitest";
import { readDatagrams, startCapture } from "../../scripts/netns/capture.ts";
import { addAddress, wire, withLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import { delivered, drops } from "../../scripts/netns/status.ts";
import {
  ADDRESSES,
  addStranger,
  hostPort,
  makePair,
  type Pair,
  PORT,
  STRANGER,
  startDaemons,
  startPair,
} from "../../scripts/netns/topology.ts";
import { longestGapMs, Ping, ping } from "../../scripts/netns/traffic.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";
import { slowness } from "../helpers/slowness.ts";

/** A second wire between the sites. */
const SECOND = { left: "203.0.113.1", right: "203.0.113.2" } as const;
const MOVED = "192.0.2.77";
const { left, right } = ADDRESSES;

describe("a host that loses its address while it has a second path", () => {
  it.each(["traffic", "none"] as const)("is found on it within 1 s, with %s", async (load) => {
    await withLab(async (lab) => {
      const pair = await makePair(lab);
      addSecondPath(pair);
      await startDaemons(pair);
      const beside = load === "traffic" ? new Ping(pair.left.host, right.inner4, 0.01) : undefined;
      await pause(700);

      pair.left.host.ip("address", "del", `${left.outer4}/24`, "dev", "eth0");
      // Nothing is sent from the left in the second case: the right one finds it by itself.
      await pause(1000);
      const back = await ping(pair.right.host, left.inner4, 5, 0.01);
      const gapMs = longestGapMs((await beside?.stop())?.replies ?? []);

      expect(gapMs).toBeLessThan(1000 * slowness());
      expect(back.received).toBe(5);
      const { peers } = await pair.right.status();
      expect(peers[0]?.endpoint).toBe(hostPort(SECOND.left));
      expect(peers[0]?.counters.sessions).toBe(1);
    });
  });
});

describe("a device that the socket is bound to", () => {
  it("is used again when it was removed and came back by its name", async () => {
    await withLab(async (lab) => {
      const settings = { outerDevice: "eth0" };
      const pair = await startPair(lab, { left: { settings } });
      const hosts = { left: pair.left.host, right: pair.right.host };
      expect((await ping(hosts.left, right.inner4, 3, 0.01)).received).toBe(3);

      hosts.left.ip("link", "del", "eth0");
      await pause(1_500);
      wire(
        { host: hosts.left, device: "eth0", addresses: [`${left.outer4}/24`] },
        { host: hosts.right, device: "eth0", addresses: [`${right.outer4}/24`] },
      );
      await pause(3_000 * slowness());

      const { received } = await ping(hosts.left, right.inner4, 5, 0.05);
      const [peer] = (await pair.left.status()).peers;
      expect(received).toBe(5);
      expect(peer?.counters.sessions).toBe(1);
    });
  });
});

describe("roaming", () => {
  it("validated: a replayed datagram from another address moves nothing; traffic follows the initiator's new one within 1 s", async () => {
    await withLab(async (lab) => {
      const pair = await startPair(lab, { right: { peer: { roaming: "validated" } } });

      await expectNothingFromReplay(pair);
      await expectToFollow(pair);
    });
  });

  it("on: traffic follows the initiator's new address within 1 s", async () => {
    await withLab(async (lab) => {
      const pair = await startPair(lab, { right: { peer: { roaming: "on" } } });

      await expectToFollow(pair);
    });
  });

  it("off: the endpoint stays", async () => {
    await withLab(async (lab) => {
      const pair = await startPair(lab, { right: { peer: { roaming: "off" } } });

      moveLeft(pair);
      await ping(pair.left.host, right.inner4, 20);

      const { peers } = await pair.right.status();
      expect(peers[0]?.endpoint).toBe(hostPort(left.outer4));
    });
  });
});

/** Moves the left site under traffic. */
async function expectToFollow(pair: Pair): Promise<void> {
  const beside = new Ping(pair.left.host, right.inner4, 0.01);
  await pause(500);

  const before = beside.replies.length;
  moveLeft(pair);
  await pause(2000);

  const { replies } = await beside.stop();
  expect(longestGapMs(replies)).toBeLessThan(1000 * slowness());
  expect(replies.length - before).toBeGreaterThan(80);
  const { peers } = await pair.right.status();
  expect(peers[0]?.endpoint).toBe(hostPort(MOVED));
  expect(peers[0]?.counters.endpointMoves).toBe(1);
}

/** Sends the right site what the left one sent it, from another address. */
async function expectNothingFromReplay(pair: Pair): Promise<void> {
  const stranger = addStranger(pair.right.host);
  const sender = await startSender(stranger);
  const capture = await startCapture(pair.right.host, "eth0", { filter: "udp" });
  await ping(pair.left.host, right.inner4, 20);
  await capture.stop();
  const recorded = readDatagrams(capture.file)
    .filter(({ source }) => source.join(".") === left.outer4)
    .map(({ payload }) => payload);
  const before = await pair.right.status();

  await sender.send(STRANGER.right4, PORT, recorded);
  await pause(300);

  const after = await pair.right.status();
  expect(recorded.length).toBeGreaterThan(10);
  expect(drops(after, "replayed") - drops(before, "replayed")).toBe(recorded.length);
  expect(delivered(after)).toBe(delivered(before));
  expect(after.peers[0]?.endpoint).toBe(hostPort(left.outer4));
  expect((await sender.report()).answers).toBe(0);
}

/** Takes the left site's outer IPv4 address away and gives it another. */
function moveLeft(pair: Pair): void {
  // In this order: with its first address a network's further ones go too.
  pair.left.host.ip("address", "del", `${left.outer4}/24`, "dev", "eth0");
  addAddress(pair.left.host, "eth0", `${MOVED}/24`);
}

/** The right site's address is reached by the second wire where the first has no route any more. */
function addSecondPath({ left: { host }, right: { host: other } }: Pair): void {
  wire(
    { host, device: "eth1", addresses: [`${SECOND.left}/24`] },
    { host: other, device: "eth1", addresses: [`${SECOND.right}/24`] },
  );
  host.ip("route", "add", `${right.outer4}/32`, "via", SECOND.right, "metric", "500");
  host.ip("route", "add", `${right.outer4}/32`, "dev", "eth0", "metric", "100");
}
