/**
 * Runs of datagrams: what becomes one message, what starts a new one, and that nothing is lost or changed.
 *
 * The twin cuts the rows again as the kernel does (UDP_SEGMENT) and must find the datagrams that went in.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Endpoint,
  endpointFrom,
  endpointOfRow,
  writeEndpoint,
} from "../../../src/core/address.ts";
import { type MessageBatch, messageBatch } from "../../../src/core/batch.ts";
import { datagramsIn, MessageRuns, writeMessage } from "../../../src/core/outbound/message-runs.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../../src/core/rows.ts";
import { ipBytes } from "../../helpers/address.ts";

const A = endpointFrom(ipBytes("192.0.2.1"), 1000);
const B = endpointFrom(ipBytes("192.0.2.2"), 1000);
/** What the kernel takes of one message. */
const MOST_DATAGRAMS = 64;
const MOST_BYTES = 65_507;

/** Datagrams of `sizes` that lie one behind another, each added on its own. */
type Case = readonly [string, readonly number[], readonly string[]];

describe("single datagrams, one behind another", () => {
  it.each<Case>([
    ["none", [], []],
    ["one", [100], ["0+100"]],
    ["two of a size", [100, 100], ["0+200/100"]],
    ["a shorter one, which closes", [100, 60, 60], ["0+160/100", "160+60"]],
    ["a shorter one after several", [100, 100, 100, 1], ["0+301/100"]],
    ["a larger one, which starts anew", [100, 101], ["0+100", "100+101"]],
    ["a larger one after several", [100, 100, 101, 101], ["0+200/100", "200+202/101"]],
    ["a size that comes back after a shorter one", [100, 60, 100], ["0+160/100", "160+100"]],
    ["as many as a message takes", times(64, 10), ["0+640/10"]],
    ["one more than a message takes", times(65, 10), ["0+640/10", "640+10"]],
    [
      "a shorter one after as many as a message takes",
      [...times(64, 10), 5],
      ["0+640/10", "640+5"],
    ],
    ["as many bytes as a message takes", times(45, 1452), ["0+65340/1452"]],
    ["more bytes than a message takes", times(46, 1452), ["0+65340/1452", "65340+1452"]],
    [
      "a shorter one that alone would fit the bytes",
      [...times(45, 1452), 100],
      ["0+65340/1452", "65340+100"],
    ],
    ["two that just fit", [32_753, 32_753], ["0+65506/32753"]],
    ["two that just do not", [32_754, 32_754], ["0+32754", "32754+32754"]],
    ["one of the largest size, and a keepalive", [65_507, 32], ["0+65507", "65507+32"]],
    ["one over the largest size", [65_535], ["0+65535"]],
  ])("%s", (_, sizes, messages) => {
    expect(texts(added(sizes))).toEqual(messages);
  });
});

describe("a run is ended by", () => {
  it("another endpoint, and not taken up again behind it", () => {
    const batch = emptyBatch();
    const runs = begun(batch);
    runs.add(0, 100, 100, A);
    runs.add(100, 100, 100, B);
    runs.add(200, 100, 100, A);

    expect(texts(batch)).toEqual(["0+100", "100+100", "200+100"]);
    expect([0, 1, 2].map((row) => lastByte(batch, row))).toEqual([1, 2, 1]);
  });

  it("an endpoint object with the same address, whose local side may be another", () => {
    const batch = emptyBatch();
    const runs = begun(batch);
    runs.add(0, 100, 100, A);
    runs.add(100, 100, 100, onDevice(A, 7));

    expect(texts(batch)).toEqual(["0+100", "100+100"]);
    expect(batch.rows[MESSAGE_FIELDS + MESSAGE.DEVICE]).toBe(7);
  });

  it("a gap before the next datagram, as where one was not sealed", () => {
    const batch = emptyBatch();
    const runs = begun(batch);
    runs.add(0, 100, 100, A);
    runs.add(101, 100, 100, A);
    runs.add(201, 100, 100, A);

    expect(texts(batch)).toEqual(["0+100", "101+200/100"]);
  });

  it("another hop limit, which each row keeps", () => {
    const batch = emptyBatch();
    const runs = begun(batch);
    runs.add(0, 100, 100, A);
    runs.add(100, 200, 100, A, outerOf(0, 48));
    runs.add(300, 100, 100, A, outerOf(0, 48));
    runs.add(400, 100, 100, A);

    expect(texts(batch)).toEqual(["0+100", "100+300/100", "400+100"]);
    expect([0, 1, 2].map((row) => batch.rows[row * MESSAGE_FIELDS + MESSAGE.HOPS])).toEqual([
      0, 48, 0,
    ]);
  });

  it("another TOS, which each row keeps: one mark in a run would say it of all", () => {
    const batch = emptyBatch();
    const runs = begun(batch);
    runs.add(0, 100, 100, A, outerOf(0, 48));
    runs.add(100, 200, 100, A, outerOf(2, 48));
    runs.add(300, 100, 100, A, outerOf(2, 48));
    runs.add(400, 100, 100, A, outerOf(3, 48));
    runs.add(500, 100, 100, A, outerOf(0, 48));

    expect(texts(batch)).toEqual(["0+100", "100+300/100", "400+100", "500+100"]);
    const fields = [0, 1, 2, 3].map((row) => {
      const base = row * MESSAGE_FIELDS;
      return [batch.rows[base + MESSAGE.TOS], batch.rows[base + MESSAGE.HOPS]];
    });
    expect(fields).toEqual([
      [0, 48],
      [2, 48],
      [3, 48],
      [0, 48],
    ]);
  });

  it("a new batch", () => {
    const batch = emptyBatch();
    const runs = begun(batch);
    runs.add(0, 100, 100, A);
    runs.begin();
    expect(batch.count).toBe(0);
    runs.add(100, 100, 100, A);

    expect(texts(batch)).toEqual(["100+100"]);
  });
});

