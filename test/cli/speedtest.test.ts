/** `iptun speedtest`: what is asked, what is printed, and its exit code. */
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import type { SpeedDocument } from "../../src/daemon/control/speed-tests.ts";
import { speedSnapshot } from "../daemon/snapshot.ts";
import { fakeDaemon } from "./fake-daemon.ts";
import { FakeTerminal } from "./fake-terminal.ts";

const DOCUMENT: SpeedDocument = {
  ...speedSnapshot({ phase: "over" }),
  ...{ bitsPerSecond: 47_918_321, innerBitsPerSecond: 46_001_588, cpu: 0.42, offloads: ["gso"] },
};

/** Tests with a daemon whose test is over at the second look. */
async function speedTest(args: readonly string[], changes: Partial<SpeedDocument> = {}) {
  const document = { ...DOCUMENT, ...changes };
  const asked: string[] = [];
  let looks = 0;
  const path = "/v1/speedtest";
  await fakeDaemon(
    {
      ...{ method: "POST", path, parameters: ["peer", "seconds", "size"] },
      answer: async (query) => {
        asked.push(query.toString());
        return { ...document, phase: "idle" };
      },
    },
    {
      ...{ method: "GET", path },
      answer: async () => {
        looks += 1;
        return looks < 5 ? { ...document, phase: "load" } : document;
      },
    },
  );
  const terminal = new FakeTerminal();
  const code = await runCli(["speedtest", ...args], terminal);
  return { code, asked, out: terminal.stdout, err: terminal.stderr };
}

describe("the speedtest command", () => {
  it("prints what was found, of what, and what it is not", async () => {
    const { code, asked, out, err } = await speedTest(["hub/1 2", "--seconds", "9"]);

    expect(out).toContain(
      `from here to b
  delivered   47.9 Mbit/s of IP packets of 1500 bytes
  inside      46 Mbit/s of inner packets of 1440 bytes
  datagrams   1500 sent, 1400 answered, 30 lost (2 %)
  size        1472 bytes of UDP payload
  round trip  10.5 ms before, 18.25 ms under load, at most 31 ms
  cpu         42 % of one processor, in this daemon
  offloads    gso

The direction is from here to the peer; for the other one, run it there.`,
    );
    expect(out).toContain("a lower bound where the processors are the limit");
    expect(err).toBe("2 s, 47.9 Mbit/s, 30 lost\n");
    expect([code, asked]).toEqual([0, ["peer=hub%2F1+2&seconds=9"]]);
  });

  it("prints the document as JSON, and nothing beside it", async () => {
    const { out, err, asked } = await speedTest(["b", "--json", "--size", "500"]);

    expect(JSON.parse(out)).toEqual(DOCUMENT);
    expect([err, asked]).toEqual(["", ["peer=b&size=500"]]);
  });

  it("fails where nothing was answered", async () => {
    const nothing = { bitsPerSecond: null, innerBitsPerSecond: null, measuredAnswered: 0 };
    const { code, out } = await speedTest(["b"], nothing);

    expect(code).toBe(1);
    expect(out).toBe("no answer from b to 1500 datagrams: nothing is known of the path\n");
  });

  it.each([
    [["b", "--seconds", "61"], '--seconds is "61"; expected a whole number from 1 to 60'],
    [["b", "--size", "63"], '--size is "63"; expected a whole number from 64 to 9188'],
  ])("%j is a usage error", async (args, message) => {
    const { code, asked, err } = await speedTest(args);

    expect(err).toBe(`iptun: ${message}\n`);
    expect([code, asked]).toEqual([2, []]);
  });
});
