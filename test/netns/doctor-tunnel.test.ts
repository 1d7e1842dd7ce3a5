/**
 * What `iptun doctor` says of a running tunnel: each cause is there for real, and its sentence is found.
 *
 * Several causes share a lab, and the labs run beside one another, because they mostly wait. What takes a cause away
 * again stands beside it.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeKey } from "../../scripts/netns/daemon.ts";
import { HUB_ADDRESS, makeGroup, siteAddress } from "../../scripts/netns/group.ts";
import { addAddress, withLab } from "../../scripts/netns/lab.ts";
import { pause, ROOT } from "../../scripts/netns/process.ts";
import { relayedPair } from "../../scripts/netns/relay.ts";
import { silence, unsilence } from "../../scripts/netns/silence.ts";
import { drops } from "../../scripts/netns/status.ts";
import {
  ADDRESSES,
  addStranger,
  hostPort,
  impersonateLeft,
  type Pair,
  PORT,
  STRANGER,
  sideDaemon,
  startPair,
  TUN,
  twoHosts,
} from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";
import { addonPath } from "../../src/io/native.ts";
import { expectNone, hiding, Provocations } from "./doctor-cases.ts";

const { left: LEFT, right: RIGHT } = ADDRESSES;
/** Datagrams of junk that a source may send at once, twice over. */
const JUNK = 500;

const provoked = new Provocations("tunnel");

it.concurrent("a tunnel that works has nothing worse than notes, with and without its configuration", async () => {
  await withLab(async (lab) => {
    const { left } = await startPair(lab, { left: { settings: { offload: { uso: false } } } });
    await ping(left.host, RIGHT.inner4, 5, 0.05);

    for (const question of [undefined, [], ["--interface", TUN]]) {
      const diagnosis = await left.doctor([], question);

      expect(diagnosis.findings.filter(({ level }) => /fault|warning/.test(level))).toEqual([]);
      expect(diagnosis.code).toBe(0);
      provoked.expect(diagnosis, "offload-off", /uso is switched off/);
      expect(diagnosis.findings.map(({ text }) => text).join("\n")).toMatch(
        /right is up at 192\.0\.2\.2:1194, heard \d+ s ago; \d+ packets in, \d+ out/,
      );
    }
  });
});

it.concurrent("another key, a wrong address, a name without an address", async () => {
  await withLab(async (lab) => {
    const names = ["right", "wrong", "gone", "nameless"];
    const files = await Promise.all(names.map((name) => makeKey(lab.dir, `${name}.key`)));
    const [keyFile = "", wrongKey = "", ...others] = files;
    const hosts = twoHosts(lab);
    // The kernel tries long to find who has this address; this way it need not.
    const there = "02:00:00:00:00:77";
    hosts.left.ip("neigh", "add", "192.0.2.77", "lladdr", there, "dev", "eth0");
    const peers = [
      { name: "right", keyFile, endpoint: hostPort(RIGHT.outer4) },
      { name: "gone", keyFile: others[0] ?? "", endpoint: hostPort("192.0.2.77") },
      { name: "nameless", keyFile: others[1] ?? "", endpoint: "no-such-host.invalid:1194" },
    ].map((peer, index) => ({ ...peer, keepalive: 1, allowedIps: [`10.77.0.${index + 2}/32`] }));
    const site = sideDaemon(hosts.left, "left", keyFile, { settings: { peers } });
    const right = sideDaemon(hosts.right, "right", wrongKey);
    await Promise.all([site.start(), right.start()]);
    await site.waitForStatus(
      "handshakes without an answer",
      ({ peers: [right, gone] }) => [right, gone].every((one) => (one?.attempt?.tries ?? 0) > 3),
      30_000,
    );

    const here = await site.doctor();
    provoked.expect(here, "unanswered", /gone: sent \d+ handshakes to 192\.0\.2\.77:1194, nothing/);
    provoked.expect(here, "unanswered", /right: sent \d+ handshakes to 192\.0\.2\.2:1194/);
    provoked.expect(here, "unresolved", /nameless has no address: no-such-host\.invalid:1194/);
    const across = await right.doctor();
    provoked.expect(across, "stranger", /arrive from 192\.0\.2\.1:1194.* another key on the other/);
    provoked.expect(across, "awaited", /left was not heard yet, and has to begin/);
  });
});

