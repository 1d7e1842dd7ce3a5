/** The part of the core that the engine's loop uses; tests put a fake in its place. */
import type { Tunnel } from "../core/tunnel.ts";
import type { ChangedTunnel } from "./change.ts";
import type { ProbingTunnel } from "./probing.ts";

/** The core as the loop uses it. */
export type EngineTunnel = ChangedTunnel &
  ProbingTunnel &
  Pick<
    Tunnel,
    | "buffers"
    | "setWallClock"
    | "handleDatagrams"
    | "handlePackets"
    | "handleTimeout"
    | "nextTimeout"
    | "pollTransmit"
    | "pollEvent"
    | "fingerprintOf"
    | "keepKeys"
    | "wipeKeys"
    | "rekey"
    | "close"
    | "closeNodes"
    | "wipe"
    | "snapshot"
    | "sample"
    | "countDrop"
    | "malformed"
  >;
