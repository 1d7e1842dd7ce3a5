/** When the peers' endpoints are written while a tunnel runs. */
import { expect, it } from "vitest";
import type { PeerSnapshot, TunnelEvent } from "../../../src/core/options.ts";
import { EndpointKeeper, KEEP_AFTER_MS } from "../../../src/daemon/succession/endpoint-keeper.ts";
import type { LastEndpoint } from "../../../src/engine/messages.ts";
import { endpoint } from "../../helpers/address.ts";
import { memoryLog } from "../log.ts";
import { peerSnapshot } from "../snapshot.ts";
import { ManualTimers } from "../timers.ts";

const AT = endpoint("192.0.2.7", 1194);
const ELSEWHERE = endpoint("192.0.2.8", 1194);
const UP = peerSnapshot({ name: "b", state: "up", endpoint: AT });
const MOVED: TunnelEvent = { kind: "endpoint", peer: "b", from: undefined, to: AT };

it("those that come up are written a while later, all at once", async () => {
  const rig = setUp();
  rig.ready();
  rig.keeper.event(session(true));
  rig.keeper.event(MOVED);
  expect(rig.written).toEqual([]);

  await rig.timers.fire(KEEP_AFTER_MS);

  expect(rig.written).toEqual([[{ peer: "b", endpoint: AT }]]);
  expect(rig.timers.delays()).toEqual([]);
});

it("what comes up before the tunnel is ready is written too", async () => {
  const rig = setUp();
  rig.keeper.event(session(true));
  rig.ready();

  await rig.timers.fire(KEEP_AFTER_MS);

  expect(rig.written).toHaveLength(1);
});

it("a peer that moves is written with its new endpoint, also while the one before is being written", async () => {
  const rig = setUp();
  rig.ready();
  rig.keeper.event(session(true));
  rig.onWrite = () => {
    rig.peers = [peerSnapshot({ name: "b", state: "up", endpoint: ELSEWHERE })];
    rig.keeper.event(MOVED);
    rig.onWrite = undefined;
  };
  await rig.timers.fire(KEEP_AFTER_MS);

  await rig.timers.fire(KEEP_AFTER_MS);

  expect(rig.written.at(-1)).toEqual([{ peer: "b", endpoint: ELSEWHERE }]);
});

it.each<[string, TunnelEvent]>([
  ["a rekey", session(false)],
  ["a peer that goes", { kind: "down", peer: "b", reason: "expired" }],
])("%s writes nothing, and asks nothing of the engine", (_what, event) => {
  const rig = setUp();
  rig.ready();

  rig.keeper.event(event);

  expect(rig.timers.delays()).toEqual([]);
});

it("endpoints that are as they were written are not written again", async () => {
  const rig = setUp();
  rig.ready();
  for (let time = 0; time < 2; time += 1) {
    rig.keeper.event(session(true));
    await rig.timers.fire(KEEP_AFTER_MS);
  }

  expect(rig.written).toHaveLength(1);
});

it("a write that fails is said at debug level, and tried at the next change", async () => {
  const rig = setUp();
  rig.ready();
  rig.onWrite = () => {
    rig.onWrite = undefined;
    throw new Error("ENOSPC: no space left on device");
  };
  for (let time = 0; time < 2; time += 1) {
    rig.keeper.event(session(true));
    await rig.timers.fire(KEEP_AFTER_MS);
  }

  expect(rig.log.lines).toEqual([
    "debug the peers' endpoints are not kept: ENOSPC: no space left on device",
  ]);
  expect(rig.written).toHaveLength(1);
});

it("nothing is written once the tunnel stops, which writes them itself", async () => {
  const rig = setUp();
  rig.ready();
  rig.keeper.event(session(true));

  rig.keeper.stopping();
  rig.keeper.event(session(true));

  expect(rig.timers.delays()).toEqual([]);
});

function session(isNew: boolean): TunnelEvent {
  return {
    ...{ kind: "session", peer: "b", isNew, isInitiator: true, fingerprint: "a1b2", endpoint: AT },
  };
}

function setUp() {
  const log = memoryLog();
  const timers = new ManualTimers();
  const written: (readonly LastEndpoint[])[] = [];
  const rig: {
    peers: readonly PeerSnapshot[];
    onWrite: (() => void) | undefined;
  } = { peers: [UP], onWrite: undefined };
  const keeper = new EndpointKeeper({
    lastEndpoints: {
      write: async (endpoints) => {
        rig.onWrite?.();
        written.push(endpoints);
      },
    },
    startTimer: timers.start,
    log,
  });
  const engine = {
    ping: async () => undefined,
    snapshot: async () => ({ snapshot: { peers: rig.peers } }),
  };
  const ready = () => keeper.ready({ engine, descriptors: { tun: 3, udp: 4 }, mtu: 1420 });
  return Object.assign(rig, { keeper, timers, log, written, ready });
}
