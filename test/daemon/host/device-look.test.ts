/** Reading a device's state from the kernel's files, and when `ip` is asked. */
import type { NetworkInterfaceInfo } from "node:os";
import { describe, expect, it } from "vitest";
import {
  type LookSources,
  lookAtDevice,
  routesV4,
  routesV6,
} from "../../../src/daemon/host/device-look.ts";
import type { DeviceState } from "../../../src/daemon/host/device-state.ts";

const ASKED: DeviceState = { isUp: true, mtu: 1, addresses: ["asked"], routes: [] };

describe("a look at a device", () => {
  it("finds flags, MTU, addresses and routes in files", async () => {
    expect(await lookAtDevice("iptun0", sources())).toEqual({
      isUp: true,
      mtu: 1420,
      addresses: ["10.0.0.1/24", "fd00::1/64"],
      routes: ["10.9.0.0/16", "2001:db8::/32"],
    });
  });

  it("finds a link that is down, and no addresses where the list has none", async () => {
    const files = { ...FILES, "/sys/class/net/iptun0/flags": "0x1090\n" };

    const state = await lookAtDevice("iptun0", sources({ files, interfaces: () => ({}) }));

    expect(state).toMatchObject({ isUp: false, addresses: [] });
  });

  it("finds nothing where no device has the name, and asks nobody", async () => {
    const ask = () => Promise.reject(new Error("asked"));

    expect(await lookAtDevice("iptun1", sources({ ask }))).toBeUndefined();
  });

  it("has no IPv6 routes on a kernel without IPv6", async () => {
    const files = { ...FILES, "/proc/net/ipv6_route": undefined };

    expect((await lookAtDevice("iptun0", sources({ files })))?.routes).toEqual(["10.9.0.0/16"]);
  });

  it.each([
    ["/sys shows another namespace", { list: async () => ["lo", "iptun0", "eth0"] }],
    ["there is no /sys", { list: async () => [] }],
    ["the table is too long to be read", { files: { ...FILES, "/proc/net/route": undefined } }],
  ])("asks ip where %s", async (_name, changes) => {
    expect(await lookAtDevice("iptun0", sources(changes))).toEqual(ASKED);
  });

  it("takes no notice of the file that a bond's driver keeps beside the devices", async () => {
    const list = async () => ["lo", "iptun0", "bonding_masters"];

    expect(await lookAtDevice("iptun0", sources({ list }))).toMatchObject({ mtu: 1420 });
  });

  it("of this host's loopback agrees with the kernel's own files", async () => {
    expect(await lookAtDevice("lo")).toMatchObject({ mtu: expect.any(Number) });
    expect(await lookAtDevice("no-such-device")).toBeUndefined();
  });
});

describe("routes in the kernel's tables", () => {
  it.each([
    ["LE" as const, "0000090A", "0000FFFF"],
    ["BE" as const, "0A090000", "FFFF0000"],
  ])("are read in the byte order %s", (order, target, mask) => {
    expect(routesV4(rowV4("iptun0", target, "0001", mask), "iptun0", order)).toEqual([
      "10.9.0.0/16",
    ]);
  });

  it("of another device, a rejected one and the title do not count", () => {
    const text = [
      TITLE,
      rowV4("iptun1", "0000090A", "0001", "0000FFFF"),
      rowV4("iptun0", "0000090A", "0201", "0000FFFF"),
    ].join("\n");

    expect(routesV4(text, "iptun0", "LE")).toEqual([]);
  });

  it("of every length are read", () => {
    const rows = [rowV4("t", "00000000", "0001", "00000000"), rowV4("t", "0100000A", "5", M32)];

    expect(routesV4(rows.join("\n"), "t", "LE")).toEqual(["0.0.0.0/0", "10.0.0.1/32"]);
  });

  it.each([
    ["a local address", "80200001"],
    ["an anycast address", "80300001"],
    ["a cached path MTU", "01000003"],
  ])("do not count as IPv6 routes where they are %s", (_name, flags) => {
    expect(routesV6(rowV6("iptun0", "80", flags), "iptun0")).toEqual([]);
  });

  it("of IPv6 carry their length in hexadecimal", () => {
    expect(routesV6(rowV6("iptun0", "30", "00000001"), "iptun0")).toEqual(["2001:db8::/48"]);
  });
});

const TITLE = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT";
const M32 = "FFFFFFFF";

function rowV4(device: string, target: string, flags: string, mask: string): string {
  return `${device}\t${target}\t00000000\t${flags}\t0\t0\t0\t${mask}\t0\t0\t0   `;
}

function rowV6(device: string, length: string, flags: string): string {
  const none = "0".repeat(32);
  const target = "20010db8000000000000000000000000";
  return `${target} ${length} ${none} 00 ${none} 00000400 00000001 00000000 ${flags}   ${device}`;
}

const FILES: Readonly<Record<string, string | undefined>> = {
  "/proc/net/dev": "Inter-| Receive\n face |bytes\n    lo: 1 2\niptun0:       0 0\n",
  "/sys/class/net/iptun0/flags": "0x1091\n",
  "/sys/class/net/iptun0/mtu": "1420\n",
  "/proc/net/route": `${TITLE}\n${rowV4("iptun0", hostOrder("0A090000"), "0001", hostOrder("FFFF0000"))}\n`,
  "/proc/net/ipv6_route": `${rowV6("iptun0", "20", "00000001")}\n`,
};

/** Four bytes as this host prints them. */
function hostOrder(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  const isLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  return (isLittle ? bytes.reverse() : bytes).toString("hex").toUpperCase();
}

function sources(changes: Partial<LookSources> & { readonly files?: typeof FILES } = {}) {
  const { files = FILES, ...rest } = changes;
  return {
    read: async (path: string) => files[path],
    list: async () => ["lo", "iptun0"],
    interfaces: () => ({ iptun0: [info("10.0.0.1/24"), info("fd00::1/64")] }),
    ask: async () => ASKED,
    ...rest,
  } satisfies LookSources;
}

function info(cidr: string): NetworkInterfaceInfo {
  return { address: "", netmask: "", mac: "", internal: false, cidr, family: "IPv4" };
}
