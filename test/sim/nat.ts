/**
 * A network address translator in front of some hosts, after RFC 4787.
 *
 * Mapping and filtering each are endpoint-independent, address-dependent, or address-and-port-dependent
 * (RFC 4787 §4.1, §5). Only outbound traffic refreshes a mapping (§4.3, REQ-6). `rebind` forgets all
 * mappings, as a reboot or an emptied connection table does; the next datagram gets a new port.
 */

import type { Instant } from "../../src/core/time.ts";
import { type SocketAddress, socketText } from "../helpers/address.ts";

/** What a mapping or filter depends on (RFC 4787 §4.1, §5). */
export type NatBehaviour = "endpoint" | "address" | "address-and-port";

export interface NatOptions {
  /** The public address. */
  readonly ip: string;
  readonly mapping: NatBehaviour;
  readonly filtering: NatBehaviour;
  /** Milliseconds without outbound traffic after which a mapping ends. */
  readonly expiryMs: number;
  /** A new port for every datagram: not in the RFC, but the worst that was ever met. */
  readonly isFresh: boolean;
}

/** The common home router: one mapping for all destinations, replies from contacted ones only, 120 s. */
export const HOME_NAT: Omit<NatOptions, "ip"> = {
  mapping: "endpoint",
  filtering: "address-and-port",
  expiryMs: 120_000,
  isFresh: false,
};

interface Mapping {
  readonly key: string;
  readonly inside: SocketAddress;
  readonly port: number;
  /** Destinations contacted through it, as the filter sees them. */
  readonly contacted: Set<string>;
  usedAt: Instant;
}

/** One translator. */
export class Nat {
  readonly options: NatOptions;
  readonly #byKey = new Map<string, Mapping>();
  readonly #byPort = new Map<number, Mapping>();
  #nextPort = 40_000;

  constructor(options: Partial<NatOptions> & Pick<NatOptions, "ip">) {
    this.options = { ...HOME_NAT, ...options };
  }

  /** Mappings in the table, expired ones included. */
  get size(): number {
    return this.#byPort.size;
  }

  /** The public source of a datagram from `inside` to `to`. */
  outbound(inside: SocketAddress, to: SocketAddress, now: Instant): SocketAddress {
    const key = `${socketText(inside)} ${part(to, this.options.mapping)}`;
    const live = this.#byKey.get(key);
    const mapping =
      live !== undefined && !this.options.isFresh && !this.#isExpired(live, now)
        ? live
        : this.#map(key, inside, now);
    mapping.usedAt = now;
    mapping.contacted.add(part(to, this.options.filtering));
    return { ip: this.options.ip, port: mapping.port };
  }

  /** The inside address of a datagram from `from` to public `port`, or undefined where the filter drops it. */
  inbound(from: SocketAddress, port: number, now: Instant): SocketAddress | undefined {
    const mapping = this.#byPort.get(port);
    if (mapping === undefined || this.#isExpired(mapping, now)) return undefined;
    const isAllowed = mapping.contacted.has(part(from, this.options.filtering));
    return isAllowed ? mapping.inside : undefined;
  }

  /** Forgets all mappings. */
  rebind(): void {
    this.#byKey.clear();
    this.#byPort.clear();
  }

  #map(key: string, inside: SocketAddress, now: Instant): Mapping {
    const mapping = {
      key,
      inside,
      port: this.#nextPort,
      contacted: new Set<string>(),
      usedAt: now,
    };
    this.#nextPort += 1;
    this.#byKey.set(key, mapping);
    this.#byPort.set(mapping.port, mapping);
    return mapping;
  }

  #isExpired(mapping: Mapping, now: Instant): boolean {
    return now - mapping.usedAt >= this.options.expiryMs;
  }
}

function part(address: SocketAddress, behaviour: NatBehaviour): string {
  if (behaviour === "endpoint") return "any";
  return behaviour === "address" ? address.ip : socketText(address);
}
