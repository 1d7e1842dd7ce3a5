/** `iptun ping`: the row, its sum, its exit code and its options. */
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import type { PingDocument } from "../../src/daemon/control/pings.ts";
import { fakeDaemon } from "./fake-daemon.ts";
import { FakeTerminal } from "./fake-terminal.ts";

const PING = { method: "POST", path: "/v1/ping", parameters: ["peer"] } as const;

/** Pings a daemon that answers with these round-trip times; null: not at all. */
async function ping(times: readonly (number | null)[], ...args: readonly string[]) {
  const left = [...times];
  const asked: string[] = [];
  await fakeDaemon({
    ...PING,
    answer: async (query) => {
      asked.push(query.get("peer") ?? "");
      return answer(left.shift() ?? null);
    },
  });
  const terminal = new FakeTerminal();
  const code = await runCli(["ping", ...args], terminal);
  return { code, asked, out: terminal.stdout, err: terminal.stderr };
}

function answer(roundTripMs: number | null): PingDocument {
  const reason = roundTripMs === null ? "no answer within 2 s" : null;
  return { peer: "b", bytes: 64, roundTripMs, endpoint: "192.0.2.2:1194", reason };
}

describe("a row of pings", () => {
  it("prints every answer, the loss, and min, mean, max and deviation", async () => {
    const { code, asked, out, err } = await ping([10, null, 20, 18], "b/1 2", "-i", "0.2");

    expect(out).toBe(
      [
        "PING b/1 2 by authenticated probes",
        "64 bytes from b (192.0.2.2:1194): seq=1 time=10 ms",
        "seq=2: no answer within 2 s",
        "64 bytes from b (192.0.2.2:1194): seq=3 time=20 ms",
        "64 bytes from b (192.0.2.2:1194): seq=4 time=18 ms",
        "",
        "--- b/1 2 ---",
        "4 sent, 3 answered, 25 % lost",
        "round trip min/avg/max/mdev 10/16/20/4.32 ms",
        "",
      ].join("\n"),
    );
    expect([code, err]).toEqual([0, ""]);
    expect(asked).toEqual(["b/1 2", "b/1 2", "b/1 2", "b/1 2"]);
  });

  it("fails where nothing was answered", async () => {
    const { code, out } = await ping([], "b", "-c", "1");

    expect(code).toBe(1);
    expect(out).toContain("\n--- b ---\n1 sent, 0 answered, 100 % lost\n");
    expect(out).not.toContain("min/avg");
  });

  it("is one document as JSON", async () => {
    const { out } = await ping([1.23456], "b", "--count", "1", "--json");

    expect(JSON.parse(out)).toEqual({
      peer: "b",
      answers: [answer(1.23456)],
      ...{ sent: 1, answered: 1, loss: 0 },
      ...{ minMs: 1.235, averageMs: 1.235, maxMs: 1.235, deviationMs: 0 },
    });
  });

  it("ends at once with what the daemon refuses", async () => {
    await fakeDaemon({
      ...PING,
      answer: () => Promise.reject(new Error('no peer is named "x"')),
    });
    const terminal = new FakeTerminal();

    expect(await runCli(["ping", "x", "-c", "9", "-i", "60"], terminal)).toBe(1);
    expect(terminal.stderr).toBe('iptun: the daemon answered 503: no peer is named "x"\n');
  });

  it("fails where the daemon knows no pings", async () => {
    await fakeDaemon();
    const terminal = new FakeTerminal();

    expect(await runCli(["ping", "x"], terminal)).toBe(1);
    expect(terminal.stderr).toBe("iptun: the daemon answered 404: no such resource\n");
  });

  it.each([
    [["b", "-c", "0"], '--count is "0"; expected a whole number from 1 to 10000'],
    [["b", "-c", "1.5"], '--count is "1.5"; expected a whole number from 1 to 10000'],
    [["b", "-i", "0.1"], '--interval is "0.1"; expected a number from 0.2 to 3600'],
    [["b", "-i", "1e3"], '--interval is "1e3"; expected a number from 0.2 to 3600'],
    [[], "missing required argument 'peer'"],
  ])("%j is a usage error", async (args, message) => {
    const { code, asked, err } = await ping([1], ...args);

    expect(err).toBe(`iptun: ${message}\n`);
    expect([code, asked]).toEqual([2, []]);
  });
});
