/**
 * The operator's programs: which run when, how many wait, what the stop gives them.
 */
import { describe, expect, it } from "vitest";
import type { HooksConfig } from "../../../src/config/config.ts";
import type { PeerSnapshot, QualitySnapshot } from "../../../src/core/options.ts";
import { mapAddress } from "../../../src/core/prefix.ts";
import type { HookEnd } from "../../../src/daemon/hooks/hook-process.ts";
import {
  DOWN_LIMIT_MS,
  Hooks,
  MOST_WAITING,
  MOST_WAITING_OF_NODES,
  QUALITY_POLL_MS,
} from "../../../src/daemon/hooks/hooks.ts";
import { NO_HOOKS } from "../config.ts";
import { memoryLog } from "../log.ts";
import { peerSnapshot, tunnelSnapshot } from "../snapshot.ts";
import { ManualTimers, settle } from "../timers.ts";

const READY = { descriptors: { tun: 3, udp: 4 }, mtu: 1420 };
const GOOD: HookEnd = { exitCode: 0, fault: undefined, line: "" };
const COMMON = { IPTUN_INTERFACE: "iptun0" };
const ENDPOINT = { address: mapAddress(Uint8Array.of(192, 0, 2, 2)), port: 1194, scope: 0 };
const SESSION = { isInitiator: true, fingerprint: "8d493a44", endpoint: ENDPOINT };

describe("a hook runs", () => {
  it("at the start with the MTU", () => {
    const { hooks, runs } = rig({ up: ["/up", "now"] });
    hooks.ready({ engine: engine([]), ...READY });
    expect(runs.map(({ command, variables }) => [command, variables])).toEqual([
      [["/up", "now"], { ...COMMON, IPTUN_EVENT: "up", IPTUN_MTU: "1420" }],
    ]);
  });

  it("for a peer's session, not for a new one of a peer that is up, and for its end", async () => {
    const { hooks, runs } = rig({ peer_up: ["/on"], peer_down: ["/off"] }, true);
    hooks.event({ kind: "session", peer: "b", isNew: true, ...SESSION });
    hooks.event({ kind: "session", peer: "b", isNew: false, ...SESSION });
    hooks.event({ kind: "down", peer: "b", reason: "closed" });
    await settle();
    expect(runs.map(({ variables }) => variables)).toEqual([
      { ...COMMON, IPTUN_EVENT: "peer_up", IPTUN_PEER: "b", IPTUN_ENDPOINT: "192.0.2.2:1194" },
      { ...COMMON, IPTUN_EVENT: "peer_down", IPTUN_PEER: "b", IPTUN_REASON: "closed" },
    ]);
  });

  it("for an endpoint that moved, and for the first", () => {
    const { hooks, runs } = rig({ endpoint_changed: ["/moved"] }, true);
    const to = { ...ENDPOINT, port: 5 };
    hooks.event({ kind: "endpoint", peer: "b", from: undefined, to: ENDPOINT });
    hooks.event({ kind: "endpoint", peer: "b", from: ENDPOINT, to });
    const ends = runs.map(({ variables: { IPTUN_OLD_ENDPOINT, IPTUN_ENDPOINT } }) => [
      ...[IPTUN_OLD_ENDPOINT, IPTUN_ENDPOINT],
    ]);
    expect(ends[0]).toEqual(["", "192.0.2.2:1194"]);
  });

  it("not where none is configured", () => {
    const { hooks, runs } = rig({});
    hooks.ready({ engine: engine([]), ...READY });
    hooks.event({ kind: "down", peer: "b", reason: "closed" });
    expect(runs).toEqual([]);
  });
});

