/**
 * Kinds of outer link: what the device below a tunnel can do for it.
 *
 * All are the same veth pair; the kinds differ in the features that ethtool(8) takes away at both ends.
 * The trap: a feature that cannot be switched would leave a link that is not what its name says, so the
 * state is read back and a wrong one is an error. Checksums are the exception: not every kernel lets
 * go of them.
 */
import type { Host } from "../netns/lab.ts";

const UNDER = "eth0";

interface LinkKind {
  readonly title: string;
  /** ethtool's short names. */
  readonly on: readonly string[];
  readonly off: readonly string[];
}

/** The kinds of outer link, by the name that `--link` takes. */
export const LINKS = {
  "as-is": { title: "veth as it is", on: [], off: [] },
  nic: {
    title: "like a common NIC: TSO, GSO, UDP segmentation off",
    on: ["gro"],
    off: ["tx-udp-segmentation", "tso", "gso"],
  },
  off: {
    title: "every offload off",
    on: [],
    off: ["tx-udp-segmentation", "tso", "gso", "gro", "tx", "rx"],
  },
} as const satisfies Readonly<Record<string, LinkKind>>;

/** Name of a kind of link. */
export type LinkName = keyof typeof LINKS;
/** Names of the kinds, in the order in which they are measured and shown. */
export const LINK_NAMES = Object.keys(LINKS) as readonly LinkName[];

/** Long names of the features, as `ethtool -k` prints them. */
const LONG_NAMES: Readonly<Record<string, string>> = {
  "tx-udp-segmentation": "tx-udp-segmentation",
  tso: "tcp-segmentation-offload",
  gso: "generic-segmentation-offload",
  gro: "generic-receive-offload",
  tx: "tx-checksumming",
  rx: "rx-checksumming",
};
const MAY_STAY: readonly string[] = ["tx", "rx"];

/** State of each feature that a kind may change: true is on. */
export type LinkFeatures = Readonly<Record<string, boolean>>;

/** Makes the wire between two hosts one of `kind`; returns the features that it then has. */
export async function dressLink(
  hosts: { readonly left: Host; readonly right: Host },
  kind: LinkName,
): Promise<LinkFeatures> {
  const { on, off }: LinkKind = LINKS[kind];
  for (const host of [hosts.left, hosts.right]) {
    for (const feature of on) await host.run(["ethtool", "-K", UNDER, feature, "on"]);
    for (const feature of off) await host.run(["ethtool", "-K", UNDER, feature, "off"]);
  }
  const features = parseFeatures(await hosts.left.output(["ethtool", "-k", UNDER]));
  const wrong = [
    ...on.filter((feature) => features[feature] !== true),
    ...off.filter((feature) => features[feature] !== false && !MAY_STAY.includes(feature)),
  ];
  if (wrong.length > 0) throw new Error(`the kernel does not switch ${wrong.join(", ")} of a veth`);
  return features;
}

/** Reads the features of `LONG_NAMES` out of what `ethtool -k` prints. */
export function parseFeatures(text: string): LinkFeatures {
  return Object.fromEntries(
    Object.entries(LONG_NAMES).map(([short, long]) => [
      short,
      new RegExp(`^\\s*${long}: on\\b`, "m").test(text),
    ]),
  );
}
