/**
 * The interface's table of nftables: against packets to inner addresses that did not come through the tunnel.
 *
 * A host takes packets for any of its addresses from any of its devices. Whoever shares a network with it can
 * so ask by forged packets which inner address it has and what connections run inside, and put data into them
 * (CVE-2019-14899): what comes by another device for an inner address is dropped, unless this host sent it.
 * A second rule, where a default route is tunnelled: the tunnel's own datagrams get its mark as they come in,
 * so that a reverse path filter (rp_filter = 1, firewalld) looks for the way back as the tunnel does.
 *
 * Source: nft(8). Pure text and the two calls of `nft`; a whole file is one transaction.
 */
import type { ProcessResult, RunProcess } from "./ip-command.ts";

/** What the table holds. */
export interface FirewallPlan {
  readonly device: string;
  /** Inner addresses to keep others from; empty: none. */
  readonly addresses: { readonly 4: readonly string[]; readonly 6: readonly string[] };
  /** The outer socket where a default route is tunnelled. */
  readonly socket: { readonly port: number; readonly mark: number } | undefined;
}

/**
 * The table's name. Device names have letters, digits, "_", "-", "." and "@"; the last is none that nft takes,
 * and "/" is one that no device has.
 */
export function tableName(device: string): string {
  return `iptun_${device.replaceAll("@", "/")}`;
}

/** The file for nft that puts the table in place of one of its name. */
export function firewallText({ device, addresses, socket }: FirewallPlan): string {
  const other = `iifname != "${device}"`;
  const drops = ([4, 6] as const).flatMap((family) => {
    const field = family === 4 ? "ip daddr" : "ip6 daddr";
    const list = addresses[family].join(", ");
    return list === ""
      ? []
      : [`${other} ${field} { ${list} } fib saddr type != local counter drop`];
  });
  const marks =
    socket === undefined
      ? []
      : [`${other} fib daddr type local udp dport ${socket.port} meta mark set ${socket.mark}`];
  return [
    removalText(device),
    `table inet ${tableName(device)} {`,
    "  chain prerouting {",
    // That of "raw": before anything else looks at the packet.
    "    type filter hook prerouting priority -300; policy accept;",
    ...[...drops, ...marks].map((rule) => `    ${rule}`),
    "  }",
    "}\n",
  ].join("\n");
}

/** Puts the table in place; the reason where that fails. */
export async function setFirewall(
  plan: FirewallPlan,
  run: RunProcess,
): Promise<string | undefined> {
  return faultOf(await run("nft", ["-f", "-"], firewallText(plan)));
}

/** Takes the table away, if it is there; the reason where that fails. */
export async function removeFirewall(device: string, run: RunProcess): Promise<string | undefined> {
  return faultOf(await run("nft", ["-f", "-"], `${removalText(device)}\n`));
}

/** Whether the table is there with its rules. */
export async function hasFirewall(device: string, run: RunProcess): Promise<boolean> {
  const { exitCode, stdout } = await run("nft", ["list", "table", "inet", tableName(device)], "");
  return exitCode === 0 && stdout.includes("iifname");
}

/** Adding makes it there to be deleted: no error, whether it was there or not. */
function removalText(device: string): string {
  const table = `table inet ${tableName(device)}`;
  return `add ${table}\ndelete ${table}`;
}

function faultOf({ exitCode, stderr, startError }: ProcessResult): string | undefined {
  if (exitCode === 0) return undefined;
  if (startError?.includes("ENOENT") === true) return "nft is not installed";
  const [line = ""] = stderr.split("\n");
  return `nft: ${line.replace(/^.*Error: /, "") || (startError ?? `exit code ${exitCode}`)}`;
}
