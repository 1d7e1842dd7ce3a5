/** Link quality of one path (rule 20): probes and their answers, round-trip times, and loss. */
import { describe, expect, it } from "vitest";
import { PROBES_AWAITED, QUALITY_SAMPLES } from "../../../src/core/constants.ts";
import { Probes, RoundTrip } from "../../../src/core/path/probes.ts";
import { LinkQuality, LossWindow } from "../../../src/core/path/quality.ts";
import { after } from "../../../src/core/time.ts";
import { START, udp } from "../core-fixtures.ts";

const HOME = udp("192.0.2.1");
const AWAY = udp("192.0.2.2");

describe("a probe", () => {
  it("is answered once, by its own number and size", () => {
    const probes = new Probes();
    const ids = [probes.add(41, HOME, START), probes.add(1_400, AWAY, after(START, 5))];
    expect(ids).toEqual([0, 1]);
    expect([probes.take(0, 1_400), probes.take(1, 41), probes.take(2, 41)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(probes.take(1, 1_400)).toEqual({ id: 1, bytes: 1_400, to: AWAY, sentAt: START + 5 });
    expect([probes.take(1, 1_400), probes.isAsked(AWAY), probes.isAsked(HOME)]).toEqual([
      undefined,
      false,
      true,
    ]);
  });

  it("has a number of 16 bits, which comes round", () => {
    const probes = new Probes();
    let last = 0;
    for (let count = 0; count < 0x1_0000; count += 1) last = probes.add(41, HOME, START);
    expect([last, probes.add(41, HOME, START)]).toEqual([0xffff, 0]);
  });

  it("is forgotten where so many later ones wait", () => {
    const probes = new Probes();
    for (let count = 0; count < PROBES_AWAITED + 1; count += 1) probes.add(41, HOME, START);
    expect([probes.take(0, 41), probes.take(1, 41)?.id]).toEqual([undefined, 1]);
  });
});

it("the smoothed round trip and its variation are those of RFC 6298 §2", () => {
  const roundTrip = new RoundTrip();
  const seen = [80, 160, 0].map((ms) => {
    roundTrip.add(ms);
    return [roundTrip.smoothed, roundTrip.variation];
  });
  // By hand: 3/4 of the variation and 1/4 of the difference, then 7/8 and 1/8.
  expect(seen).toEqual([
    [80, 40],
    [90, 50],
    [78.75, 60],
  ]);
});

describe("the round-trip times", () => {
  it("are told by their least, the 95th of a hundred, and what neighbours differ by", () => {
    const quality = new LinkQuality();
    expect(quality.snapshot().roundTrip).toBeUndefined();
    quality.addRoundTrip(30);
    expect(quality.snapshot().roundTrip).toEqual({ smoothed: 30, min: 30, p95: 30, jitter: 0 });
    quality.addRoundTrip(10);
    quality.addRoundTrip(15);
    expect(quality.snapshot().roundTrip).toMatchObject({ min: 10, p95: 30, jitter: 12.5 });
  });

  it("are the last 64: the 61st of them in order is the 95th of a hundred", () => {
    const quality = new LinkQuality();
    quality.addRoundTrip(1);
    for (let ms = QUALITY_SAMPLES; ms > 0; ms -= 1) quality.addRoundTrip(100 + ms);
    expect(quality.snapshot().roundTrip).toMatchObject({ min: 101, p95: 161, jitter: 1 });
    quality.addRoundTrip(500);
    expect(quality.snapshot().roundTrip).toMatchObject({
      min: 101,
      p95: 161,
      jitter: (62 + 399) / 63,
    });
  });

  it("and losses of another path are others", () => {
    const quality = new LinkQuality();
    quality.addRoundTrip(30);
    quality.outbound.add(10, 5);
    quality.inbound.add(10, 4);
    expect(quality.snapshot()).toMatchObject({ outboundLoss: 0.5, inboundLoss: 0.6 });
    quality.clear();
    expect(quality.snapshot()).toEqual({
      roundTrip: undefined,
      outboundLoss: undefined,
      inboundLoss: undefined,
    });
    quality.addRoundTrip(7);
    expect(quality.snapshot().roundTrip).toEqual({ smoothed: 7, min: 7, p95: 7, jitter: 0 });
  });
});

describe("loss", () => {
  it.each<[string, readonly (readonly [number, number])[], number | undefined]>([
    ["is not known where nothing was sent", [], undefined],
    ["is not known where only late ones came", [[0, 3]], undefined],
    ["is none where all came", [[5, 5]], 0],
    ["is all where none came", [[5, 0]], 1],
    [
      "is the share of all periods",
      [
        [10, 9],
        [30, 21],
      ],
      0.25,
    ],
    [
      "is made up for by what comes late",
      [
        [10, 5],
        [0, 5],
      ],
      0,
    ],
    ["is never below nothing", [[10, 12]], 0],
    ["is never above all", [[10, -3]], 1],
  ])("%s", (_name, periods, share) => {
    const window = new LossWindow();
    for (const [sent, received] of periods) window.add(sent, received);
    expect(window.share()).toBe(share);
  });

  it("is that of the last 64 periods, those without a datagram apart", () => {
    const window = new LossWindow();
    window.add(QUALITY_SAMPLES, 0);
    for (let period = 1; period < QUALITY_SAMPLES; period += 1) window.add(1, 1);
    for (let period = 0; period < QUALITY_SAMPLES; period += 1) window.add(0, 0);
    expect(window.share()).toBeCloseTo(QUALITY_SAMPLES / (2 * QUALITY_SAMPLES - 1));
    window.add(1, 1);
    expect(window.share()).toBe(0);
  });
});
