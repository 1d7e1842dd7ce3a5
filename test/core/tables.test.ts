/** The small bounded tables of the core: what they hold, and what goes when they are full. */
import { describe, expect, it } from "vitest";
import { endpointFrom } from "../../src/core/address.ts";
import { messageBatch } from "../../src/core/batch.ts";
import {
  EVENT_QUEUE,
  FLOORS_PER_PAIR,
  REPEATED_ANSWERS,
  SEEN_INIT_MS,
  SEEN_INITS,
  STRANGER_EVENT_MS,
  STRANGERS,
  TRANSMIT_QUEUE,
} from "../../src/core/constants.ts";
import { EventQueue } from "../../src/core/event-queue.ts";
import { Floors } from "../../src/core/handshake/floors.ts";
import { SeenInits } from "../../src/core/handshake/seen-inits.ts";
import { Strangers } from "../../src/core/handshake/strangers.ts";
import { TransmitQueue } from "../../src/core/outbound/transmit-queue.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { after, type Instant } from "../../src/core/time.ts";

const START = 1_000 as Instant;

describe("floors", () => {
  it("are unknown before a session is confirmed, and then pass only what is above", () => {
    const floors = new Floors();
    expect([floors.has(bytes16(1)), floors.isAbove(bytes16(1), 10)]).toEqual([false, false]);
    floors.confirm(bytes16(1), 10);
    expect(floors.isAbove(bytes16(1), 10)).toBe(false);
    expect(floors.isAbove(bytes16(1), 11)).toBe(true);
    expect(floors.isAbove(bytes16(2), 11)).toBe(false);
  });

  it("never fall", () => {
    const floors = new Floors();
    floors.confirm(bytes16(1), 10);
    floors.confirm(bytes16(1), 5);
    expect(floors.isAbove(bytes16(1), 10)).toBe(false);
  });

  it("forget the node that was confirmed longest ago", () => {
    const floors = new Floors();
    for (let node = 0; node < FLOORS_PER_PAIR; node += 1) floors.confirm(bytes16(node), 1);
    floors.confirm(bytes16(0), 2);
    floors.confirm(bytes16(99), 1);
    expect([floors.has(bytes16(0)), floors.has(bytes16(1)), floors.has(bytes16(99))]).toEqual([
      true,
      false,
      true,
    ]);
  });
});

describe("seen INITs", () => {
  it("repeat what was drawn, but keep one answer for the peer's endpoint", () => {
    const seen = new SeenInits();
    const drawn = { kind: "resp", nodeId: new Uint8Array(16), bytes: Uint8Array.of(1) } as const;
    seen.remember(bytes16(1), drawn, START);

    const anywhere = Array.from({ length: 5 }, () => seen.repeat(bytes16(1), false));
    const atHome = Array.from({ length: 5 }, () => seen.repeat(bytes16(1), true));

    expect(anywhere.filter((answer) => answer === drawn)).toHaveLength(2);
    expect(atHome.filter((answer) => answer === drawn)).toHaveLength(1);
  });

  it("give the peer's endpoint every answer when nobody else asks", () => {
    const seen = new SeenInits();
    seen.remember(bytes16(1), { kind: "challenge", nodeId: bytes16(2) }, START);
    const answers = Array.from({ length: 9 }, () => seen.repeat(bytes16(1), true));
    expect(answers.filter((answer) => answer !== undefined)).toHaveLength(REPEATED_ANSWERS);
  });

  it("that drew nothing draw nothing again", () => {
    const seen = new SeenInits();
    seen.remember(bytes16(1), { kind: "nothing" }, START);
    expect(seen.has(bytes16(1), START)).toBe(true);
    expect(seen.repeat(bytes16(1), true)).toBeUndefined();
  });

  it("tell the node that sent them, where they drew something", () => {
    const seen = new SeenInits();
    const [resp, challenge, nothing] = [bytes16(1), bytes16(2), bytes16(3)];
    seen.remember(resp, { kind: "resp", nodeId: bytes16(7), bytes: Uint8Array.of(1) }, START);
    seen.remember(challenge, { kind: "challenge", nodeId: bytes16(8) }, START);
    seen.remember(nothing, { kind: "nothing" }, START);
    expect([resp, challenge, nothing, bytes16(4)].map((mac) => seen.nodeOf(mac))).toEqual([
      bytes16(7),
      bytes16(8),
      undefined,
      undefined,
    ]);
    expect(seen.repeat(bytes16(4), true)).toBeUndefined();
  });

  it("are forgotten when they are ten minutes old, not before", () => {
    const seen = new SeenInits();
    seen.remember(bytes16(1), { kind: "nothing" }, START);
    expect(seen.has(bytes16(1), after(START, SEEN_INIT_MS - 1))).toBe(true);
    expect(seen.has(bytes16(1), after(START, SEEN_INIT_MS))).toBe(false);
  });

  it("are 4,096 at most: the oldest goes, each at its own time", () => {
    const seen = new SeenInits();
    const mac = new Uint8Array(16);
    const macOf = (index: number) => {
      new DataView(mac.buffer).setUint32(0, index);
      return mac;
    };
    for (let index = 0; index < SEEN_INITS; index += 1) {
      seen.remember(macOf(index), { kind: "nothing" }, after(START, index));
    }
    const end = after(START, SEEN_INITS);
    expect([seen.size, seen.has(macOf(0), end)]).toEqual([SEEN_INITS, true]);
    seen.remember(macOf(SEEN_INITS), { kind: "nothing" }, end);
    expect([seen.size, seen.has(macOf(0), end), seen.has(macOf(1), end)]).toEqual([
      SEEN_INITS,
      false,
      true,
    ]);
    const later = after(START, SEEN_INIT_MS + 2);
    expect([seen.has(macOf(SEEN_INITS), later), seen.has(macOf(2), later)]).toEqual([true, false]);
  });
});

