/**
 * Addresses that name no single host behind a tunnel, so that nobody sends from one unless told by name.
 *
 * Sources: RFC 6890 (special-purpose registries), RFC 1112 §4, RFC 5771, RFC 4291 §2. The trap: a default route
 * covers all of them and means none of them.
 */
import { type Prefix, parsePrefix, prefixesOverlap } from "./prefix.ts";

/** The blocks that `isMartian` knows; the mapped one has no text that `parsePrefix` takes. */
const BLOCKS: readonly Prefix[] = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/3",
  "::/96",
  "fe80::/10",
  "ff00::/8",
].flatMap((text) => {
  const parsed = parsePrefix(text);
  return "prefix" in parsed ? [parsed.prefix] : [];
});

/** Whether a prefix lies in one of the blocks as a whole: whoever configures it means it. */
export function isMartianPrefix(prefix: Prefix): boolean {
  return BLOCKS.some((block) => prefix.length >= block.length && prefixesOverlap(block, prefix));
}

/** An IPv4 or IPv6 address at `offset`: "this" network, loopback, link-local, multicast, reserved, IPv4-mapped. */
export function isMartian(bytes: Uint8Array, offset: number, family: 4 | 6): boolean {
  return family === 4 ? isMartian4(bytes, offset) : isMartian6(bytes, offset);
}

/** 0/8, 127/8, 169.254/16, 224/4, 240/4. */
function isMartian4(bytes: Uint8Array, offset: number): boolean {
  const first = bytes[offset] ?? 0;
  if (first === 0 || first === 127 || first >= 224) return true;
  return first === 169 && bytes[offset + 1] === 254;
}

/** ::/96 (::, ::1 and IPv4-compatible), ::ffff:0:0/96, fe80::/10, ff00::/8. */
function isMartian6(bytes: Uint8Array, offset: number): boolean {
  const first = bytes[offset] ?? 0;
  if (first === 0xff) return true;
  if (first === 0xfe && ((bytes[offset + 1] ?? 0) & 0xc0) === 0x80) return true;
  for (let at = offset; at < offset + 10; at++) if (bytes[at] !== 0) return false;
  const [high, low] = [bytes[offset + 10], bytes[offset + 11]];
  return (high === 0 && low === 0) || (high === 0xff && low === 0xff);
}
