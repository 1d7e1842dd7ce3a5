/**
 * Which offloads of the kernel are in use, and why the others are not: a pure function and its text.
 *
 * Not here: asking the kernel, which the engine does once when it opens device and socket. What was
 * wanted and is not in use is what the kernel does not have, because nothing else refuses an offload.
 */
import type { EngineFeatures, OffloadWish } from "../../engine/messages.ts";

type Offloads = EngineFeatures["offloads"];

/** Every offload by its name, in one of three lists. */
export interface OffloadState {
  /** In use. */
  readonly offloads: Offloads;
  /** Switched off in the configuration. */
  readonly offloadsOff: Offloads;
  /** Wanted, but the kernel does not have them. */
  readonly offloadsMissing: Offloads;
}

const ALL: Offloads = ["tso", "uso", "gso", "gro"];

/** The state where `wish` was asked for and `used` was given; without `used` all that is wished. */
export function offloadState(wish: OffloadWish, used: Offloads = ALL): OffloadState {
  const wanted = ALL.filter((name) => wish[name]);
  return {
    offloads: wanted.filter((name) => used.includes(name)),
    offloadsOff: ALL.filter((name) => !wish[name]),
    offloadsMissing: wanted.filter((name) => !used.includes(name)),
  };
}

/** The state on one line: "tso, gro; not in this kernel: uso; switched off: gso". */
export function offloadText({ offloads, offloadsOff, offloadsMissing }: OffloadState): string {
  return [
    offloads.join(", ") || "none",
    ...named("not in this kernel", offloadsMissing),
    ...named("switched off", offloadsOff),
  ].join("; ");
}

function named(title: string, names: Offloads): readonly string[] {
  return names.length === 0 ? [] : [`${title}: ${names.join(", ")}`];
}
