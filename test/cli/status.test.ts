/**
 * `iptun status`: which daemon is asked, what is printed, and what is said where none answers.
 */
import { rmSync } from "node:fs";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { paintOf } from "../../src/cli/paint.ts";
import { runCli } from "../../src/cli/program.ts";
import { summaryText } from "../../src/cli/status-summary.ts";
import { peerBlock, statusText } from "../../src/cli/status-text.ts";
import { DROP_REASONS, dropCounters } from "../../src/core/drop-reason.ts";
import type { StatusDocument } from "../../src/daemon/control/status.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { FakeScreen, FakeTerminal } from "./fake-terminal.ts";
import { Runtime } from "./runtime.ts";
import { keyStatus, peerStatus, statusDocument } from "./status-fixture.ts";

describe("status text", () => {
  it("says the interface and the peer", () => {
    expect(statusText(statusDocument([peerStatus()]))).toBe(`interface iptun0
  link       up
  addresses  10.0.0.1/24, fd00::1/64
  mtu        1420
  listen     UDP port 1194
  offloads   tso, uso, gso, gro
  process    4711, up 2 h 3 min, 48.0 MiB, version 0.1.0
peer b
  state        up
  endpoint     192.0.2.1:1194 (configured: vpn.example.org:1194)
  session      13 s old, initiator, key 0badc0de
  last heard   1.5 s ago
  mtu          1440, the path carries 1500
  round trip   20.13 ms (least 20, p95 21.5), jitter 0.25 ms
  loss         0 % inbound, 2.13 % outbound; 3 datagrams came out of order
  inbound      1 packet, 84 B; 1 Mbit/s in the last second
  outbound     20 packets, 1.0 MiB; 64 kbit/s in the last second
  handshakes   4 started, 5 answered, 6 sessions, last 13 s ago, 1 endpoint move
  keepalives   2 sent, 3 received
  allowed ips  10.1.0.0/16
  key          0badc0de
`);
  });

  it("says the default route and the firewall where there are such, or should be", () => {
    const defaultRoute = { families: ["IPv4", "IPv6"] as const, mark: 12_299 };
    const quiet = statusDocument([]);
    const text = (changes: Partial<StatusDocument["interface"]>) =>
      statusText({ ...quiet, interface: { ...quiet.interface, ...changes } });
    expect(text({ defaultRoute, firewall: "on" })).toContain(
      "  default route  IPv4 and IPv6; mark and table 12299\n  firewall       on\n",
    );
    expect(text({ firewall: "failed" })).toContain(
      "  firewall   none: nft is missing or has refused it\n",
    );
  });

  it("says a group, and the sites that it has learned, below it", () => {
    const none = { ...peerStatus().counters, sessions: 0 };
    const group = peerStatus({ name: "branch", kind: "group", counters: none });
    const node = peerStatus({
      name: "branch/0a0b0c0d",
      kind: "node",
      configuredEndpoints: [],
      allowedIps: [],
      addresses: ["10.1.0.5", "fd00:1::5"],
      refusedClaims: 3,
    });
    const text = statusText(statusDocument([group, node, { ...node, addresses: [] }]));
    expect(text).toContain(
      "group branch\n  allowed ips  10.1.0.0/16\n  key          0badc0de\npeer branch/",
    );
    expect(text).toContain("  addresses   10.1.0.5, fd00:1::5\n");
    expect(text).toContain("  refused     3 packets from addresses that other nodes hold\n");
    expect(text).toContain("  addresses   none yet\n");
    expect(text).not.toContain("nodes gone");
    const gone = { ...group, counters: { ...none, sessions: 4, inboundPackets: 2 } };
    expect(statusText(statusDocument([gone]))).toContain("nodes gone   4 sessions, 2 packets");
  });

  it("says the rate of a peer that has one", () => {
    const pacing = { bitsPerSecond: 45e6, packets: 12, bytes: 15_360, dropped: 3, marked: 4 };
    expect(statusText(statusDocument([peerStatus({ pacing })]))).toContain(
      "  rate         45 Mbit/s; 12 packets, 15.0 KiB waiting, 3 dropped, 4 marked\n",
    );
  });

  it("says what is not there", () => {
    const silent = peerStatus({
      state: "idle",
      endpoint: null,
      configuredEndpoints: [],
      sessions: [],
      silentSeconds: null,
      handshakeAgeSeconds: null,
      allowedIps: [],
      waitingPackets: 2,
      fingerprints: ["00000001", "00000002"],
      keys: [
        keyStatus({ fingerprint: "00000001", startedSeconds: null, peerStartedSeconds: null }),
        keyStatus({ fingerprint: "00000002", use: "first-unproven", heardSeconds: null }),
      ],
      quality: {
        roundTripMs: null,
        minRoundTripMs: null,
        p95RoundTripMs: null,
        jitterMs: null,
        outboundLoss: null,
        inboundLoss: null,
      },
      counters: { ...peerStatus().counters, reorderedDatagrams: 0 },
    });
    const text = statusText(statusDocument([silent]));
    for (const line of [
      "  state        idle",
      "  endpoint     not known yet",
      "  session      none",
      "  last heard   never",
      "  round trip   not known yet",
      "  loss         not known yet",
      "  handshakes   4 started, 5 answered, 6 sessions, 1 endpoint move",
      "  allowed ips  none",
      "  keys         00000001 not used yet, 00000002 not yet: b was not heard under the first key",
      "  waiting      2 packets",
    ]) {
      expect(text.split("\n")).toContain(line);
    }
  });

  it.each([
    [{ endpoint: "192.0.2.1:1194", configuredEndpoints: [] }, "192.0.2.1:1194 (learned)"],
    [{ endpoint: "192.0.2.1:1194", configuredEndpoints: ["192.0.2.1:1194"] }, "192.0.2.1:1194"],
    [{ endpoint: null, configuredEndpoints: ["a.example:1194"] }, "a.example:1194 (not resolved)"],
  ])("says where the endpoint %j comes from", (changes, expected) => {
    expect(statusText(statusDocument([peerStatus(changes)]))).toContain(
      `  endpoint     ${expected}\n`,
    );
  });

  it("says the role of the current session only", () => {
    const session = {
      isInitiator: false,
      ageSeconds: 3,
      fingerprint: "00000001",
      sent: 0,
      received: 0,
    };
    const waiting = peerStatus({ sessions: [{ slot: "next", ...session }] });
    const current = peerStatus({ sessions: [{ slot: "current", ...session }] });
    expect(statusText(statusDocument([waiting]))).toContain("  session      none\n");
    expect(statusText(statusDocument([current]))).toContain(
      "  session      3 s old, responder, key 00000001\n",
    );
  });

  it("lists the drops that are not zero, with their clause", () => {
    const drops = { ...dropCounters(), bad_mac: 12, replayed: 3 };
    const text = statusText(statusDocument([], { drops }));
    expect(text.slice(text.indexOf("dropped"))).toBe(
      `dropped\n  bad_mac   12  ${DROP_REASONS.bad_mac}\n  replayed  3   ${DROP_REASONS.replayed}\n`,
    );
  });

  it("lists limited sources and the kernel's errors", () => {
    const { engine } = statusDocument([]);
    const text = statusText(
      statusDocument([], {
        sources: [{ address: "192.0.2.66", charged: 900, refused: 700 }],
        engine: { ...engine, udpErrors: { EPERM: 2 } },
      }),
    );
    expect(text).toContain("limited sources\n  192.0.2.66  900 failed a check  700 refused\n");
    expect(text).toContain("kernel errors\n  udp  EPERM  2\n");
  });

  it("says which offloads are not in use and why", () => {
    const quiet = statusDocument([]);
    const text = statusText({
      ...quiet,
      features: {
        ...quiet.features,
        offloads: ["tso"],
        offloadsOff: ["gro"],
        offloadsMissing: ["uso", "gso"],
      },
    });
    expect(text).toContain("  offloads   tso; not in this kernel: uso, gso; switched off: gro\n");
  });

  it.each([
    [{ gsoFallbacks: 1, plainRoutes: 0 }, "1 run not taken, sent one by one"],
    [
      { gsoFallbacks: 12, plainRoutes: 1 },
      "12 runs not taken, sent one by one; for now no runs to 1 remote",
    ],
    [
      { gsoFallbacks: 12, plainRoutes: 3 },
      "12 runs not taken, sent one by one; for now no runs to 3 remotes",
    ],
  ])("says what became of refused runs: %j", (changes, expected) => {
    const { engine } = statusDocument([]);
    const text = statusText(statusDocument([], { engine: { ...engine, ...changes } }));
    expect(text).toContain(`  gso        ${expected}\n`);
  });

  it.each([
    [{ datagramsUnread: 1 }, "1 datagram dropped by the kernel: its buffer was full"],
    [
      { datagramsUnread: 70, shieldsRaised: 2 },
      "70 datagrams dropped by the kernel: its buffer was full, or junk in a flood (2 times)",
    ],
  ])("says what the kernel dropped unread: %j", (changes, expected) => {
    const { engine } = statusDocument([]);
    const text = statusText(statusDocument([], { engine: { ...engine, ...changes } }));
    expect(text).toContain(`  unread     ${expected}\n`);
    expect(statusText(statusDocument([]))).not.toContain("unread");
  });

  it("names the cipher only where it is the slower one", () => {
    const { features } = statusDocument([]);
    const slow = statusDocument([], { features: { ...features, cipher: "evp" } });
    expect(statusText(slow)).toMatch(/\n {2}cipher {5}by OpenSSL's EVP layer, slower/);
    expect(statusText(statusDocument([]))).not.toContain("cipher");
  });

  it("has no word about what did not happen", () => {
    const text = statusText(statusDocument([]));
    for (const title of ["dropped", "limited", "kernel", "not taken"])
      expect(text).not.toContain(title);
  });

  it("says that the link is down", () => {
    const quiet = statusDocument([]);
    const down = { ...quiet, interface: { ...quiet.interface, isLinkUp: false, addresses: [] } };
    expect(statusText(down)).toContain("  link       down\n  addresses  none\n");
  });
});

describe("the status command", () => {
  it("asks the only interface", async () => {
    const runtime = new Runtime();
    const document = statusDocument([peerStatus()]);
    await runtime.daemon("iptun0", document);
    const { code, terminal } = await cli("status");
    expect(code).toBe(0);
    expect(terminal.stdout).toBe(
      summaryText(document, { width: undefined, paint: paintOf(false) }),
    );
    expect(terminal.stderr).toBe("");
  });

  it("prints everything where that is asked for", async () => {
    const document = statusDocument([peerStatus()]);
    await new Runtime().daemon("iptun0", document);
    expect((await cli("status", "-v")).terminal.stdout).toBe(statusText(document));
  });

  it("prints everything about one peer, or says that there is none", async () => {
    const peers = [peerStatus({ name: "a" }), peerStatus()];
    await new Runtime().daemon("iptun0", statusDocument(peers));
    expect((await cli("status", "--peer", "b")).terminal.stdout).toBe(peerBlock(peerStatus()));
    const json = JSON.parse((await cli("status", "--peer", "b", "--json")).terminal.stdout);
    expect(json).toEqual(statusDocument([peerStatus()]));
    const { code, terminal } = await cli("status", "--peer", "x");
    expect([code, terminal.stderr]).toEqual([2, 'iptun: no peer is named "x"\n']);
  });

  it("fits the terminal, and is coloured where it has colour", async () => {
    await new Runtime().daemon("iptun0", statusDocument([peerStatus()]));
    const terminal = new FakeTerminal();
    Object.assign(terminal, { columns: 40, hasColour: true });
    await runCli(["status"], terminal);
    expect(terminal.stdout).toContain("\u001b[32mup\u001b[0m");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
    const plain = terminal.stdout.replace(/\u001b\[\d+m/g, "");
    expect(Math.max(...plain.split("\n").map((line) => line.length))).toBeLessThanOrEqual(40);
  });

  it("watches on the whole terminal where that is asked for", async () => {
    await new Runtime().listen("iptun0", (request, response) => {
      const isStatus = request.url === "/v1/status";
      const history = { seconds: 60, peers: [] };
      response.end(JSON.stringify(isStatus ? statusDocument([peerStatus()]) : history));
    });
    const terminal = new FakeTerminal();
    terminal.screen = new FakeScreen();
    terminal.screen.press();
    expect(await runCli(["status", "--watch"], terminal)).toBe(0);
    expect(terminal.screen.drawn[0]?.[0]).toMatch(/^iptun0 {2}up /);
    expect(terminal.stdout).toBe("");
  });

  it.each([["--json"], ["--verbose"], ["--peer", "b"]])(
    "cannot watch with %s",
    async (...options) => {
      const { code, terminal } = await cli("status", "--watch", ...options);
      expect([code, terminal.stderr]).toEqual([
        2,
        `iptun: --watch and ${options[0]} do not go together\n`,
      ]);
    },
  );

  it("prints the whole document as JSON", async () => {
    const document = statusDocument([peerStatus()]);
    await new Runtime().daemon("iptun0", document);
    const { terminal } = await cli("status", "--json");
    expect(JSON.parse(terminal.stdout)).toEqual(document);
  });

  it("asks the named interface", async () => {
    const runtime = new Runtime();
    await runtime.daemon("a", named("a"));
    await runtime.daemon("b", named("b"));
    const { code, terminal } = await cli("status", "--interface", "b");
    expect(code).toBe(0);
    expect(terminal.stdout).toMatch(/^b {2}up /);
  });

  it("wants a name where several answer", async () => {
    const runtime = new Runtime();
    await runtime.daemon("a", named("a"));
    await runtime.daemon("b", named("b"));
    const { code, terminal } = await cli("status");
    expect(code).toBe(2);
    expect(terminal.stderr).toBe(
      "iptun: 2 interfaces run here (a, b): choose one with --interface NAME\n",
    );
  });

  it("passes by a socket that nobody listens on", async () => {
    const runtime = new Runtime();
    await runtime.abandonedSocket("a");
    await runtime.daemon("b", named("b"));
    const { code, terminal } = await cli("status");
    expect(code).toBe(0);
    expect(terminal.stdout).toMatch(/^b {2}up /);
  });

  it.each(["missing", "empty"])(
    "says that nothing runs where the directory is %s",
    async (kind) => {
      const { directory } = new Runtime();
      if (kind === "missing") rmSync(directory, { recursive: true });
      const { code, terminal } = await cli("status");
      expect(code).toBe(3);
      expect(terminal.stderr).toBe(`iptun: not running (no daemon in ${directory})\n`);
    },
  );

  it("says that the named interface does not run", async () => {
    const { directory } = new Runtime();
    const { code, terminal } = await cli("status", "--interface", "iptun9");
    expect(code).toBe(3);
    expect(terminal.stderr).toBe(`iptun: not running (no daemon on ${directory}/iptun9.sock)\n`);
  });

  it("fails where the daemon answers something else", async () => {
    await new Runtime().daemon("iptun0", { hello: "world" });
    const { code, terminal } = await cli("status");
    expect(code).toBe(1);
    expect(terminal.stderr).toMatch(/^iptun: .*not a status document.*\n$/);
  });

  it("fails where the directory is a file", async () => {
    vi.stubEnv("RUNTIME_DIRECTORY", new ConfigFiles().write("file", ""));
    onTestFinished(() => void vi.unstubAllEnvs());
    const { code, terminal } = await cli("status");
    expect(code).toBe(1);
    expect(terminal.stderr).toMatch(/^iptun: ENOTDIR.*\n$/);
  });
});

function named(name: string): StatusDocument {
  const document = statusDocument([]);
  return { ...document, interface: { ...document.interface, name } };
}

async function cli(...args: readonly string[]) {
  const terminal = new FakeTerminal();
  return { code: await runCli(args, terminal), terminal };
}
