/**
 * The distribution's wireguard-go, set up with `wg`, in the foreground.
 *
 * The trap: it keeps a control socket by device name in /run, one folder for all namespaces, and leaves
 * it there when it is killed. So it gets a /run of its own, which goes with it; `wg` must look in there.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { addAddress, type Host } from "../netns/lab.ts";
import { type Child, until } from "../netns/process.ts";
import { hostPort, PORT, type SideName } from "../netns/topology.ts";
import { versionLine } from "./machine.ts";
import { addressesOf, type Hosts, type Subject, type Tunnel } from "./subject.ts";

const DEVICE = "wg0";
/** The default of `wg-quick` over a wire of 1500. */
const MTU = 1420;

/** wireguard-go as Debian ships it. */
export const wireguardGo: Subject = {
  title: "wireguard-go",
  note: "default configuration",
  version: () => versionLine(["wireguard-go", "--version"]),
  open: openWireguard,
};

interface Keys {
  readonly file: string;
  readonly publicKey: string;
}

async function openWireguard(hosts: Hosts): Promise<Tunnel> {
  const keys = { left: await makeKeys(hosts.left), right: await makeKeys(hosts.right) };
  const processes = [
    await startSide(hosts.left, "left", keys.left.file, keys.right.publicKey),
    await startSide(hosts.right, "right", keys.right.file, keys.left.publicKey),
  ];
  return { address: addressesOf("left").other.inner4, device: DEVICE, processes };
}

async function makeKeys(host: Host): Promise<Keys> {
  const file = join(host.dir, "wg.key");
  writeFileSync(file, await host.output(["wg", "genkey"]), { mode: 0o600 });
  const publicKey = await host.output(["sh", "-c", 'wg pubkey < "$1"', "sh", file]);
  return { file, publicKey: publicKey.trim() };
}

async function startSide(
  host: Host,
  side: SideName,
  keyFile: string,
  otherKey: string,
): Promise<Child> {
  const ownRun = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"];
  const child = host.start([...ownRun, "wireguard-go", "--foreground", DEVICE], {
    env: { LOG_LEVEL: "error", WG_PROCESS_FOREGROUND: "1" },
  });
  const wg = ["nsenter", `--target=${child.pid}`, "--mount", "wg"];
  await until(`device ${DEVICE}`, 5000, async () => {
    const { code } = await host.run([...wg, "show", DEVICE]);
    return code === 0 ? true : undefined;
  });
  const { own, other } = addressesOf(side);
  const local = ["listen-port", String(PORT), "private-key", keyFile];
  const peer = ["peer", otherKey, "endpoint", hostPort(other.outer4), "allowed-ips", "0.0.0.0/0"];
  await host.output([...wg, "set", DEVICE, ...local, ...peer]);
  addAddress(host, DEVICE, `${own.inner4}/24`);
  host.ip("link", "set", DEVICE, "mtu", String(MTU), "up");
  return child;
}
