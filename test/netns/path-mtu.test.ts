/**
 * The path MTU with real routers: links narrower than the sites' own, routers that tell and routers that are
 * silent, paths that fall and rise under a transfer, and hosts behind the sites that know nothing of it.
 *
 * IPv6 outside is the harder case: no router fragments there, so a path that is too small is a black hole.
 * IPTUN_FULL=1 plays every combination.
 */
import { describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Host, type Lab, withLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import type { Status } from "../../scripts/netns/status.ts";
import { ADDRESSES, startDaemons, TUN } from "../../scripts/netns/topology.ts";
import { ping, tcpStream } from "../../scripts/netns/traffic.ts";
import { addLan, LAN, lansOf } from "../../scripts/netns/two-lans.ts";
import {
  makeTwoRouters,
  setMiddle,
  type TwoRouters,
  type TwoRoutersOptions,
} from "../../scripts/netns/two-routers.ts";
import { IS_FULL } from "../helpers/figure.ts";
import { slowness } from "../helpers/slowness.ts";

const { right } = ADDRESSES;
/** Bytes around an inner packet. */
const OVERHEAD = { 4: 60, 6: 80 } as const;

async function startTwoRouters(lab: Lab, options: TwoRoutersOptions): Promise<TwoRouters> {
  const routed = await makeTwoRouters(lab, options);
  await startDaemons(routed);
  return routed;
}

/** Waits until the sides know what the path carries; milliseconds. */
async function untilFound(sides: readonly Daemon[], pathMtu: number, limitMs: number) {
  const start = performance.now();
  const isFound = ({ peers }: Status) => peers[0]?.pathMtu === pathMtu;
  await Promise.all(
    sides.map((side) => side.waitForStatus(`a path of ${pathMtu}`, isFound, limitMs)),
  );
  return performance.now() - start;
}

function deviceMtu({ left }: TwoRouters): number {
  return Number(/ mtu (\d+) /.exec(left.host.ip("-o", "link", "show", "dev", TUN))?.[1]);
}

const CASES: readonly (TwoRoutersOptions & { readonly path: number; readonly family: 4 | 6 })[] = [
  { family: 4, path: 1400, middleMtu: 1400 },
  { family: 6, path: 1400, middleMtu: 1400, isSilent: true },
  { family: 6, path: 9000, linkMtu: 9000 },
];
const MORE: typeof CASES = [
  { family: 4, path: 1500 },
  { family: 6, path: 1500 },
  { family: 6, path: 1400, middleMtu: 1400 },
  { family: 4, path: 1400, middleMtu: 1400, isSilent: true },
  { family: 4, path: 9000, linkMtu: 9000 },
  { family: 6, path: 1280, middleMtu: 1280, isSilent: true },
  { family: 4, path: 1480, linkMtu: 9000, middleMtu: 1480, isSilent: true },
];

describe.each(IS_FULL ? [...CASES, ...MORE] : CASES)(
  "a path of $path bytes over IPv$family, silent: $isSilent",
  ({ path, family, ...options }) => {
    it("is found within 3 s of the session, and TCP never stalls over 1 s", async () => {
      await withLab(async (lab) => {
        const routed = await startTwoRouters(lab, { family, ...options });
        const tookMs = await untilFound([routed.left, routed.right], path, 3_000 * slowness());
        await pause(200);

        const stream = await tcpStream(routed.left.host, routed.right.host, right.inner4, 1);

        expect(tookMs).toBeLessThan(3_000 * slowness());
        expect(deviceMtu(routed)).toBe(Math.max(1280, path - OVERHEAD[family]));
        expect(stream.bytes).toBeGreaterThan(1_000_000);
        expect(stream.longestMs).toBeLessThan(1_000 * slowness());
      });
    });
  },
);

describe("a path that falls from 1500 to 1300 in mid-transfer, ICMP dropped", () => {
  it.each(IS_FULL ? ([4, 6] as const) : ([6] as const))(
    "stalls at most 5 s over IPv%i, and rises again within one period",
    async (family) => {
      await withLab(async (lab) => {
        const settings = { mtuProbeSeconds: 4 };
        const routed = await startTwoRouters(lab, {
          family,
          isSilent: true,
          left: { settings },
          right: { settings },
        });
        await untilFound([routed.left], 1500, 3_000 * slowness());

        const transfer = tcpStream(routed.left.host, routed.right.host, right.inner4, 9);
        await pause(2_000);
        setMiddle(routed, 1300);
        // The side that sends little has no need to know.
        const foundMs = await untilFound([routed.left], 1300, 5_000 * slowness());
        const stream = await transfer;
        setMiddle(routed, 1500);
        const risenMs = await untilFound([routed.left], 1500, 6_000 * slowness());

        expect(foundMs).toBeLessThan(5_000 * slowness());
        expect(stream.longestMs).toBeLessThan(5_000 * slowness());
        expect(stream.lastSecond).toBeGreaterThan(10_000_000);
        expect(risenMs).toBeLessThan(6_000 * slowness());
      });
    },
  );
});

describe("hosts behind the sites, with DF and an MTU of 1500", () => {
  it("carry TCP and UDP over a path of 1400, both families, and UDP's sender is told its size", async () => {
    await withLab(async (lab) => {
      const routed = await makeTwoRouters(lab, {
        middleMtu: 1400,
        isSilent: true,
        left: { peer: { allowedIps: lansOf(2) } },
        right: { peer: { allowedIps: lansOf(1) } },
      });
      const lanA = addLan(lab, "lan-a", routed.left.host, 1);
      const lanB = addLan(lab, "lan-b", routed.right.host, 2);
      await startDaemons(routed);
      await untilFound([routed.left, routed.right], 1400, 3_000 * slowness());

      const [four, six] = await Promise.all([
        tcpStream(lanA, lanB, LAN.b.four, 1),
        tcpStream(lanB, lanA, LAN.a.six, 1),
      ]);
      const told4 = await askWhole(lanA, LAN.b.four, 1500 - 28);
      const told6 = await askWhole(lanA, LAN.b.six, 1500 - 48);
      const fits = await ping(lanA, LAN.b.four, 3);

      for (const { bytes, longestMs } of [four, six]) {
        expect(bytes).toBeGreaterThan(1_000_000);
        expect(longestMs).toBeLessThan(1_000 * slowness());
      }
      expect(told4).toMatch(/mtu ?= ?1340/);
      expect(told6).toMatch(/mtu ?[=:] ?1340/);
      expect(fits.received).toBe(3);
    });
  });
});

/** What ping says of two requests with so many bytes of data, which nobody may fragment. */
async function askWhole(from: Host, to: string, bytes: number): Promise<string> {
  const size = ["-M", "do", "-s", String(bytes)];
  const { stdout, stderr } = await from.run(["ping", "-c", "2", "-i", "0.3", ...size, to]);
  return stdout + stderr;
}
