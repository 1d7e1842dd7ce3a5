/** What is known of the path to a peer, and what the outer headers take of it; path-mtu.ts finds it out. */
import { type Endpoint, isIpv4 } from "../address.ts";
import { SEARCH_RETRY_MS } from "../constants.ts";
import type { PathSearch } from "./path-search.ts";

/** Bytes of IP and UDP header (RFC 791, RFC 8200, RFC 768). */
const IPV4_OUTER_BYTES = 28;
const IPV6_OUTER_BYTES = 48;

/** What is known of a peer's path; a peer whose MTU is fixed has none. */
export class Path {
  /** Bytes of the outer IP packet that are known to pass; 0: not known yet. */
  confirmed = 0;
  /** Under way, or undefined. */
  search: PathSearch | undefined;
  /** Probes of the confirmed size that were lost in a row. */
  misses = 0;
  /** A probe of the confirmed size waits for its answer. */
  isConfirming = false;
  /** A datagram longer than every path carries was sent since the last probe. */
  hasLarge = false;
  /** Wait before the next search where the last one had no answer at all, milliseconds. */
  retryMs = SEARCH_RETRY_MS;
}

/** Bytes of IP and UDP header around a datagram to this endpoint. */
export function outerBytes(to: Endpoint): number {
  return isIpv4(to) ? IPV4_OUTER_BYTES : IPV6_OUTER_BYTES;
}