describe("a run that is added as one", () => {
  it.each<[string, readonly (readonly [number, number])[], readonly string[]]>([
    ["stays one", [[250, 100]], ["0+250/100"]],
    ["of one datagram has no segment size", [[100, 100]], ["0+100"]],
    ["shorter than its size is one datagram", [[60, 100]], ["0+60"]],
    ["longer than a message is cut at a datagram", [[1300, 20]], ["0+1280/20", "1280+20"]],
    ["much longer is cut several times", [[2570, 20]], ["0+1280/20", "1280+1280/20", "2560+10"]],
    ["of more bytes than a message", [[70_000, 1400]], ["0+64400/1400", "64400+5600/1400"]],
    [
      "takes equal datagrams behind its end",
      [
        [200, 100],
        [300, 100],
      ],
      ["0+500/100"],
    ],
    [
      "takes one datagram behind its end",
      [
        [200, 100],
        [100, 100],
      ],
      ["0+300/100"],
    ],
    [
      "is taken by the datagram before",
      [
        [100, 100],
        [250, 100],
      ],
      ["0+350/100"],
    ],
    [
      "takes nothing behind a shorter last one",
      [
        [250, 100],
        [100, 100],
      ],
      ["0+250/100", "250+100"],
    ],
    [
      "takes a shorter one, which closes it",
      [
        [200, 100],
        [50, 50],
        [50, 50],
      ],
      ["0+250/100", "250+50"],
    ],
    [
      "takes the first of shorter ones only",
      [
        [200, 100],
        [150, 50],
      ],
      ["0+250/100", "250+100/50"],
    ],
    [
      "takes as many as there is room for",
      [
        [60 * 20, 20],
        [10 * 20, 20],
      ],
      ["0+1280/20", "1280+120/20"],
    ],
    [
      "takes a shorter last one with others",
      [
        [200, 100],
        [130, 100],
      ],
      ["0+330/100"],
    ],
    [
      "of larger datagrams starts anew",
      [
        [200, 100],
        [303, 101],
      ],
      ["0+200/100", "200+303/101"],
    ],
    [
      "whose larger size has one shorter datagram is only that",
      [
        [200, 100],
        [60, 500],
      ],
      ["0+260/100"],
    ],
  ])("%s", (_, pieces, messages) => {
    const batch = emptyBatch();
    const runs = begun(batch);
    let offset = 0;
    for (const [length, size] of pieces) {
      runs.add(offset, length, size, A);
      offset += length;
    }

    expect(texts(batch)).toEqual(messages);
  });
});

describe("without runs", () => {
  it("every datagram is a message of its own", () => {
    const batch = emptyBatch();
    const runs = begun(batch, false);
    runs.add(0, 250, 100, A);
    runs.add(250, 50, 50, A);
    runs.add(300, 50, 50, A);

    expect(texts(batch)).toEqual(["0+100", "100+100", "200+50", "250+50", "300+50"]);
    expect(runs.messagesFor(3, 100)).toBe(3);
  });
});

describe("messagesFor", () => {
  it.each([
    [1, 1452, 1],
    [45, 1452, 1],
    [46, 1452, 2],
    [64, 100, 1],
    [65, 100, 2],
    [128, 100, 2],
    [129, 100, 3],
    [3, 40_000, 3],
    [2, 70_000, 2],
  ])("%i datagrams of %i bytes: %i", (datagrams, size, messages) => {
    expect(begun(emptyBatch()).messagesFor(datagrams, size)).toBe(messages);
  });
});

it("a row that was used before keeps nothing of what it said", () => {
  const batch = emptyBatch();
  batch.rows.fill(0x7f7f_7f7f);
  const runs = begun(batch);
  runs.add(5, 100, 100, A);

  expect([...batch.rows.subarray(0, MESSAGE.REMOTE)]).toEqual([5, 100, 0, 0]);
  expect([...batch.rows.subarray(MESSAGE.PORT, MESSAGE.HOPS + 1)]).toEqual([
    1000, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  ]);
});

it("single messages go beside, as handshakes do", () => {
  const batch = emptyBatch();
  writeMessage(batch, 0, 120, A);
  writeMessage(batch, 120, 120, A);

  expect(texts(batch)).toEqual(["0+120", "120+120"]);
});

