/** What a state is made of: the options that are left out, the budgets, and the numbers that are given once. */
import { describe, expect, it } from "vitest";
import { TRANSMIT_QUEUE } from "../../src/core/constants.ts";
import { freshIndex, nextStamp, transmit } from "../../src/core/state.ts";
import { after } from "../../src/core/time.ts";
import { addPeer, addSession, newCore, START, udp } from "./core-fixtures.ts";

describe("options", () => {
  it("that are left out are off", () => {
    const { copyDscp, pathMtu, measuresQuality, innerAddresses } = newCore();
    expect({ copyDscp, pathMtu, measuresQuality, innerAddresses }).toEqual({
      copyDscp: false,
      pathMtu: {
        isAuto: false,
        linkMtu: Number.POSITIVE_INFINITY,
        raiseMs: Number.POSITIVE_INFINITY,
      },
      measuresQuality: false,
      innerAddresses: [],
    });
  });

  it("that are given count", () => {
    const given = {
      copyDscp: true,
      measuresQuality: true,
      innerAddresses: [Uint8Array.of(10, 0, 0, 1)],
    };
    const { pathMtu, ...state } = newCore({ ...given, pathMtu: { linkMtu: 1400, raiseMs: 7 } });
    expect(state).toMatchObject(given);
    expect(pathMtu).toEqual({ isAuto: true, linkMtu: 1400, raiseMs: 7 });
  });
});

it("nothing waits at first", () => {
  const { waiting, paced, deferred, handshakeWork } = newCore();
  expect([waiting, paced, deferred, handshakeWork]).toEqual([{ bytes: 0 }, { bytes: 0 }, [], 0]);
});

it("the budget of handshakes is split: a quarter is only for peers that had a session", () => {
  const { handshakes, limits } = newCore();
  const taken = [handshakes.all, handshakes.reserved].map((bucket) => {
    let count = 0;
    while (bucket.take(START)) count += 1;
    return count;
  });
  const total = limits.handshakesPerSecondTotal;
  expect(taken).toEqual([0.75 * total, 0.25 * total]);
  const later = after(START, 40);
  const refilled = [handshakes.all, handshakes.reserved].map(
    (bucket) => [...new Array(2 * total).keys()].filter(() => bucket.take(later)).length,
  );
  expect(refilled).toEqual([0.03 * total, 0.01 * total]);
});

describe("an index", () => {
  it("is none that a session or a handshake has", () => {
    const state = newCore();
    const { peer } = addPeer(state);
    const { localIndex } = addSession(state, peer);
    const pending = localIndex + 1;
    const drawn = [localIndex, pending, localIndex + 2];
    state.pendings.set(pending, {} as never);
    const crypto = { ...state.crypto, random: () => littleEndian(drawn.shift() ?? 0) };
    expect(freshIndex({ ...state, crypto })).toBe(localIndex + 2);
  });
});

it("stamps follow the wall clock, but always grow", () => {
  const state = newCore();
  const stamps = [1_000.9, 1_000, 5_000, 10].map((micros) => {
    state.wallMicros = micros;
    return nextStamp(state);
  });
  expect(stamps).toEqual([1_000, 1_001, 5_000, 5_001]);
});

it("what finds no room in the queue is counted", () => {
  const state = newCore();
  const datagram = Uint8Array.of(1);
  for (let count = 0; count <= TRANSMIT_QUEUE; count += 1)
    transmit(state, datagram, udp("192.0.2.1"));
  expect([state.transmits.count, state.drops.no_room]).toEqual([TRANSMIT_QUEUE, 1]);
});

function littleEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