describe("strangers", () => {
  it("are news once a minute each", () => {
    const strangers = new Strangers(START);
    expect(strangers.isNews(bytes16(1), START)).toBe(true);
    expect(strangers.isNews(bytes16(1), after(START, STRANGER_EVENT_MS - 1))).toBe(false);
    expect(strangers.isNews(bytes16(2), START)).toBe(true);
    expect(strangers.isNews(bytes16(1), after(START, STRANGER_EVENT_MS))).toBe(true);
  });

  it("that come by the thousand make few events", () => {
    const strangers = new Strangers(START);
    let news = 0;
    for (let index = 0; index < 10 * STRANGERS; index += 1) {
      if (strangers.isNews(bytes16(index), after(START, index))) news += 1;
    }
    expect(news).toBeGreaterThan(0);
    expect(news).toBeLessThan(20);
  });

  it("are forgotten oldest first", () => {
    const strangers = new Strangers(START);
    const quiet = 5_000;
    for (let index = 0; index <= STRANGERS; index += 1) {
      expect(strangers.isNews(bytes16(index), after(START, index * quiet))).toBe(true);
    }
  });
});

describe("the event queue", () => {
  it("counts what did not fit and says so once", () => {
    const queue = new EventQueue();
    const event = { kind: "down", peer: "a", reason: "closed" } as const;
    for (let index = 0; index < EVENT_QUEUE + 2; index += 1) queue.push(event);
    for (let index = 0; index < EVENT_QUEUE; index += 1) expect(queue.shift()).toBe(event);
    expect(queue.shift()).toEqual({ kind: "lost", count: 2 });
    expect(queue.shift()).toBeUndefined();
  });
});

describe("the transmit queue", () => {
  it("hands datagrams out in order, as many as fit, with their addresses", () => {
    const queue = new TransmitQueue();
    const to = endpointFrom(bytes16(9), 4242);
    for (let index = 0; index < 3; index += 1) queue.push(Uint8Array.of(index, index), to);
    const batch = messageBatch(new Uint8Array(5), 8);

    queue.drainInto(batch);

    expect([batch.count, queue.count]).toEqual([2, 1]);
    expect([...batch.arena.subarray(0, 4)]).toEqual([0, 0, 1, 1]);
    expect(batch.rows[MESSAGE_FIELDS + MESSAGE.OFFSET]).toBe(2);
    expect(batch.rows[MESSAGE_FIELDS + MESSAGE.LENGTH]).toBe(2);
    expect(batch.rows[MESSAGE_FIELDS + MESSAGE.PORT]).toBe(4242);
    expect(batch.rows.slice(MESSAGE.REMOTE, MESSAGE.REMOTE + 4)).toEqual(to.remote);
  });

  it("refuses what is over its bound", () => {
    const queue = new TransmitQueue();
    const to = endpointFrom(bytes16(9), 1);
    for (let index = 0; index < TRANSMIT_QUEUE; index += 1) {
      expect(queue.push(Uint8Array.of(1), to)).toBe(true);
    }
    expect(queue.push(Uint8Array.of(1), to)).toBe(false);
  });
});

/** 16 bytes that name a number. */
function bytes16(value: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(12, value);
  return bytes;
}
