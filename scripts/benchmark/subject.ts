/**
 * The terms of every subject of the benchmark: what it is asked for, and what it must give back.
 *
 * A subject puts its tunnel between two hosts that are wired already (outer addresses as in
 * netns/topology.ts) and sets nothing of the wire. Outer addresses are IPv4 for all.
 */
import type { Host } from "../netns/lab.ts";
import type { Child } from "../netns/process.ts";
import { ADDRESSES, type SideName } from "../netns/topology.ts";

/** Bytes of an IPv4 header without options, and of a UDP header. */
export const OUTER_BYTES = 28;
/** The outer wire. */
export const OUTER_MTU = 1500;

/** Two wired hosts. */
export interface Hosts {
  readonly left: Host;
  readonly right: Host;
}

/** A tunnel of some program between two hosts. */
export interface Tunnel {
  /** Address of the right host inside the tunnel. */
  readonly address: string;
  /** Device of the tunnel on the left host. */
  readonly device: string;
  /** The program at both ends, the left one first; empty where the kernel carries. */
  readonly processes: readonly Child[];
}

/** Something to measure. */
export interface Subject {
  readonly title: string;
  /** What was set, for the reader of the figures. */
  readonly note: string;
  /** Version of the program in its own words. */
  readonly version: () => string;
  readonly open: (hosts: Hosts) => Promise<Tunnel>;
}

/** Inner and outer IPv4 addresses of `side` and of the other one. */
export function addressesOf(side: SideName) {
  return { own: ADDRESSES[side], other: ADDRESSES[side === "left" ? "right" : "left"] };
}
