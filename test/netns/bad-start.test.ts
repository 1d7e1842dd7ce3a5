/**
 * A host that is not ready for iptun: each mistake gives one clear line and its exit code.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon, type DaemonOptions, makeKey, type Settings } from "../../scripts/netns/daemon.ts";
import { type Host, type Lab, openLab } from "../../scripts/netns/lab.ts";
import { finish, pause } from "../../scripts/netns/process.ts";
import { hostPort, PORT, TUN } from "../../scripts/netns/topology.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";

const CONFIG_FAULT = 78;
const NO_PERMISSION = 4;

let lab: Lab;
let keyFile: string;

beforeAll(async () => {
  lab = openLab();
  keyFile = await makeKey(lab.dir);
});
afterAll(() => lab.close());

describe("iptun --config ends with one line", () => {
  it("when /dev/net/tun is missing", async () => {
    await withHost(async (host, settings) => {
      const empty = join(host.dir, "empty");
      mkdirSync(empty);
      const hide = 'mount --bind "$1" /dev/net && shift && exec "$@"';
      const wrapper = ["unshare", "--mount", "sh", "-c", hide, "sh", empty];

      const { code, line } = await startAndFail(host, settings, { wrapper });

      expect(line).toContain("/dev/net/tun");
      expect(code).toBe(1);
    });
  });

  it("when CAP_NET_ADMIN is missing", async () => {
    await withHost(async (host, settings) => {
      const drop = ["--ambient-caps", "-all", "--inh-caps", "-all", "--bounding-set", "-net_admin"];

      const { code, line } = await startAndFail(host, settings, { wrapper: ["setpriv", ...drop] });

      expect(line).toContain("CAP_NET_ADMIN");
      expect(code).toBe(NO_PERMISSION);
    });
  });

  it("when the UDP port is used", async () => {
    await withHost(async (host, settings) => {
      await startSender(host, "0.0.0.0", PORT);
      await startSender(host, "::", PORT + 1);

      const { code, line } = await startAndFail(host, settings);

      expect(line).toContain(String(PORT));
      expect(line).toMatch(/in use|EADDRINUSE/);
      expect(code).toBe(1);
    });
  });

  it("when the device's name is too long", async () => {
    await withHost(async (host, settings) => {
      const { code, line } = await startAndFail(host, { ...settings, device: "a-name-of-16-chr" });

      expect(line).toContain("name");
      expect(line).toContain("15");
      expect(code).toBe(CONFIG_FAULT);
    });
  });

  it.each([
    {
      what: "a device that is no TUN",
      command: ["link", "add", TUN, "type", "veth", "peer", "name", "other"],
    },
    { what: "a TUN that another process holds", command: undefined },
  ])("when the device's name belongs to $what", async ({ command }) => {
    await withHost(async (host, settings) => {
      if (command !== undefined) host.ip(...command);
      else
        await new Daemon(host, { ...settings, listen: "[::]:4000" }, { subdir: "first" }).start();

      const { code, line } = await startAndFail(host, settings);

      expect(line).toContain(TUN);
      expect(code).toBe(1);
    });
  });
});

describe("iptun --config goes on", () => {
  it("with an endpoint that has no address yet, and says so", async () => {
    await withHost(async (host, settings) => {
      const [peer] = settings.peers;
      if (peer === undefined) throw new Error("no peer");
      const peers = [{ ...peer, endpoint: "no-such-host.invalid:1194" }];
      const daemon = new Daemon(host, { ...settings, peers });

      await daemon.start();
      await pause(3000);

      expect(daemon.child.isRunning).toBe(true);
      const lines = daemon.logLines("no-such-host.invalid");
      expect(lines.length).toBeGreaterThanOrEqual(1);
      expect(lines.length).toBeLessThanOrEqual(4);
    });
  });
});

/** A host of its own, and settings that would start on it. */
async function withHost(body: (host: Host, settings: Settings) => Promise<void>): Promise<void> {
  const host = lab.addHost(`host${lab.hosts.length}`);
  const peer = { name: "far", keyFile, endpoint: hostPort("192.0.2.9") };
  await body(host, {
    device: TUN,
    addresses: ["10.77.0.1/24"],
    listen: `[::]:${PORT}`,
    peers: [{ ...peer, allowedIps: ["10.77.0.9/32"] }],
  });
}

/** Starts iptun, waits for its end, and returns its exit code and the one line that it wrote. */
async function startAndFail(
  host: Host,
  settings: Settings,
  options: DaemonOptions = {},
): Promise<{ readonly code: number | undefined; readonly line: string }> {
  const daemon = new Daemon(host, settings, options);
  const { code, stderr, stdout } = await finish(daemon.spawn(), 10_000);
  const lines = stderr.trimEnd().split("\n");
  expect(stdout).toBe("");
  expect(lines).toHaveLength(1);
  return { code, line: lines[0] ?? "" };
}
