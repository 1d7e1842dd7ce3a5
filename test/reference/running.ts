/** A tunnel that has started, and the model of it. */
import type { Tunnel } from "../../src/core/tunnel.ts";
import type { TwinAead } from "../sim/twin-aead.ts";
import type { Model } from "./model/state.ts";

export interface Running {
  readonly tunnel: Tunnel;
  readonly model: Model;
  readonly aead: TwinAead;
}
