/**
 * The distribution's fastd: layer 3 (`mode tun`), method salsa2012+umac.
 *
 * The trap: two ends that greet each other in the same moment can settle on two different sessions, so
 * only the left one knows the other's address, and the right one waits for it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { addAddress, type Host } from "../netns/lab.ts";
import { type Child, until } from "../netns/process.ts";
import { PORT, type SideName } from "../netns/topology.ts";
import { versionLine } from "./machine.ts";
import {
  addressesOf,
  type Hosts,
  OUTER_BYTES,
  OUTER_MTU,
  type Subject,
  type Tunnel,
} from "./subject.ts";

const DEVICE = "fastd0";
const METHOD = "salsa2012+umac";
/** Packet type, flags, nonce and tag: what the method adds to a packet. */
const OVERHEAD_BYTES = 1 + 1 + 6 + 16;
const MTU = OUTER_MTU - OUTER_BYTES - OVERHEAD_BYTES;

/** fastd as Debian ships it. */
export const fastd: Subject = {
  title: "fastd",
  note: `mode tun, ${METHOD}, mtu set so that the outer packet fits`,
  version: () => versionLine(["fastd", "--version"]),
  open: openFastd,
};

interface Keys {
  readonly secret: string;
  readonly publicKey: string;
}

async function openFastd(hosts: Hosts): Promise<Tunnel> {
  const keys = { left: await makeKeys(hosts.left), right: await makeKeys(hosts.right) };
  const right = await startSide(hosts.right, "right", keys.right, keys.left);
  const left = await startSide(hosts.left, "left", keys.left, keys.right);
  const isUp = /new session with .* established using method `salsa2012\+umac'/;
  for (const child of [left, right]) await child.waitForOutput(isUp, 15_000);
  return {
    address: addressesOf("left").other.inner4,
    device: DEVICE,
    processes: [left, right],
  };
}

async function makeKeys(host: Host): Promise<Keys> {
  const text = await host.output(["fastd", "--generate-key"]);
  const secret = /^Secret: ([0-9a-f]{64})$/m.exec(text)?.[1];
  const publicKey = /^Public: ([0-9a-f]{64})$/m.exec(text)?.[1];
  if (secret === undefined || publicKey === undefined) throw new Error("fastd makes no key");
  return { secret, publicKey };
}

async function startSide(host: Host, side: SideName, keys: Keys, otherKeys: Keys): Promise<Child> {
  const { own, other } = addressesOf(side);
  const remote = side === "left" ? `remote ${other.outer4}:${PORT};` : "";
  const config = [
    "log to stderr level verbose;",
    `interface "${DEVICE}";`,
    "mode tun;",
    `method "${METHOD}";`,
    `mtu ${MTU};`,
    `bind ${own.outer4}:${PORT};`,
    `secret "${keys.secret}";`,
    `peer "other" { key "${otherKeys.publicKey}"; ${remote} }`,
  ];
  const file = join(host.dir, "fastd.conf");
  writeFileSync(file, `${config.join("\n")}\n`, { mode: 0o600 });
  const child = host.start(["fastd", "--config", file]);
  await until(`device ${DEVICE}`, 5000, () => host.hasDevice(DEVICE) || undefined);
  addAddress(host, DEVICE, `${own.inner4}/24`);
  host.ip("link", "set", DEVICE, "up");
  return child;
}
