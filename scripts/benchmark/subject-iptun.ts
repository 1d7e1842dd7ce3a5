/**
 * iptun, as a user gets it and with its own offloads switched off in the config.
 *
 * The outer link stays the same for both: "offloads off" is iptun asking the kernel for nothing.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeKey, type OffloadSettings } from "../netns/daemon.ts";
import { ROOT } from "../netns/process.ts";
import { ADDRESSES, type SideOptions, sideDaemon, startDaemons, TUN } from "../netns/topology.ts";
import type { Hosts, Subject, Tunnel } from "./subject.ts";

const MTU = 1420;
const NO_OFFLOADS: OffloadSettings = { tso: false, uso: false, gso: false, gro: false };

/** iptun with its default configuration. */
export const iptun: Subject = {
  title: "iptun",
  note: "default configuration",
  version,
  open: async (hosts) => await openIptun(hosts),
};

/** iptun that asks for no offload. */
export const iptunPlain: Subject = {
  title: "iptun, its offloads off",
  note: "tso, uso, gso and gro off in its config",
  version,
  open: async (hosts) => await openIptun(hosts, NO_OFFLOADS),
};

async function openIptun(hosts: Hosts, offload?: OffloadSettings): Promise<Tunnel> {
  const keyFile = await makeKey(hosts.left.dir);
  const options: SideOptions = {
    settings: { mtu: MTU, ...(offload === undefined ? {} : { offload }) },
  };
  const pair = {
    left: sideDaemon(hosts.left, "left", keyFile, options),
    right: sideDaemon(hosts.right, "right", keyFile, options),
    keyFile,
  };
  await startDaemons(pair);
  const processes = [pair.left.child, pair.right.child];
  return { address: ADDRESSES.right.inner4, device: TUN, processes };
}

function version(): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly version: string;
  };
  return `iptun ${version}`;
}
