/**
 * What `iptun doctor` says of a host on which no tunnel runs: each cause is there for real, and its sentence is found.
 */
import { chmodSync, copyFileSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon, makeKey, type PeerSettings, type Settings } from "../../scripts/netns/daemon.ts";
import { type Host, type Lab, openLab, wire } from "../../scripts/netns/lab.ts";
import { ROOT } from "../../scripts/netns/process.ts";
import { PORT, TUN } from "../../scripts/netns/topology.ts";
import { expectNone, hiding, Provocations, WITHOUT_NET_ADMIN } from "./doctor-cases.ts";

/** On the wire, and nobody is there. */
const FAR = "192.0.2.9";

const provoked = new Provocations("host");
let lab: Lab;
let host: Host;
let keyFile: string;
let subdirs = 0;

beforeAll(async () => {
  lab = openLab();
  host = lab.addHost("host");
  wire(
    { host, device: "eth0", addresses: ["192.0.2.1/24", "10.1.1.1/24"] },
    { host: lab.addHost("wire"), device: "eth0", addresses: [] },
  );
  keyFile = await makeKey(lab.dir);
});
afterAll(() => lab.close());

describe("without a tunnel", () => {
  it("a host on which one would run has nothing worse than notes, and exit code 0", async () => {
    const diagnosis = await site().doctor();

    expect(diagnosis.findings.filter(({ level }) => /fault|warning/.test(level))).toEqual([]);
    expect(diagnosis.code).toBe(0);
    provoked.expect(diagnosis, "not-running", /not running/);
    provoked.expect(diagnosis, "forwarding-off", /does not forward IPv4/);
  });

  it("and without a configuration: the host is looked at, and what could not be is said", async () => {
    const { code, findings } = await site().doctor([], []);

    expect(code).toBe(0);
    expect(findings.filter(({ id }) => id === "unseen").map(({ text }) => text)).toContain(
      "not looked at: the configuration (none was named)",
    );
    expect(findings.map(({ section }) => section)).toEqual(
      expect.arrayContaining(["kernel", "permissions", "device", "offloads", "buffers", "clock"]),
    );
  });
});

describe("the configuration", () => {
  it("whose key others can read, or that is wrong otherwise, is a fault that names file and line", async () => {
    const open = join(lab.dir, "open.key");
    copyFileSync(keyFile, open);
    chmodSync(open, 0o644);

    const diagnosis = await site({}, { keyFile: open, keepalive: -1 }).doctor();

    provoked.expect(diagnosis, "config-problem", /iptun\.toml:\d+: .*can be used by others/);
    provoked.expect(diagnosis, "config-problem", /keepalive/);
  });

  it("that is rarely meant so is a note", async () => {
    const diagnosis = await site({ addresses: [] }).doctor();
    provoked.expect(diagnosis, "config-warning", /interface\.address: none is given/);
  });
});

describe("kernel and permissions", () => {
  it("an old kernel, and the offloads that it lacks with the version that brought them", async () => {
    const diagnosis = await site().doctor(["setarch", "--uname-2.6"]);

    provoked.expect(diagnosis, "kernel-old", /Linux 2\.6\.\d+.* is older than 4\.18/);
    provoked.expect(diagnosis, "offload-missing", /lacks uso; Linux has it since 6\.2/);
    provoked.expect(diagnosis, "offload-missing", /lacks gro; Linux has it since 5\.0/);
  });

  it("no CAP_NET_ADMIN, and so no way past small socket buffers", async () => {
    const small = join(lab.dir, "rmem_max");
    writeFileSync(small, "212992\n");

    const diagnosis = await site().doctor([
      ...hiding("/proc/sys/net/core/rmem_max", small),
      ...WITHOUT_NET_ADMIN,
    ]);

    provoked.expect(diagnosis, "no-capability", /CAP_NET_ADMIN is missing/);
    provoked.expect(diagnosis, "buffers-small", /allow 208 KiB, and the socket asks for 7 MiB/);
  });

  it("no CAP_NET_ADMIN over a device that was made before is in order", async () => {
    host.ip("tuntap", "add", "made0", "mode", "tun");
    expectNone(await site({ device: "made0" }).doctor(WITHOUT_NET_ADMIN), "no-capability");
  });

  it("no /dev/net/tun", async () => {
    const empty = join(lab.dir, "empty");
    mkdirSync(empty);
    const diagnosis = await site().doctor(hiding("/dev/net", empty));
    provoked.expect(diagnosis, "tun-missing", /\/dev\/net\/tun is missing/);
  });

  it("a /dev/net/tun that this user may not open; what else it may not see is said", async () => {
    const closed = join(lab.dir, "closed");
    writeFileSync(closed, "", { mode: 0o600 });
    const asNobody = ["setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all"];
    const daemon = site();

    const diagnosis = await daemon.doctor([...hiding("/dev/net/tun", closed), ...asNobody], []);

    provoked.expect(diagnosis, "tun-denied", /no permission to open \/dev\/net\/tun/);
    const unseen = diagnosis.findings.filter(({ id }) => id === "unseen");
    expect(unseen.map(({ text }) => text).join("\n")).toMatch(/the running tunnel: no permission/);
  });
});