it.concurrent("packets from and for addresses that are no peer's, and routes that lead astray", async () => {
  await withLab(async (lab) => {
    const { left, right } = await startPair(lab, {
      mtu: 1400,
      left: { peer: { allowedIps: [`${RIGHT.inner4}/32`, `${RIGHT.inner6}/128`, "10.88.0.0/16"] } },
    });
    addAddress(left.host, "lo", "192.168.9.7/32");
    await Promise.all([
      left.host.run(["ping", "-c3", "-i0.1", "-W1", "-I", "192.168.9.7", RIGHT.inner4]),
      ping(left.host, "10.77.0.99", 3, 0.1),
    ]);
    // Before a route leads the tunnel's own datagrams in, whose destination is no peer's either.
    const refusals = await left.doctor();
    provoked.expect(refusals, "refused-destination", /3 packets .*the last for 10\.77\.0\.99/);
    left.host.ip("route", "add", "10.88.0.1/32", "dev", "eth0");
    left.host.ip("route", "add", `${RIGHT.outer4}/32`, "dev", TUN);

    const here = await left.doctor();
    provoked.expect(here, "route-elsewhere", /10\.88\.0\.0\/16 of peer right go by eth0/);
    provoked.expect(here, "route-loop", /route to 192\.0\.2\.2, .* leads into the tunnel itself/);
    provoked.expect(here, "path-mtu-low", /right: the path carries 1400 bytes only/);
    const there = await right.doctor();
    provoked.expect(
      there,
      "refused-source",
      /3 packets from left refused, the last from 192\.168\.9\.7: not in allowed_ips of peer left/,
    );
  });
});

it.concurrent("junk and forged sources from a stranger", async () => {
  await withLab(async (lab) => {
    const { left, right } = await startPair(lab);
    expectNone(await right.doctor(), "limited-source", "filter-drops");
    const stranger = addStranger(right.host);
    const sender = await startSender(stranger, STRANGER.outer4);
    const junk = Array.from({ length: JUNK }, () => new Uint8Array(120).fill(7));
    await sender.send(STRANGER.right4, PORT, junk);
    right.host.sysctl("net.ipv4.conf.eth1.rp_filter", "1");
    impersonateLeft(stranger);
    const forger = await startSender(stranger, LEFT.outer4);
    await forger.send(RIGHT.outer4, PORT, junk.slice(0, 3));
    await pause(200);

    const diagnosis = await right.doctor();
    provoked.expect(diagnosis, "limited-source", /datagrams from 198\.51\.100\.2 failed/);
    provoked.expect(diagnosis, "filter-drops", /has dropped 3 packets .*strict on eth1/);
    expect((await left.status()).peers[0]?.state).toBe("up");
  });
});

it.concurrent("the other side refuses what is sent: packets go and none comes back", async () => {
  await withLab(async (lab) => {
    const { left } = await startPair(lab, { right: { peer: { allowedIps: ["10.77.0.50/32"] } } });
    await ping(left.host, RIGHT.inner4, 6, 0.1);
    provoked.expect(await left.doctor(), "one-way", /right: \d+ packets went there and none came/);
  });
});

