/** The fair queue: turns by bytes, sparse flows first, and who loses where it is full (RFC 8290). */
import { describe, expect, it } from "vitest";
import { FairQueue, type QueuedPacket } from "../../../src/core/pacing/fair-queue.ts";
import { after } from "../../../src/core/time.ts";
import { Random } from "../../helpers/random.ts";
import { START } from "../core-fixtures.ts";

const QUANTUM = 1_514;

/** A queue that tells what it dropped, and marks what `marks` says; packets are named by their first byte. */
function newQueue(marks: (name: number) => boolean = () => false) {
  const dropped: number[] = [];
  const queue = new FairQueue(QUANTUM, 0, {
    mark: (packet) => marks(nameOf(packet)),
    dropped: (packet) => dropped.push(nameOf(packet)),
  });
  const push = (flow: number, wireBytes: number, name = flow, ms = 0) =>
    queue.push(
      { bytes: Uint8Array.of(name), row: new Int32Array(0), wireBytes, queuedAt: after(START, ms) },
      flow,
    );
  const shift = (ms = 0) => {
    const packet = queue.shift(after(START, ms));
    return packet === undefined ? undefined : nameOf(packet);
  };
  return { queue, dropped, push, shift };
}

function nameOf({ bytes }: QueuedPacket): number {
  return bytes[0] ?? -1;
}

describe("turns", () => {
  it("are the same number of bytes, whatever the size of the packets", () => {
    const { push, shift } = newQueue();
    for (let count = 0; count < 1_000; count++) push(1, 1_500);
    for (let count = 0; count < 1_000; count++) push(2, 300);
    const sent = { 1: 0, 2: 0 } as Record<number, number>;
    for (let count = 0; count < 600; count++) {
      const flow = shift() ?? 0;
      sent[flow] = (sent[flow] ?? 0) + (flow === 1 ? 1_500 : 300);
    }

    const [long = 0, short = 0] = [sent[1], sent[2]];
    expect(Math.abs(long - short)).toBeLessThanOrEqual(2 * QUANTUM);
  });

  it("of a flow that begins come before those of flows that stand", () => {
    const { push, shift } = newQueue();
    for (let count = 0; count < 50; count++) push(1, 1_500);
    for (let count = 0; count < 3; count++) shift();
    push(2, 100);

    expect(shift()).toBe(2);
    expect(shift()).toBe(1);
  });

  it("of one that begins again and again leave the others theirs", () => {
    const { push, shift } = newQueue();
    for (let count = 0; count < 100; count++) push(1, 1_500);
    const order: (number | undefined)[] = [];
    for (let count = 0; count < 60; count++) {
      push(2, 1_500);
      order.push(shift());
    }

    const bulk = order.filter((flow) => flow === 1).length;
    expect(bulk).toBeGreaterThan(25);
    expect(bulk).toBeLessThan(35);
  });

  it("keep the order inside a flow", () => {
    const { push, shift } = newQueue();
    for (let name = 0; name < 20; name++) push(name % 2, 900, name);
    const order = Array.from({ length: 20 }, () => shift() ?? -1);

    expect(order.filter((name) => name % 2 === 0)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
    expect(order.filter((name) => name % 2 === 1)).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
  });

  it("lose and double nothing, whatever comes and goes", () => {
    const random = new Random(5);
    const { queue, push, shift } = newQueue();
    let waiting = 0;
    for (let step = 0; step < 20_000; step++) {
      if (random.chance(0.5)) {
        push(random.below(3_000), 40 + random.below(1_500));
        waiting += 1;
      } else if (shift() !== undefined) {
        waiting -= 1;
      }
      expect(queue.count).toBe(waiting);
    }
    while (shift() !== undefined) waiting -= 1;
    expect([waiting, queue.count, queue.bytes]).toEqual([0, 0, 0]);
  });
});

describe("a flow that stands", () => {
  it("loses packets to CoDel, another does not", () => {
    const { dropped, push, shift } = newQueue();
    for (let ms = 0; ms < 400; ms++) {
      for (let count = 0; count < 3; count++) push(1, 1_500, 1, ms);
      if (ms % 10 === 0) push(2, 100, 2, ms);
      shift(ms);
      if (ms % 10 === 0) shift(ms);
    }

    expect(dropped.length).toBeGreaterThan(2);
    expect(new Set(dropped)).toEqual(new Set([1]));
  });

  it("is marked in place of a drop where it can be", () => {
    let marked = 0;
    const { dropped, push, shift } = newQueue(() => {
      marked += 1;
      return true;
    });
    for (let count = 0; count < 600; count++) push(1, 1_500);
    for (let ms = 0; ms < 400; ms++) expect(shift(ms)).toBe(1);

    expect(marked).toBe(5);
    expect(dropped).toEqual([]);
  });
});

describe("a full queue", () => {
  it("takes the longest flow's oldest packets: half of them, but 64 at most", () => {
    const { queue, dropped, push } = newQueue();
    for (let name = 0; name < 10; name++) push(1, 1_000, name);
    for (let name = 100; name < 130; name++) push(2, 160, name);

    queue.dropLongest();
    expect(dropped).toEqual([0, 1, 2, 3, 4]);
    expect([queue.count, queue.bytes]).toEqual([35, 9_800]);

    for (let count = 0; count < 200; count++) push(3, 1_500, 200);
    dropped.length = 0;
    queue.dropLongest();
    expect(dropped).toEqual(Array(64).fill(200));
  });

  it("of many flows of one packet each loses 64 of them in one search", () => {
    const { queue, dropped, push } = newQueue();
    for (let flow = 0; flow < 200; flow++) push(flow, 100);
    queue.dropLongest();
    expect(dropped).toEqual([...Array(64).keys()]);
  });

  it("is empty when it was cleared", () => {
    const { queue, push, shift } = newQueue();
    for (let flow = 0; flow < 10; flow++) push(flow, 100);
    expect(queue.clear()).toBe(10);
    expect([queue.count, queue.bytes, shift()]).toEqual([0, 0, undefined]);
  });
});