describe("the device's name", () => {
  it("that another device has is a fault", async () => {
    host.ip("link", "add", "taken0", "type", "veth", "peer", "name", "taken1");
    const diagnosis = await site({ device: "taken0" }).doctor();
    provoked.expect(diagnosis, "name-taken", /taken0 belongs to a device of kind veth/);
  });

  it("that a TUN without an owner has is in order", async () => {
    host.ip("tuntap", "add", "kept0", "mode", "tun");
    expectNone(await site({ device: "kept0" }).doctor(), "name-taken");
  });
});

describe("the clock", () => {
  it("that is behind a file's time, and that NTP does not keep: a wrong clock costs a challenge", async () => {
    const daemon = site();
    const future = new Date(Date.now() + 86_400_000);
    utimesSync(daemon.configFile, future, future);
    const timedatectl = join(lab.dir, "timedatectl");
    writeFileSync(timedatectl, "#!/bin/sh\necho no\n", { mode: 0o755 });
    const nothingRun = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run; exec "$@"'];
    const path = `PATH=${lab.dir}:${process.env["PATH"] ?? ""}`;

    const diagnosis = await daemon.doctor([...nothingRun, "sh", "env", path]);

    provoked.expect(diagnosis, "clock-behind", /iptun\.toml is younger .* only a challenge/);
    provoked.expect(diagnosis, "clock-unsynced", /not kept by NTP; .* only a challenge/);
  });
});

describe("a name", () => {
  it("that does not resolve", async () => {
    const diagnosis = await site({}, { endpoint: "no-such-host.invalid:1194" }).doctor();
    provoked.expect(diagnosis, "name-fails", /no-such-host\.invalid of peer far does not resolve/);
  });

  it("that resolves late, because the first name server is silent", async () => {
    const resolv = join(lab.dir, "resolv.conf");
    const answer = join(lab.dir, "answer");
    const servers = `nameserver ${FAR}\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n`;
    writeFileSync(resolv, servers);
    writeFileSync(answer, FAR);
    const agent = join(ROOT, "scripts/netns/dns-agent.ts");
    const server = host.start([process.execPath, "--import", "tsx", agent, answer]);
    await server.waitForOutput(/listening/);

    const daemon = site({}, { endpoint: "far.example:1194" });
    const diagnosis = await daemon.doctor(hiding("/etc/resolv.conf", resolv));

    provoked.expect(diagnosis, "name-slow", /far\.example of peer far is 192\.0\.2\.9 \(IPv4\)/);
    await server.stop();
  });
});

describe("ways", () => {
  it("no route to an endpoint", async () => {
    const diagnosis = await site({}, { endpoint: "203.0.113.9:1194" }).doctor();
    provoked.expect(diagnosis, "no-route", /no route to 203\.0\.113\.9, where peer far is/);
  });

  it("a strict reverse path filter", async () => {
    host.sysctl("net.ipv4.conf.eth0.rp_filter", "1");
    const diagnosis = await site().doctor();
    host.sysctl("net.ipv4.conf.eth0.rp_filter", "0");

    provoked.expect(diagnosis, "filter-strict", /strict on eth0/);
    expectNone(await site().doctor(), "filter-strict");
  });

  it("a hub that does not forward", async () => {
    const groupKey = await makeKey(lab.dir, "group.key", ["--group"]);
    const peers = [
      { name: "branch", keyFile: groupKey, learn: true, allowedIps: ["10.77.0.0/24"] },
    ];
    const diagnosis = await site({ peers }).doctor();
    provoked.expect(diagnosis, "not-forwarding", /does not forward IPv4, so its sites cannot/);
  });

  it("a link that carries less than the configured MTU needs", async () => {
    host.ip("link", "set", "eth0", "mtu", "1400");
    const fixed = await site({ mtu: 1420 }).doctor();
    const auto = await site().doctor();
    host.ip("link", "set", "eth0", "mtu", "1500");

    provoked.expect(fixed, "link-mtu-small", /eth0, .* carries 1400 .* less than the 1480/);
    expectNone(auto, "link-mtu-small");
    expectNone(await site({ mtu: 1420 }).doctor(), "link-mtu-small");
  });

  it("a private address towards a public one, without a keepalive", async () => {
    host.ip("route", "add", "198.51.100.0/24", "via", FAR, "src", "10.1.1.1");
    const endpoint = "198.51.100.2:1194";

    const diagnosis = await site({}, { endpoint }).doctor();

    provoked.expect(diagnosis, "keepalive-behind-nat", /far is reached from 10\.1\.1\.1, .* NAT/);
    expectNone(await site({}, { endpoint, keepalive: 25 }).doctor(), "keepalive-behind-nat");
  });
});