it.each([
  [0, 0, 1],
  [1400, 0, 1],
  [1400, 1400, 1],
  [1401, 1400, 2],
  [2800, 1400, 2],
  [65_507, 1400, 47],
])("a row of %i bytes with segments of %i holds %i datagrams", (length, segment, count) => {
  const rows = new Int32Array(2 * MESSAGE_FIELDS);
  rows[MESSAGE_FIELDS + MESSAGE.LENGTH] = length;
  rows[MESSAGE_FIELDS + MESSAGE.SEGMENT] = segment;

  expect(datagramsIn(rows, MESSAGE_FIELDS)).toBe(count);
});

describe("whatever is added", () => {
  const piece = fc.record({
    datagrams: fc.integer({ min: 1, max: 150 }),
    size: fc.constantFrom(1, 32, 33, 100, 1452, 9000, 33_000),
    short: fc.double({ min: 0, max: 1, noNaN: true }),
    gap: fc.constantFrom(0, 0, 0, 0, 7),
    isToA: fc.constantFrom(true, true, true, false),
  });

  it("cut again is what went in, in order, inside the kernel's limits and the promised number of messages", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, isJoining) => {
        const batch = messageBatch(new Uint8Array(0), 2000);
        const runs = begun(batch, isJoining);
        const expected: Datagram[] = [];
        let offset = 0;
        let promised = 0;
        for (const { datagrams, size, short, gap, isToA } of pieces) {
          offset += gap;
          const last = 1 + Math.floor(short * (size - 1));
          const length = (datagrams - 1) * size + last;
          const to = isToA ? A : B;
          expected.push(...cut(offset, length, size, to));
          runs.add(offset, length, size, to);
          promised += runs.messagesFor(datagrams, size);
          offset += length;
          expect(batch.count).toBeLessThanOrEqual(promised);
        }
        expect(sent(batch)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});

interface Datagram {
  readonly offset: number;
  readonly length: number;
  readonly to: number;
}

/** The datagrams that the kernel makes of the batch; throws where it would refuse a message. */
function sent(batch: MessageBatch): Datagram[] {
  return Array.from({ length: batch.count }, (_, row) => {
    const { offset, length, segment } = fieldsOf(batch, row);
    if (segment > 0 && length > MOST_BYTES) throw new Error(`a run of ${length} bytes`);
    if (segment > 0 && segment >= length) throw new Error(`a run of ${length} by ${segment}`);
    const datagrams = cut(offset, length, segment || length, lastByte(batch, row) === 1 ? A : B);
    if (datagrams.length > MOST_DATAGRAMS) throw new Error(`a run of ${datagrams.length}`);
    return datagrams;
  }).flat();
}

function cut(offset: number, length: number, size: number, to: Endpoint): Datagram[] {
  const datagrams: Datagram[] = [];
  for (let at = 0; at < length; at += size) {
    const bytes = Math.min(size, length - at);
    datagrams.push({ offset: offset + at, length: bytes, to: to === A ? 1 : 2 });
  }
  return datagrams;
}

function emptyBatch(): MessageBatch {
  return messageBatch(new Uint8Array(0), 70);
}

function begun(batch: MessageBatch, isJoining = true): MessageRuns {
  const runs = new MessageRuns(batch, isJoining);
  runs.begin();
  return runs;
}

function added(sizes: readonly number[]): MessageBatch {
  const batch = emptyBatch();
  const runs = begun(batch);
  let offset = 0;
  for (const size of sizes) {
    runs.add(offset, size, size, A);
    offset += size;
  }
  return batch;
}

function times(count: number, size: number): number[] {
  return new Array<number>(count).fill(size);
}

/** `offset+length`, and `/segment` where it is a run. */
function texts(batch: MessageBatch): string[] {
  return Array.from({ length: batch.count }, (_, row) => {
    const { offset, length, segment } = fieldsOf(batch, row);
    return `${offset}+${length}${segment > 0 ? `/${segment}` : ""}`;
  });
}

function fieldsOf({ rows }: MessageBatch, row: number) {
  const [offset = 0, length = 0, segment = 0] = rows.subarray(row * MESSAGE_FIELDS);
  return { offset, length, segment };
}

/** The last byte of the row's remote address. */
function lastByte({ rows }: MessageBatch, row: number): number {
  const at = (row * MESSAGE_FIELDS + MESSAGE.REMOTE) * 4 + 15;
  return new Uint8Array(rows.buffer, rows.byteOffset)[at] ?? -1;
}

/** The endpoint, reached over a device. */
function onDevice(endpoint: Endpoint, device: number): Endpoint {
  const row = new Int32Array(MESSAGE_FIELDS);
  writeEndpoint(row, 0, endpoint);
  row[MESSAGE.DEVICE] = device;
  return endpointOfRow(row, 0);
}

/** TOS and hop limit as `add` takes them. */
function outerOf(tos: number, hops: number): number {
  return tos * 256 + hops;
}
