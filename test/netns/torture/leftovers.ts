/**
 * What a tunnel may leave on a host: device, addresses, routes, rules, firewall table, sockets.
 */
import type { Host } from "../../../scripts/netns/lab.ts";
import { TUN } from "../../../scripts/netns/topology.ts";

/** Everything of the network that a tunnel changes, as the host's own tools show it, and who listens. */
const COMMANDS = [
  ...["ip -br link", "ip -o -N address", "ip -N rule", "ip -N -6 rule"],
  ...["ip -N route show table all", "ip -N -6 route show table all", "nft list ruleset"],
  "ss -Hlntu",
];

/** The host's network as text; equal texts mean that nothing was left behind. */
export async function networkOf(host: Host): Promise<string> {
  const script = COMMANDS.map((one) => `echo "# ${one}"; ${one}`).join(";");
  const text = await host.output(["sh", "-c", script]);
  // A wire's link-local address comes some time after the wire; what is of the tunnel's device counts.
  const isOurs = (line: string) => !/fe80:|ff00:/.test(line) || line.includes(TUN);
  return text.split("\n").filter(isOurs).join("\n");
}
