/**
 * TCP through iptun and through the distribution's wireguard-go: `[ROUNDS [SECONDS]]`, 3 and 5 by default.
 *
 * Same wire, same inner MTU of 1420, one TCP stream, in turns: each round runs each tunnel once in either
 * direction, in an order that alternates. Prints every run, then medians. CPU seconds are those of both
 * tunnel processes, per Gbit carried. The trap: wireguard-go keeps its control sockets by device name in
 * one folder for all namespaces, so its devices have names of their own.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { addAddress, type Host, type Lab, withLab } from "./netns/lab.ts";
import { cpuSeconds } from "./netns/proc.ts";
import { type Child, until } from "./netns/process.ts";
import { ADDRESSES, PORT, type SideName, startPair, twoHosts } from "./netns/topology.ts";
import { median, tcpThroughput } from "./netns/traffic.ts";

const [rounds = 3, seconds = 5] = process.argv.slice(2).map(Number);
const MTU = 1420;

/** Two hosts with a tunnel of some kind between them. */
interface Tunnel {
  readonly left: Host;
  readonly right: Host;
  /** Its two processes. */
  readonly processes: readonly Child[];
}

interface Figures {
  readonly gbitPerSecond: number;
  readonly gbitPerCpuSecond: number;
}

const tunnels = { iptun: openIptun, "wireguard-go": openWireguard } as const;
type Name = keyof typeof tunnels;
const names: readonly Name[] = ["iptun", "wireguard-go"];
const results: Record<Name, Figures[]> = { iptun: [], "wireguard-go": [] };

for (let round = 0; round < rounds; round++) {
  for (const name of round % 2 === 0 ? names : [...names].reverse()) {
    for (const isReverse of [false, true]) {
      const figures = await measure(name, isReverse);
      results[name].push(figures);
      print(`round ${round + 1}${isReverse ? " back" : ""}`, name, figures);
    }
  }
}
for (const name of names) print("median", name, medians(results[name]));

async function measure(name: Name, isReverse: boolean): Promise<Figures> {
  return await withLab(async (lab) => {
    const { left, right, processes } = await tunnels[name](lab);
    const address = ADDRESSES.right.inner4;
    await tcpThroughput(left, right, address, { seconds: 1, isReverse });
    const before = totalCpuSeconds(processes);
    const { bitsPerSecond, bytes } = await tcpThroughput(left, right, address, {
      seconds,
      isReverse,
    });
    const cpu = totalCpuSeconds(processes) - before;
    // By a signal that it can act on: wireguard-go leaves its control socket when killed.
    await Promise.all(processes.map((child) => child.stop()));
    return { gbitPerSecond: bitsPerSecond / 1e9, gbitPerCpuSecond: (bytes * 8) / 1e9 / cpu };
  });
}

async function openIptun(lab: Lab): Promise<Tunnel> {
  const { left, right } = await startPair(lab, {
    left: { settings: { mtu: MTU } },
    right: { settings: { mtu: MTU } },
  });
  return { left: left.host, right: right.host, processes: [left.child, right.child] };
}

async function openWireguard(lab: Lab): Promise<Tunnel> {
  const { left, right } = twoHosts(lab);
  const sides = { left: await wireguardKeys(left), right: await wireguardKeys(right) };
  const [a, b] = [
    await startWireguard(left, "left", sides.left.file, sides.right.publicKey),
    await startWireguard(right, "right", sides.right.file, sides.left.publicKey),
  ];
  return { left, right, processes: [a, b] };
}

async function wireguardKeys(
  host: Host,
): Promise<{ readonly file: string; readonly publicKey: string }> {
  const file = join(host.dir, "wg.key");
  writeFileSync(file, await host.output(["wg", "genkey"]), { mode: 0o600 });
  const publicKey = await host.output(["sh", "-c", 'wg pubkey < "$1"', "sh", file]);
  return { file, publicKey: publicKey.trim() };
}

async function startWireguard(
  host: Host,
  side: SideName,
  keyFile: string,
  otherKey: string,
): Promise<Child> {
  const device = `wg${process.pid % 100_000}${side[0]}`;
  const other = ADDRESSES[side === "left" ? "right" : "left"];
  const child = host.start(["wireguard-go", "--foreground", device], {
    env: { LOG_LEVEL: "error", WG_PROCESS_FOREGROUND: "1" },
  });
  await until(`device ${device}`, 5000, async () => {
    const { code } = await host.run(["wg", "show", device]);
    return code === 0 ? true : undefined;
  });
  const peer = ["peer", otherKey, "endpoint", `${other.outer4}:${PORT}`];
  const own = ["listen-port", String(PORT), "private-key", keyFile];
  await host.output(["wg", "set", device, ...own, ...peer, "allowed-ips", "0.0.0.0/0"]);
  addAddress(host, device, `${ADDRESSES[side].inner4}/24`);
  host.ip("link", "set", device, "mtu", String(MTU), "up");
  return child;
}

function totalCpuSeconds(processes: readonly Child[]): number {
  return processes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
}

function medians(figures: readonly Figures[]): Figures {
  return {
    gbitPerSecond: median(figures.map(({ gbitPerSecond }) => gbitPerSecond)),
    gbitPerCpuSecond: median(figures.map(({ gbitPerCpuSecond }) => gbitPerCpuSecond)),
  };
}

function print(title: string, name: Name, figures: Figures): void {
  const rate = figures.gbitPerSecond.toFixed(3);
  const perCpu = figures.gbitPerCpuSecond.toFixed(3);
  process.stdout.write(
    `${title.padEnd(14)}${name.padEnd(14)}${rate} Gbit/s   ${perCpu} Gbit per CPU second\n`,
  );
}
