/** What metrics are made of, and their text, for the tests of metrics. */
import { dropCounters } from "../../src/core/drop-reason.ts";
import type { PeerSnapshot } from "../../src/core/options.ts";
import { statusDocument } from "../../src/daemon/control/status.ts";
import type { Reading } from "../../src/daemon/web/metric-table.ts";
import { Metrics } from "../../src/daemon/web/metrics.ts";
import { peerSnapshot, statusInput, tunnelSnapshot } from "./snapshot.ts";

/** The text of one scrape. */
export async function scrape(...peers: readonly PeerSnapshot[]): Promise<string> {
  return await new Metrics(
    async () => reading(...peers),
    () => 0,
  ).text();
}

/** One peer that is up, unless told otherwise; three forged datagrams. */
export function reading(...peers: readonly PeerSnapshot[]): Reading {
  const snapshot = tunnelSnapshot({
    peers: peers.length === 0 ? [peerSnapshot()] : peers,
    drops: { ...dropCounters(), forged: 3 },
  });
  const status = statusDocument(statusInput(snapshot));
  return {
    status,
    nowSeconds: 1_700_000_000,
    startedSeconds: 1_699_999_000,
    cpuSeconds: 2.5,
    engineLoop: { idleMs: 900, activeMs: 100 },
    controlDelay: { meanMs: 1, maxMs: 20 },
  };
}
