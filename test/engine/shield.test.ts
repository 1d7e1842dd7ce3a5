/**
 * When the socket's shield goes up and down.
 */
import { describe, expect, it } from "vitest";
import { type Instant, NEVER } from "../../src/core/time.ts";
import { READY } from "../../src/engine/engine.ts";
import { SHIELD_DATAGRAMS, SHIELD_MS, SHIELD_WINDOW_MS, Shield } from "../../src/engine/shield.ts";
import { rig } from "./fakes.ts";

describe("the shield", () => {
  it("goes up when junk comes faster than 60,000 a second, and down a second later", () => {
    const { shield, orders } = shielded();

    flood(shield, 0, 2 * SHIELD_DATAGRAMS, 20);
    const lowersAt = shield.lowersAt;
    shield.look(2 * SHIELD_DATAGRAMS, at(lowersAt - 1));
    const before = [...orders];
    shield.look(2 * SHIELD_DATAGRAMS, at(lowersAt));

    expect(before).toEqual([true]);
    expect(orders).toEqual([true, false]);
    expect(lowersAt).toBeGreaterThan(SHIELD_MS);
    expect(shield.lowersAt).toBe(NEVER);
    expect(shield.raised).toBe(1);
  });

  it("stays down while the same junk takes longer", () => {
    const { shield, orders } = shielded();

    for (let window = 0; window < 100; window += 1) {
      flood(shield, window * (SHIELD_DATAGRAMS - 1), SHIELD_DATAGRAMS - 1, 60, window * 60);
    }

    expect(orders).toEqual([]);
  });

  it("goes up again at once while the flood goes on", () => {
    const { shield, orders } = shielded();
    flood(shield, 0, 2 * SHIELD_DATAGRAMS, 20);
    const again = shield.lowersAt;

    flood(shield, 2 * SHIELD_DATAGRAMS, 2 * SHIELD_DATAGRAMS, SHIELD_WINDOW_MS, again);

    expect(orders).toEqual([true, false, true]);
    expect(shield.raised).toBe(2);
  });

  it("is not asked for again where the kernel refuses it", () => {
    const { shield, orders } = shielded(false);

    flood(shield, 0, 10 * SHIELD_DATAGRAMS, 40);

    expect(orders).toEqual([true]);
    expect(shield.raised).toBe(0);
    expect(shield.lowersAt).toBe(NEVER);
  });

  it("is raised by the engine's turns, and lowered by its timer", () => {
    const { engine, clock, tunnel, journal, reports } = rig();
    engine.turn(READY.NONE);
    tunnel.malformed = SHIELD_DATAGRAMS;

    engine.turn(READY.NONE);
    clock.fire();
    engine.handleCommand({ kind: "snapshot", id: 1 });

    expect(journal.filter((line) => line.startsWith("udp.setShield"))).toEqual([
      "udp.setShield(true)",
      "udp.setShield(false)",
    ]);
    expect(clock.time).toBe(1_000 + SHIELD_MS);
    expect(reports).toMatchObject([{ counters: { shieldsRaised: 1, datagramsUnread: 0 } }]);
  });
});

function shielded(isGranted = true) {
  const orders: boolean[] = [];
  const setShield = (isUp: boolean) => {
    orders.push(isUp);
    return isGranted;
  };
  return { shield: new Shield({ setShield }), orders };
}

/** `count` more malformed datagrams after `before`, looked at every millisecond of `ms`. */
function flood(shield: Shield, before: number, count: number, ms: number, from = 0): void {
  for (let passed = 0; passed <= ms; passed += 1) {
    shield.look(before + Math.floor((count * passed) / ms), at(from + passed));
  }
}

function at(ms: number): Instant {
  return ms as Instant;
}