describe("quality", () => {
  it("is told at a crossing only, with a gap before a path is good again", async () => {
    const shown: QualitySnapshot[] = [
      ...[quality(0.04, 150), quality(0.06, 150), quality(0.03, 150), quality(0.02, 150)],
      ...[quality(undefined, undefined), quality(0, 201), quality(undefined, undefined)],
      ...[quality(0, 170), quality(0, 160)],
    ];
    const { hooks, runs, timers } = rig({ quality: ["/q"] }, true);
    const peers = () => [peerSnapshot({ quality: shown[0] ?? quality(0, 0) })];
    const told: string[] = [];
    hooks.ready({ engine: engine(peers), ...READY });
    while (shown.length > 0) {
      await timers.fire(QUALITY_POLL_MS);
      told.push(
        runs
          .splice(0)
          .map(({ variables }) => variables["IPTUN_QUALITY"])
          .join(),
      );
      shown.shift();
    }
    expect(told).toEqual(["", "bad", "", "good", "", "bad", "", "", "good"]);
  });

  it("names the peer, the worse loss and the round trip", async () => {
    const { hooks, runs, timers } = rig({ quality: ["/q"] });
    hooks.ready({ engine: engine(() => [peerSnapshot({ quality: quality(0.5, 20) })]), ...READY });
    await timers.fire(QUALITY_POLL_MS);
    expect(runs[0]?.variables).toMatchObject({
      ...{ IPTUN_EVENT: "quality", IPTUN_PEER: "b", IPTUN_QUALITY: "bad" },
      ...{ IPTUN_LOSS: "0.5000", IPTUN_RTT_MS: "20.0" },
    });
  });

  it("is not looked at where nobody wants it", () => {
    const { hooks, timers } = rig({ up: ["/up"] });
    hooks.ready({ engine: engine([]), ...READY });
    expect(timers.delays()).toEqual([]);
  });
});

describe("runs", () => {
  it("of what happens to peers follow each other in order, whatever their kind", async () => {
    const { hooks, runs } = rig({
      ...{ peer_up: ["/on"], peer_down: ["/off"], endpoint_changed: ["/moved"], up: ["/up"] },
    });
    hooks.event({ kind: "down", peer: "a", reason: "closed" });
    hooks.event({ kind: "endpoint", peer: "a", from: undefined, to: ENDPOINT });
    hooks.event({ kind: "session", peer: "a", isNew: true, ...SESSION });
    const order = ["peer_down a", "endpoint_changed a", "peer_up a"];
    for (let at = 0; at < order.length; at += 1) {
      expect(names(runs)).toEqual(order.slice(0, at + 1));
      runs[at]?.end(GOOD);
      await settle();
    }
  });

  it("of other kinds do not wait for them", () => {
    const { hooks, runs } = rig({ peer_up: ["/on"], up: ["/up"] });
    hooks.event({ kind: "session", peer: "a", isNew: true, ...SESSION });
    hooks.ready({ engine: engine([]), ...READY });
    expect(names(runs)).toEqual(["peer_up a", "up"]);
  });

  it("are bounded; what is left out is said at once and counted afterwards", async () => {
    const { hooks, runs, log } = rig({ peer_up: ["/on"] });
    for (let at = 0; at < MOST_WAITING + 11; at += 1) {
      hooks.event({ kind: "session", peer: `p${at}`, isNew: true, ...SESSION });
    }
    expect(log.lines).toEqual([
      `warn hooks of peers: ${MOST_WAITING} runs wait, more are left out`,
    ]);
    for (let at = 0; at <= MOST_WAITING; at += 1) {
      runs[at]?.end(GOOD);
      await Promise.resolve();
      await settle();
    }
    expect(runs).toHaveLength(MOST_WAITING + 1);
    expect(log.lines.at(-1)).toBe("warn hooks of peers: 10 runs were left out");
  });

  it("for nodes of groups fill half of what may wait, and leave the rest to pairs", async () => {
    const { hooks, runs, log } = rig({ peer_up: ["/on"], peer_down: ["/off"] });
    for (let at = 0; at < MOST_WAITING; at += 1) {
      hooks.event({ kind: "session", peer: "sites/one", isNew: true, ...SESSION });
      hooks.event({ kind: "down", peer: "sites/one", reason: "closed" });
    }
    expect(log.lines).toEqual([
      `warn hooks of peers: ${MOST_WAITING_OF_NODES} runs for nodes of groups wait, more are left out`,
    ]);
    hooks.event({ kind: "down", peer: "b", reason: "closed" });
    for (let at = 0; at <= MOST_WAITING_OF_NODES; at += 1) {
      runs[at]?.end(GOOD);
      await settle();
    }
    expect(runs).toHaveLength(MOST_WAITING_OF_NODES + 2);
    expect(names(runs).at(-1)).toBe("peer_down b");
  });

  it("are logged: the first line for debugging, a failure as a warning", async () => {
    const { hooks, runs, log } = rig({ up: ["/up"] });
    hooks.ready({ engine: engine([]), ...READY });
    runs[0]?.end({ exitCode: 3, fault: undefined, line: "no such thing" });
    await settle();
    expect(log.lines).toEqual(["debug hook up: no such thing", "warn hook up failed: exit code 3"]);
  });
});

