/**
 * S4: how long a wrong mac takes does not say how many of its bytes were right.
 *
 * scripts/torture measures it: 10^6 wrong macs with 0 to 15 right leading bytes, in random order, and beside it a
 * comparison that leaks, which the same method must find. What runs every day is the structure that makes it true: the
 * core asks the primitives' comparison, and nothing else decides.
 */
import sodium from "libsodium-wrappers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import { receiveResp, startAttempt } from "../../src/core/handshake/initiate.ts";
import { receiveInit } from "../../src/core/handshake/respond.ts";
import type { State } from "../../src/core/state.ts";
import { INIT, newInit, RESP } from "../../src/core/wire.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { addPeer, newCore, rowFrom, START, takeSent, udp } from "../core/core-fixtures.ts";
import { makeResp } from "../core/init-fixtures.ts";
import { endpoint } from "../helpers/address.ts";
import { figure } from "../helpers/figure.ts";
import { Random } from "../helpers/random.ts";
import { largestT, T_LIMIT } from "../helpers/welch.ts";

const MAC_BYTES = 16;
/** 0 to 15 right leading bytes. */
const KINDS = MAC_BYTES;
/** Different wrong macs. */
const MACS = 65_536;
const SAMPLES = 1_000_000;
const WARM_UP = 50_000;
const isTorture = process.env["IPTUN_TORTURE"] !== undefined;

const crypto = await loadSodium();
afterEach(() => vi.restoreAllMocks());

describe("S4 the comparison of macs", () => {
  it("is libsodium's, which looks at every byte whatever it finds", () => {
    const memcmp = vi.spyOn(sodium, "memcmp");
    const [a, b] = [crypto.random(MAC_BYTES), crypto.random(MAC_BYTES)];

    expect([crypto.equal(a, b), crypto.equal(a, a.slice())]).toEqual([false, true]);

    expect(memcmp.mock.calls.map(([first]) => first)).toEqual([a, a]);
  });

  it("decides alone of an INIT", () => {
    const { state, init } = withInit();
    const right = init.slice();
    init.fill(0, INIT.mac);

    expect(receiveInit(saying(state, true), { bytes: init, ...rowFrom(HOME) }, START)).not.toBe(
      "bad_mac",
    );
    expect(receiveInit(saying(state, false), { bytes: right, ...rowFrom(HOME) }, START)).toBe(
      "bad_mac",
    );
  });

  it("decides alone of a RESP", () => {
    const state = newCore();
    const { peer, psk } = addPeer(state, { endpoints: [endpoint("192.0.2.1", 1194)] });
    startAttempt(state, peer, START);
    const [init] = takeSent(state);
    const right = makeResp(psk, init?.bytes ?? new Uint8Array(INIT.SIZE));
    const wrong = right.slice().fill(0, RESP.mac);

    expect(receiveResp(saying(state, false), right, START)).toBe("bad_mac");
    expect(receiveResp(saying(state, true), wrong, START)).not.toBe("bad_mac");
  });
});

describe.runIf(isTorture)("S4 time of a wrong mac", () => {
  it("by itself says nothing of its right bytes, where one that stops early is found", () => {
    const right = crypto.random(MAC_BYTES);
    const macs = wrongMacs(right);
    const given = new Uint8Array(new ArrayBuffer(MAC_BYTES));
    const byUs = timesOf(macs, given, () => crypto.equal(right, given));
    const byLeak = timesOf(macs, given, () => stopsEarly(right, given));
    const [t, control] = [largestT(byUs), largestT(byLeak)];

    figure("S4", `${SAMPLES} comparisons, 0 to 15 right bytes`, `t = ${t.toFixed(2)}`, "< 4.5");
    figure("S4", "the same of a comparison that stops early", `t = ${control.toFixed(1)}`, "> 4.5");
    expect(control).toBeGreaterThan(T_LIMIT);
    expect(t).toBeLessThan(T_LIMIT);
  });

  it("in an INIT at the core says nothing of its right bytes", () => {
    const { state, init } = withInit();
    const right = init.slice(INIT.mac);
    const row = rowFrom(HOME);
    const times = timesOf(wrongMacs(right), init.subarray(INIT.mac), () => {
      return receiveInit(state, { bytes: init, ...row }, START) === undefined;
    });
    const t = largestT(times);

    figure(
      "S4",
      `${SAMPLES} INITs at the core, 0 to 15 right bytes`,
      `t = ${t.toFixed(2)}`,
      "< 4.5",
    );
    expect(t).toBeLessThan(T_LIMIT);
  }, 120_000);
});

const HOME = udp("192.0.2.1");

/** A core with the product's primitives, and bytes that have the hint and the mac of its key. */
function withInit(): { readonly state: State; readonly init: Uint8Array } {
  const state: State = { ...newCore(), crypto };
  const { psk } = addPeer(state);
  const init = newInit(psk.ring.hint, 7);
  init.set(crypto.random(INIT.mac - INIT.ephemeral), INIT.ephemeral);
  init.set(crypto.blake2b(MAC_BYTES, [init.subarray(0, INIT.mac)], psk.ring.mac), INIT.mac);
  return { state, init };
}

/** The same core with a comparison that always says the same. */
function saying(state: State, answer: boolean): State {
  const replaced: HandshakeCrypto = { ...state.crypto, equal: () => answer };
  return { ...state, crypto: replaced };
}

/** Wrong macs, one behind another, and how many of the first bytes of each are right. */
interface WrongMacs {
  readonly bytes: Uint8Array;
  readonly kinds: Uint8Array;
}

/** Kinds in random order: neighbours in memory are nothing that a kind has of its own. */
function wrongMacs(right: Uint8Array): WrongMacs {
  const random = new Random(5);
  const kinds = Uint8Array.from({ length: MACS }, () => random.below(KINDS));
  const bytes = crypto.random(MACS * MAC_BYTES);
  for (const [index, kind] of kinds.entries()) {
    const at = index * MAC_BYTES;
    bytes.set(right.subarray(0, kind), at);
    if (bytes[at + kind] === right[kind]) bytes[at + kind] = (bytes[at + kind] ?? 0) ^ 1;
  }
  return { bytes, kinds };
}

/** Microseconds of each check, by kind. Each mac is copied to the same place first: no two are equally fast to reach. */
function timesOf(
  { bytes, kinds }: WrongMacs,
  place: Uint8Array,
  isRight: () => boolean,
): readonly (readonly number[])[] {
  const times = Array.from({ length: KINDS }, (): number[] => []);
  for (let round = -WARM_UP; round < SAMPLES; round++) {
    const index = (round + WARM_UP) % MACS;
    for (let at = 0; at < MAC_BYTES; at++) place[at] = bytes[index * MAC_BYTES + at] ?? 0;
    // The copy is over when the clock has been asked once.
    performance.now();
    const start = performance.now();
    const accepted = isRight();
    const took = performance.now() - start;
    if (accepted) throw new Error("a wrong mac was taken");
    if (round >= 0) times[kinds[index] ?? 0]?.push(took * 1000);
  }
  return times;
}

/** What must be found: the comparison that everybody writes first. */
function stopsEarly(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
