/** The search for a path's size: how fast it ends, and that it ends at the right one whatever is lost. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PathSearch } from "../../../src/core/path/path-search.ts";
import { Random } from "../../helpers/random.ts";

/** Plays a search over a path of `size` bytes that loses `loss` of all probes; rounds and probes that it took. */
function play(search: PathSearch, size: number, loss = 0, seed = 1) {
  const random = new Random(seed);
  let rounds = 0;
  let probes = 0;
  while (!search.isDone) {
    rounds += 1;
    const sizes = search.nextRound();
    expect(sizes).toEqual([...new Set(sizes)].sort((a, b) => a - b));
    probes += sizes.length;
    for (const bytes of sizes) if (bytes <= size && !random.chance(loss)) search.pass(bytes);
    search.endRound();
    expect(rounds).toBeLessThan(200);
  }
  return { passed: search.passed, rounds, probes };
}

describe("a search", () => {
  it("asks the usual sizes first", () => {
    expect(new PathSearch(1500).nextRound()).toEqual([1280, 1400, 1492, 1500]);
    expect(new PathSearch(9000).nextRound()).toEqual([1280, 1400, 1492, 1500, 9000]);
    expect(new PathSearch(1280).nextRound()).toEqual([1280]);
  });

  it.each([1280, 1400, 1492, 1500])(
    "ends after one round where %i bytes is all the link has",
    (most) => {
      expect(play(new PathSearch(most), 65_535)).toMatchObject({ passed: most, rounds: 1 });
    },
  );

  it.each([
    [1280, 1500],
    [1281, 1500],
    [1300, 1500],
    [1371, 1500],
    [1399, 1500],
    [1400, 1500],
    [1401, 1500],
    [1491, 1500],
    [1499, 1500],
    [1500, 9000],
    [4470, 9000],
    [8999, 9216],
  ])("finds %i of %i to the byte in a few rounds", (size, most) => {
    const { passed, rounds, probes } = play(new PathSearch(most), size);
    expect(passed).toBe(size);
    expect(rounds).toBeLessThanOrEqual(12);
    expect(probes).toBeLessThanOrEqual(60);
  });

  it("knows a usual size after its first round", () => {
    const search = new PathSearch(1500);
    for (const bytes of search.nextRound()) if (bytes <= 1400) search.pass(bytes);
    expect(search.passed).toBe(1400);
  });

  it("gives up on a path that carries nothing after three probes of the least size", () => {
    const search = new PathSearch(1500);
    expect(play(search, 0)).toMatchObject({ passed: 0, rounds: 3 });
  });

  it("goes up from what is known to pass", () => {
    const search = new PathSearch(1500, 1400);
    expect(search.nextRound()[0]).toBeGreaterThan(1400);
    expect(play(search, 1452).passed).toBe(1452);
    expect(new PathSearch(1500, 1500).isDone).toBe(true);
  });

  it("takes an answer that comes after its size was given up", () => {
    const search = new PathSearch(1500);
    play(search, 1400);
    expect(search.isDone).toBe(true);
    search.pass(1450);
    expect(search.isDone).toBe(false);
    expect(play(search, 1470).passed).toBe(1470);
  });

  it("asks between what passed and what is in doubt, and gives a size up at its third loss in a row", () => {
    const search = new PathSearch(1500, 1400);
    const rounds = [
      { asked: [1420, 1440, 1460, 1480, 1500], passed: [1420, 1440] },
      { asked: [1444, 1448, 1452, 1456, 1459, 1460], passed: [1444, 1459] },
      { asked: [1460], passed: [] },
    ];
    for (const [index, { asked, passed }] of rounds.entries()) {
      expect(search.isRoundDone).toBe(true);
      expect(search.nextRound()).toEqual(asked);
      for (const bytes of passed) search.pass(bytes);
      expect([search.isDone, search.isRoundDone, search.rounds]).toEqual([false, false, index]);
      search.endRound();
    }
    expect([search.isDone, search.passed, search.rounds]).toEqual([true, 1459, 3]);

    search.pass(1444);
    expect(search.isDone).toBe(true);
    search.pass(1460);
    expect(search.isDone).toBe(false);
    expect(search.nextRound()).toEqual([1468, 1476, 1484, 1492, 1500]);
  });

  it("goes on above a size in doubt whose answer came late", () => {
    const search = new PathSearch(1500, 1400);
    search.nextRound();
    search.endRound();
    search.pass(1420);
    expect(search.nextRound()).toEqual([1436, 1452, 1468, 1484, 1500]);
  });

  it("never claims more than passed, and seldom less, on a path that loses one in twenty", () => {
    let exact = 0;
    fc.assert(
      fc.property(fc.integer({ min: 1280, max: 1500 }), fc.nat(), (size, seed) => {
        const { passed } = play(new PathSearch(1500), size, 0.05, seed);
        expect(passed).toBeLessThanOrEqual(size);
        if (passed >= size - 20) exact += 1;
      }),
      { numRuns: 200, seed: 1 },
    );
    expect(exact).toBeGreaterThanOrEqual(195);
  });
});