describe("the stop", () => {
  it("runs down, waits for it, and drops what waits", async () => {
    const { hooks, runs } = rig({ up: ["/up"], down: ["/down"], peer_up: ["/on"] });
    hooks.ready({ engine: engine([]), ...READY });
    for (const peer of ["a", "b"]) hooks.event({ kind: "session", peer, isNew: true, ...SESSION });
    const stopped = hooks.stopping(false);
    expect(names(runs)).toEqual(["up", "peer_up a", "down"]);
    runs[2]?.end(GOOD);
    await stopped;
    expect(runs.map(({ isKilled }) => isKilled)).toEqual([true, true, false]);
    hooks.event({ kind: "session", peer: "c", isNew: true, ...SESSION });
    expect(runs).toHaveLength(3);
  });

  it("ends a down that takes too long", async () => {
    const { hooks, runs, timers, log } = rig({ down: ["/down"] });
    hooks.ready({ engine: engine([]), ...READY });
    const stopped = hooks.stopping(false);
    await timers.fire(DOWN_LIMIT_MS);
    await stopped;
    expect(runs[0]?.isKilled).toBe(true);
    expect(log.lines).toEqual([
      `warn hook down: ended after ${DOWN_LIMIT_MS} ms, the stop waits no longer`,
    ]);
  });

  it("runs no down where another process goes on with the tunnel", async () => {
    const { hooks, runs } = rig({ up: ["/up"], down: ["/down"] });
    hooks.ready({ engine: engine([]), ...READY });
    await hooks.stopping(true);
    expect(names(runs)).toEqual(["up"]);
  });

  it("runs no down where the tunnel never was up", async () => {
    const { hooks, runs } = rig({ down: ["/down"] });
    await hooks.stopping(false);
    expect(runs).toEqual([]);
  });
});

interface Run {
  readonly command: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly end: (end: HookEnd) => void;
  isKilled: boolean;
}

/** `isInstant`: each run ends at once. */
function rig(commands: Partial<HooksConfig["commands"]>, isInstant = false) {
  const [runs, timers, log] = [[] as Run[], new ManualTimers(), memoryLog()];
  const hooks = new Hooks({
    hooks: { ...NO_HOOKS, commands: { ...NO_HOOKS.commands, ...commands } },
    interfaceName: "iptun0",
    run: (command, variables) => {
      let end: Run["end"] = () => undefined;
      const ended = new Promise<HookEnd>((resolve) => {
        end = resolve;
      });
      const run: Run = { command, variables, end, isKilled: false };
      runs.push(run);
      if (isInstant) end(GOOD);
      return {
        ended,
        kill: () => {
          run.isKilled = true;
        },
      };
    },
    startTimer: timers.start,
    log,
  });
  return { hooks, runs, timers, log };
}

function engine(peers: readonly PeerSnapshot[] | (() => readonly PeerSnapshot[])) {
  const now = () => (typeof peers === "function" ? peers() : peers);
  return {
    ping: async () => {},
    snapshot: async () => ({ snapshot: tunnelSnapshot({ peers: now() }) }),
  };
}

function quality(loss: number | undefined, rttMs: number | undefined): QualitySnapshot {
  const roundTrip =
    rttMs === undefined ? undefined : { smoothed: rttMs, min: rttMs, p95: rttMs, jitter: 0 };
  return { roundTrip, outboundLoss: loss, inboundLoss: loss === undefined ? undefined : 0 };
}

function names(runs: readonly Run[]): readonly string[] {
  return runs.map(({ variables: { IPTUN_EVENT, IPTUN_PEER = "" } }) =>
    `${IPTUN_EVENT} ${IPTUN_PEER}`.trim(),
  );
}
