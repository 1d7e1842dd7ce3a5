/** One event of each kind, as the core tells them. */
import type { TunnelEvent } from "../../src/core/options.ts";
import { mapAddress } from "../../src/core/prefix.ts";
import { prefix } from "./config.ts";

const HERE = { address: mapAddress(Uint8Array.of(192, 0, 2, 1)), port: 1194, scope: 0 };
const THERE = { ...HERE, port: 5000 };

/** Complete: a kind that is missing does not compile. */
export const EVENTS: { readonly [Kind in TunnelEvent["kind"]]: TunnelEvent & { kind: Kind } } = {
  session: {
    kind: "session",
    peer: "b",
    isNew: true,
    isInitiator: true,
    fingerprint: "8d493a44",
    endpoint: HERE,
  },
  down: { kind: "down", peer: "b", reason: "closed" },
  endpoint: { kind: "endpoint", peer: "b", from: undefined, to: THERE },
  dead: { kind: "dead", peer: "b", endpoint: HERE },
  stale: { kind: "stale", peer: "b", endpointForgotten: true },
  unanswered: { kind: "unanswered", peer: "b", seconds: 30 },
  stranger: { kind: "stranger", source: HERE, reason: "bad_mac" },
  claim: { kind: "claim", peer: "g/1", holder: "g/2", prefix: prefix("10.1.0.5/32") },
  moved: { kind: "moved", peer: "g/1", holder: "g/2", prefix: prefix("10.1.0.5/32") },
  mtu: { kind: "mtu", peer: "b", from: 1440, mtu: 1360, pathMtu: 1420 },
  lost: { kind: "lost", count: 7 },
};
