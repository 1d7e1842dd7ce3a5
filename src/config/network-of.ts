/**
 * The network that an address of the interface stands in: the kernel routes it into the device.
 */
import { formatAddress, type Prefix, parsePrefix } from "../core/prefix.ts";
import type { InterfaceAddress } from "./config.ts";

/** The address's prefix, host bits cleared. */
export function networkOf(address: InterfaceAddress): Prefix {
  const parsed = parsePrefix(`${formatAddress(address.bytes)}/${address.prefixLength}`);
  if ("prefix" in parsed) return parsed.prefix;
  throw new Error("an interface's address has no network");
}
