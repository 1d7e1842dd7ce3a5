/** An uplink that dies in silence: it is there, and nothing comes or goes. */
import type { Host } from "./lab.ts";

/** Drops everything that comes and goes on a device, without a word. */
export async function silence(host: Host, device: string): Promise<void> {
  const chain = (hook: string) =>
    `add chain inet silence ${hook} { type filter hook ${hook} priority 0; }`;
  const rules = [
    "add table inet silence",
    chain("input"),
    chain("output"),
    `add rule inet silence input iifname ${device} drop`,
    `add rule inet silence output oifname ${device} drop`,
  ];
  await host.output(["nft", rules.join("; ")]);
}

/** Ends that. */
export async function unsilence(host: Host): Promise<void> {
  await host.output(["nft", "delete table inet silence"]);
}
