/**
 * A daemon without any capability, over a TUN device that was made, addressed and routed before.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeKey } from "../../scripts/netns/daemon.ts";
import { type Host, type Lab, openLab, withLab } from "../../scripts/netns/lab.ts";
import { threadFields } from "../../scripts/netns/proc.ts";
import { finish } from "../../scripts/netns/process.ts";
import {
  ADDRESSES,
  makePair,
  type SideName,
  sideDaemon,
  startDaemons,
  TUN,
} from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";

const NO_PERMISSION = 4;
const NOTHING = "0000000000000000";
/** Bytes of a ping that the device takes whole, and the way between the sites does not. */
const LONG = "1450";
const WITHOUT = [
  "setpriv",
  "--bounding-set",
  "-all",
  "--inh-caps",
  "-all",
  "--ambient-caps",
  "-all",
];

let lab: Lab;
let keyFile: string;

beforeAll(async () => {
  lab = openLab();
  keyFile = await makeKey(lab.dir);
});
afterAll(() => lab.close());

describe("a tunnel without capabilities over a device that is there", () => {
  it.each([
    ["on both sides", WITHOUT],
    ["on one side", []],
  ])("carries packets, %s, and leaves the device as it was", async (_where, right) => {
    await withLab(async (own) => {
      const pair = await makePair(own, { left: { wrapper: WITHOUT }, right: { wrapper: right } });
      giveDevice(pair.left.host, "left");
      if (right.length > 0) giveDevice(pair.right.host, "right");
      const before = stateOf(pair.left.host);
      await startDaemons(pair);

      const { CapPrm, CapEff, NoNewPrivs } = threadFields(pair.left.child.pid, [
        ...["CapPrm", "CapEff", "NoNewPrivs"],
      ]);
      const { inner4, inner6 } = ADDRESSES.right;
      const [short4, short6, long] = await Promise.all([
        ping(pair.left.host, inner4, 5),
        ping(pair.left.host, inner6, 5),
        pingLong(pair.left.host, inner4),
      ]);
      const { code } = await pair.left.stop();

      expect([new Set(CapPrm), new Set(CapEff)]).toEqual([new Set([NOTHING]), new Set([NOTHING])]);
      expect(new Set(NoNewPrivs)).toEqual(new Set(["1"]));
      expect(Math.min(short4.received, short6.received)).toBeGreaterThanOrEqual(4);
      // The device keeps its 1500: what the path does not carry is told of, and sent again in fragments.
      expect(long).toBeGreaterThanOrEqual(3);
      expect(pair.left.logLines(" warn ")).toEqual([]);
      expect(code).toBe(0);
      expect(stateOf(pair.left.host)).toEqual(before);
    });
  });

  it("says once what the device lacks, and runs", async () => {
    const host = lab.addHost(`bare${lab.hosts.length}`);
    host.ip("tuntap", "add", "dev", TUN, "mode", "tun", "user", uid());
    host.ip("link", "set", TUN, "up");
    const daemon = sideDaemon(host, "right", keyFile, {
      wrapper: WITHOUT,
      settings: { mtu: 1400 },
    });
    await daemon.start();

    expect(daemon.logLines(" warn ")).toEqual([
      expect.stringMatching(
        /iptun0 is not as configured.*needs CAP_NET_ADMIN.*MTU of 1500, not 1400, has no address 10\.77\.0\.2\/24/,
      ),
    ]);
    expect((await daemon.status()).peers).toHaveLength(1);
    await daemon.stop();
  });
});

describe("a tunnel without capabilities ends with one line", () => {
  it.each([
    ["there is no device", false, {}, /'ip tuntap add dev iptun0 mode tun user NAME'/],
    ["a firewall is wished", true, { firewall: true }, /CAP_NET_ADMIN for interface.firewall/],
  ])("where %s", async (_what, isGiven, settings, message) => {
    const host = lab.addHost(`refused${lab.hosts.length}`);
    if (isGiven) giveDevice(host, "right");
    const daemon = sideDaemon(host, "right", keyFile, { wrapper: WITHOUT, settings });

    const { code, stderr } = await finish(daemon.spawn());

    expect(stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(message)]);
    expect(code).toBe(NO_PERMISSION);
  });
});

/** Makes the device for this user with all that the configuration asks for. */
function giveDevice(host: Host, side: SideName): void {
  const { inner4, inner6 } = ADDRESSES[side];
  host.ip("tuntap", "add", "dev", TUN, "mode", "tun", "user", uid());
  host.ip("addr", "add", `${inner4}/24`, "dev", TUN);
  host.ip("addr", "add", `${inner6}/64`, "dev", TUN);
  host.ip("link", "set", TUN, "up");
}

/** Replies to five pings that are longer than the way between the sites carries. */
async function pingLong(host: Host, to: string): Promise<number> {
  const { stdout } = await host.run(["ping", "-q", "-n", "-i", "0.2", "-c", "5", "-s", LONG, to]);
  return Number(/(\d+) received/.exec(stdout)?.[1]);
}

function uid(): string {
  return String(process.getuid?.() ?? 0);
}

/** Addresses and routes, without those that come and go with the carrier. */
function stateOf(host: Host) {
  const addresses = host.ip("-o", "addr", "show", "dev", TUN, "scope", "global");
  return [
    addresses
      .replaceAll(" tentative", "")
      .split("\n")
      .map((line) => line.trim()),
    host.ip("-4", "route", "show", "dev", TUN).replaceAll(" linkdown", ""),
    /mtu (\d+)/.exec(host.ip("link", "show", "dev", TUN))?.[1],
  ];
}
