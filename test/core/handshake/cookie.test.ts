/** Cookies of the responder: what one proves, how long, and to whom (§3, rule 1). */
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/core/address.ts";
import { COOKIE_SECRET_MS } from "../../../src/core/constants.ts";
import { cookieMac, openChallenge } from "../../../src/core/handshake/cookie.ts";
import { after } from "../../../src/core/time.ts";
import { CHALLENGE, INIT, newInit, viewOf } from "../../../src/core/wire.ts";
import { addPeer, id16, newCore, START, udp } from "../core-fixtures.ts";

const NODE = id16(2);
const HOME = udp("192.0.2.1", 0x0402);

/** A jar, and what the two sides of a handshake do with it. */
function newJar() {
  const state = newCore();
  const { crypto, cookies } = state;
  const { peer, psk } = addPeer(state);
  const init = newInit(7, 9);
  init.set(crypto.random(INIT.SIZE - INIT.mac), INIT.mac);
  const challenge = (ms = 0) => cookies.challenge(init, 9, psk, NODE, HOME, after(START, ms));
  /** The INIT with the cookie of a CHALLENGE that was sent at `ms`. */
  const proven = (ms = 0): Uint8Array => {
    const cookie = openChallenge(crypto, challenge(ms), init, psk);
    if (cookie === undefined) throw new Error("the challenge does not open");
    const next = init.slice();
    next.set(cookieMac(crypto, cookie, next), INIT.cookieMac);
    return next;
  };
  const isValid = (one: Uint8Array, ms = 0, source: Endpoint = HOME, node = NODE, key = psk) =>
    cookies.isValid(one, key, node, source, after(START, ms));
  return { state, cookies, peer, psk, init, challenge, proven, isValid };
}

describe("a cookie", () => {
  it("proves its address, port, node and key, and the bytes before it", () => {
    const { state, init, proven, isValid } = newJar();
    const { psk: other } = addPeer(state, { name: "third" });
    const good = proven();
    const changed = good.map((byte, index) => (index === INIT.cookieMac - 1 ? byte ^ 1 : byte));
    expect([isValid(good), isValid(init), isValid(changed)]).toEqual([true, false, false]);
    for (const source of [
      udp("192.0.2.2", 0x0402),
      udp("192.0.2.1", 0x0403),
      udp("192.0.2.1", 0x0502),
    ]) {
      expect(isValid(good, 0, source)).toBe(false);
    }
    expect([isValid(good, 0, HOME, id16(3)), isValid(good, 0, HOME, NODE, other)]).toEqual([
      false,
      false,
    ]);
  });

  it.each<[string, number, readonly number[], number, boolean]>([
    ["in its secret's life", 0, [], COOKIE_SECRET_MS - 1, true],
    ["in the life of the next secret", 0, [COOKIE_SECRET_MS], 2 * COOKIE_SECRET_MS - 1, true],
    ["in the life of the next secret, which began late", 0, [], 2 * COOKIE_SECRET_MS - 1, true],
    ["not after that", 0, [COOKIE_SECRET_MS], 2 * COOKIE_SECRET_MS, false],
    ["not after a silence of two lives", 0, [], 2 * COOKIE_SECRET_MS, false],
    ["not after a silence of many", 0, [], 9 * COOKIE_SECRET_MS, false],
    [
      "of the secret that began this instant",
      COOKIE_SECRET_MS,
      [2 * COOKIE_SECRET_MS],
      3 * COOKIE_SECRET_MS - 1,
      true,
    ],
  ])("is good %s", (_name, made, used, asked, expected) => {
    const { proven, challenge, isValid } = newJar();
    const good = proven(made);
    for (const ms of used) challenge(ms);
    expect(isValid(good, asked)).toBe(expected);
  });
});

describe("a CHALLENGE", () => {
  it("names who asked, and opens for that INIT alone", () => {
    const { state, psk, init, challenge } = newJar();
    const message = challenge();
    expect(message).toHaveLength(CHALLENGE.SIZE);
    expect(viewOf(message).getUint32(CHALLENGE.receiverIndex, true)).toBe(9);
    expect(openChallenge(state.crypto, message, init, psk)).toHaveLength(16);
    const another = init.map((byte, index) => (index === INIT.mac ? byte ^ 1 : byte));
    expect(openChallenge(state.crypto, message, another, psk)).toBeUndefined();
  });

  it("is known again while it is the last, as that peer's", () => {
    const { state, cookies, peer, challenge } = newJar();
    const { peer: other } = addPeer(state, { name: "third" });
    expect(cookies.isLast(peer, new Uint8Array(CHALLENGE.SIZE))).toBe(false);
    const first = challenge();
    expect([cookies.isLast(peer, first.slice()), cookies.isLast(other, first)]).toEqual([
      true,
      false,
    ]);
    const second = challenge();
    expect([cookies.isLast(peer, first), cookies.isLast(peer, second)]).toEqual([false, true]);
  });
});
