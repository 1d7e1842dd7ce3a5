/**
 * Addresses that name no single host behind a tunnel, so that nobody sends from one unless told by name.
 *
 * Sources: RFC 6890 (special-purpose registries), RFC 1112 §4, RFC 5771, RFC 4291 §2. The trap: a default route
 * covers all of them and means none of them.
 */

import { RouteTable } from "../peers/routes.ts";
import { type Prefix, parsePrefix, prefixesOverlap } from "../prefix.ts";

/** "This" network, loopback, link-local, multicast and reserved. */
const TEXTS = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/3",
  "::/96",
  "fe80::/10",
  "ff00::/8",
];
/** ::ffff:0:0/96, which has no text that `parsePrefix` takes. */
const MAPPED: Prefix = {
  family: 6,
  bytes: Uint8Array.from({ length: 16 }, (_, index) => (index === 10 || index === 11 ? 0xff : 0)),
  length: 96,
};
const BLOCKS: readonly Prefix[] = TEXTS.flatMap((text) => {
  const parsed = parsePrefix(text);
  return "prefix" in parsed ? [parsed.prefix] : [];
}).concat(MAPPED);

const table = new RouteTable<Prefix>();
for (const block of BLOCKS) table.insert(block, block);

/** Whether a prefix lies in one of the blocks as a whole: whoever configures it means it. */
export function isMartianPrefix(prefix: Prefix): boolean {
  return BLOCKS.some((block) => prefix.length >= block.length && prefixesOverlap(block, prefix));
}

/** Whether the IPv4 or IPv6 address at `offset` lies in one of the blocks. */
export function isMartian(bytes: Uint8Array, offset: number, family: 4 | 6): boolean {
  const block = family === 4 ? table.lookup4(bytes, offset) : table.lookup6(bytes, offset);
  return block !== undefined;
}