it.concurrent("a peer that falls silent, a firewall against the tunnel itself, no way out, a link that is down", async () => {
  await withLab(async (lab) => {
    const { left, right } = await startPair(lab, {
      left: { peer: { keepalive: 1 } },
      right: { peer: { keepalive: 1 } },
    });
    expectNone(await left.doctor(), "silent", "send-denied", "send-unreachable", "link-down");

    await silence(right.host, "eth0");
    await left.waitForStatus("silence", ({ peers: [peer] }) => (peer?.silentSeconds ?? 0) > 6);
    provoked.expect(await left.doctor(), "silent", /right is silent for \d+ s, .* every 1 s/);
    await unsilence(right.host);

    // Refused with an error, not a loss.
    await silence(left.host, "eth0");
    await left.waitForStatus("refused sends", (status) => drops(status, "udp_send") > 0);
    const denied = await left.doctor();
    provoked.expect(denied, "send-denied", /refused by this host's own firewall \(EPERM\)/);
    provoked.expect(denied, "drop-udp_send", /dropped \(udp_send\): the kernel refused/);
    await unsilence(left.host);

    await toDownLink({ left, right });
    const downLink = await left.doctor();
    provoked.expect(downLink, "link-down", /the link iptun0 is down/);
    provoked.expect(downLink, "address-lost", /iptun0 has lost fd77::1\/64/);
    provoked.expect(downLink, "drop-tun_write", /dropped \(tun_write\)/);

    left.host.ip("link", "set", "eth0", "down");
    await pause(2_500);
    provoked.expect(await left.doctor(), "send-unreachable", /ENETUNREACH, EHOSTUNREACH/);
  });
});

it.concurrent("a firewall that nft refused, a slow cipher, and what a killed run has left", async () => {
  await withLab(async (lab) => {
    const addon = join(lab.dir, "evp.node");
    const flags = ["-nostdlib", "-DPoly1305_Update=iptun_has_no_such_function"];
    execFileSync(join(ROOT, "scripts/build-native"), [addon, ...flags], { stdio: "pipe" });
    const hosts = twoHosts(lab);
    const keyFile = await makeKey(lab.dir);
    const settings = { firewall: true };
    const without = [...hiding("/usr/sbin/nft", "/bin/false"), ...hiding(addonPath(), addon)];
    const left = sideDaemon(hosts.left, "left", keyFile, { settings, wrapper: without });
    const right = sideDaemon(hosts.right, "right", keyFile, { settings });
    await Promise.all([left.start(), right.start()]);
    await right.waitForStatus("its firewall", ({ interface: { firewall } }) => firewall === "on");
    await left.waitForStatus("no firewall", ({ interface: { firewall } }) => firewall === "failed");

    const here = await left.doctor();
    provoked.expect(here, "firewall-failed", /own firewall is not in place/);
    provoked.expect(here, "cipher-slow", /EVP/);
    expectNone(await right.doctor(), "firewall-failed", "cipher-slow", "host-warning");

    await right.stop("SIGKILL");
    provoked.expect(await right.doctor(), "host-warning", /tells of a run that was killed/);
  });
});

it.concurrent("two sites of a group with one address", async () => {
  await withLab(async (lab) => {
    const { hub, addSite } = await makeGroup(lab);
    const first = addSite(1);
    const second = addSite(2, [`${siteAddress(2)}/24`, `${siteAddress(1)}/32`]);
    await Promise.all([hub.start(), first.start(), second.start()]);
    await ping(first.host, HUB_ADDRESS, 3, 0.1);
    await ping(second.host, HUB_ADDRESS, 3, 0.1);
    await second.host.run(["ping", "-c3", "-i0.1", "-W1", "-I", siteAddress(1), HUB_ADDRESS]);

    const diagnosis = await hub.doctor();
    provoked.expect(diagnosis, "claims-refused", /from branch\/[0-9a-f]+ refused: .*10\.77\.0\.1/);
  });
});

it.concurrent("a path that loses and delays", async () => {
  await withLab(async (lab) => {
    const disturbance = { loss: 0.1, delayMs: 170, jitterMs: 0, duplicate: 0, seed: 7 };
    const { pair } = await relayedPair(lab, { disturbance });
    await ping(pair.left.host, RIGHT.inner4, 400, 0.01);

    const diagnosis = await pair.left.doctor();
    provoked.expect(diagnosis, "loss", /right: \d+\.\d % of the datagrams from there/);
    provoked.expect(diagnosis, "slow-path", /right: a datagram and its answer take 3\d\d/);
  });
});

it("every problem of a tunnel was provoked", () => provoked.expectAll());

/** The left side's device is set down while packets come for it. */
async function toDownLink({ left, right }: Pick<Pair, "left" | "right">): Promise<void> {
  await left.waitUp();
  left.host.ip("link", "set", TUN, "down");
  await ping(right.host, LEFT.inner4, 5, 0.1);
  await left.waitForStatus("refused packets", (status) => drops(status, "tun_write") > 0);
}