describe("a firewall", () => {
  const base = (hook: string, policy: string) =>
    `add chain inet wall ${hook} { type filter hook ${hook} priority 0; policy ${policy}; }`;

  it("that lets only known ports in: a fault where the peer has to begin", async () => {
    await wall([base("input", "drop"), "add rule inet wall input tcp dport { 22, 80 } accept"]);
    const peers = [{ name: "far", keyFile, allowedIps: ["10.77.0.9/32"] }];
    const diagnosis = await site({ peers }).doctor();
    provoked.expect(diagnosis, "firewall-in", /UDP port 1194 \(chain wall input \(policy drop\)\)/);
    // What comes out of the tunnel may be for those ports.
    expectNone(diagnosis, "firewall-inner");
  });

  it("that lets answers in: a note where this side can begin", async () => {
    await wall([
      base("input", "drop"),
      "add rule inet wall input ct state established,related accept",
    ]);
    const diagnosis = await site().doctor();
    provoked.expect(diagnosis, "firewall-new", /but for answers .*only this host can begin/);
    provoked.expect(diagnosis, "firewall-inner", /comes out of iptun0 for this host/);
    expectNone(diagnosis, "firewall-in");
  });

  it("whose rule drops UDP out, in a chain that is jumped to", async () => {
    await wall([
      base("output", "accept"),
      "add chain inet wall datagrams",
      "add rule inet wall output meta l4proto udp jump datagrams",
      `add rule inet wall datagrams oifname "eth*" udp dport 1000-2000 reject`,
    ]);
    const diagnosis = await site().doctor();
    provoked.expect(diagnosis, "firewall-out", /192\.0\.2\.9, UDP port 1194, of peer far/);
  });

  it("that does not forward what comes out of the tunnel", async () => {
    host.sysctl("net.ipv4.ip_forward", "1");
    await wall([base("forward", "drop"), 'add rule inet wall forward iifname "lan*" accept']);
    const diagnosis = await site().doctor();
    host.sysctl("net.ipv4.ip_forward", "0");
    provoked.expect(diagnosis, "firewall-forward", /chain wall forward \(policy drop\)/);
  });

  it("that lets all of it through, or may, is not blamed", async () => {
    await wall([
      base("input", "drop"),
      `add rule inet wall input iifname eth0 udp dport { 53, ${PORT} } accept`,
      "add rule inet wall input ip saddr 10.0.0.0/8 accept",
      base("output", "drop"),
      "add rule inet wall output ip daddr 192.0.2.0/24 accept",
    ]);
    const blamed = ["firewall-in", "firewall-new", "firewall-out", "firewall-inner"] as const;
    expectNone(await site().doctor(), ...blamed);
    await host.output(["nft", "flush ruleset"]);
  });
});

it("every problem of a host was provoked", () => provoked.expectAll());

/** A tunnel of this host that is not started. */
function site(settings: Partial<Settings> = {}, peer: Partial<PeerSettings> = {}): Daemon {
  subdirs += 1;
  const far = { name: "far", keyFile, endpoint: `${FAR}:${PORT}`, allowedIps: ["10.77.0.9/32"] };
  const all = {
    device: TUN,
    addresses: ["10.77.0.1/24"],
    listen: `0.0.0.0:${PORT}`,
    peers: [{ ...far, ...peer }],
    ...settings,
  };
  return new Daemon(host, all, { subdir: `site${subdirs}` });
}

/** Puts these rules in place of those before. */
async function wall(rules: readonly string[]): Promise<void> {
  await host.output(["nft", ["flush ruleset", "add table inet wall", ...rules].join("; ")]);
}
