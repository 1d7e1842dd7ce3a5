/**
 * Very many handshakes at once: a turn does a few, the rest waits its turn, and nobody is forgotten.
 */
import { describe, expect, it } from "vitest";
import {
  DEFERRED_INITS,
  HANDSHAKE_DH_WORK,
  HANDSHAKE_WORK_PER_TURN,
} from "../../src/core/constants.ts";
import type { Host } from "../sim/host.ts";
import { dropsOf, isUp } from "../sim/observe.ts";
import { addSite, newWorld, RIGHT } from "../sim/pair.ts";

const MOST_PER_TURN = Math.ceil(HANDSHAKE_WORK_PER_TURN / (HANDSHAKE_DH_WORK + 1));

describe("sites that all start at the same instant", () => {
  it("are answered a few in a turn, and are all up within two seconds", () => {
    const { hub, sites, world, perTurn } = hubWith(60);

    world.until("all are up", () => sites.every((_, index) => isUp(hub, `site${index}`)), 2_000);

    expect(Math.max(...perTurn)).toBeLessThanOrEqual(MOST_PER_TURN);
    expect(perTurn.filter((count) => count > 0).length).toBeGreaterThanOrEqual(
      Math.floor(60 / MOST_PER_TURN),
    );
    expect(dropsOf(hub)).toEqual({ challenged: 60 });
  });

  it("beyond what waits are dropped for the budget, not charged, and come again", () => {
    const count = DEFERRED_INITS + 60;
    const limits = { handshakesPerSecondTotal: 100_000 };
    const { hub, sites, world } = hubWith(count, limits);
    world.advance(6_000);

    expect(sites.filter((_, index) => isUp(hub, `site${index}`))).toHaveLength(count);
    expect(dropsOf(hub).handshake_budget).toBeGreaterThan(0);
    expect(dropsOf(hub).source_limited).toBeUndefined();
  });
});

describe("a handshake that was put off", () => {
  it("is judged when its turn comes: one whose peer was removed meanwhile is dropped and charged", () => {
    const { hub, world } = hubWith(40);
    const turn = hub.turn.bind(hub);
    let isRemoved = false;
    hub.turn = () => {
      turn();
      if (isRemoved || hub.snapshot().handshakeComputations === 0) return;
      isRemoved = true;
      for (let index = 0; index < 40; index++) {
        hub.act((tunnel, now) => tunnel.removePeer(`site${index}`, now));
      }
    };
    world.advance(2_000);

    expect(isRemoved).toBe(true);
    expect(hub.snapshot().sessions).toBe(0);
    expect(dropsOf(hub).unknown_hint).toBeGreaterThan(0);
  });
});

/** A hub and sites on paths of one length, so that what they send arrives in one turn. */
function hubWith(count: number, limits: { readonly handshakesPerSecondTotal?: number } = {}) {
  const world = newWorld();
  world.network({ delayMs: 10 });
  world.eve.isRecording = false;
  const keys = Array.from({ length: count }, (_, index) => {
    const key = new Uint8Array(32).fill(5);
    new DataView(key.buffer).setUint32(0, index + 1);
    return key;
  });
  const hubSite = addSite(world, {
    name: "hub",
    addresses: [RIGHT.ip],
    crypto: "stub",
    limits,
    peers: keys.map((key, index) => ({
      name: `site${index}`,
      keys: [key],
      allowedIps: [`10.80.${index >> 8}.${index & 0xff}/32`],
    })),
  });
  const sites = keys.map((key, index) =>
    addSite(world, {
      name: `site${index}`,
      addresses: [`100.64.${index >> 8}.${index & 0xff}`],
      crypto: "stub",
      peers: [{ name: "hub", keys: [key], endpoints: [RIGHT], allowedIps: ["10.81.0.0/16"] }],
    }),
  );
  return { world, hub: hubSite.host, sites, perTurn: countTurns(hubSite.host) };
}

/** Diffie-Hellman computations of each turn. */
function countTurns(host: Host): number[] {
  const perTurn: number[] = [];
  const turn = host.turn.bind(host);
  host.turn = () => {
    const before = host.snapshot().handshakeComputations;
    turn();
    perTurn.push(host.snapshot().handshakeComputations - before);
  };
  return perTurn;
}
