/**
 * The `[metrics]` table: where it may listen, and what each mistake says.
 */
import { describe, expect, it } from "vitest";
import { configOf, configText, problemsOf } from "./config-files.ts";

const EXPECTED = 'expected "address:port", such as "127.0.0.1:9586" or "[::1]:9586"';

describe("the listener of metrics", () => {
  it("is none unless asked for", () => {
    expect(configOf(configText()).metrics).toBeUndefined();
  });

  it.each([
    ['listen = "127.0.0.1:9586"', { listen: { host: "127.0.0.1", port: 9586 }, hasPage: false }],
    ['listen = "127.8.9.1:1"', { listen: { host: "127.8.9.1", port: 1 }, hasPage: false }],
    ['listen = "[::1]:9586"\npage = true', { listen: { host: "::1", port: 9586 }, hasPage: true }],
    [
      'listen = "0.0.0.0:9586"\ndangerous_non_loopback = true',
      { listen: { host: "0.0.0.0", port: 9586 }, hasPage: false },
    ],
  ])("may be %j", (lines, expected) => {
    expect(configOf(withMetrics(lines)).metrics).toEqual(expected);
  });

  it.each([
    ['listen = "127.0.0.1"', `"127.0.0.1" has no port; ${EXPECTED}`],
    ['listen = "localhost:9586"', `"localhost:9586" has a host name; ${EXPECTED}`],
    ['listen = "127.0.0.1:0"', `"127.0.0.1:0" has port 0; ${EXPECTED}`],
    ['listen = "127.0.0.1:65536"', `"127.0.0.1:65536" has a port above 65535; ${EXPECTED}`],
    ...["0.0.0.0", "192.0.2.1", "[::]", "[2001:db8::1]", "[::ffff:127.0.0.1]"].map((host) => [
      `listen = "${host}:9586"`,
      `"${host}:9586" can be reached from other hosts, for which dangerous_non_loopback must be true; ${EXPECTED}`,
    ]),
    [
      'dangerous_non_loopback = true\nlisten = "224.0.0.1:9586"',
      `"224.0.0.1:9586" is a multicast address; ${EXPECTED}`,
    ],
  ])("may not be %j", (lines = "", expected = "") => {
    const problems = problemsOf(withMetrics(lines));

    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^c.toml:\d+: metrics.listen: /);
    expect(problems[0]).toContain(expected);
  });

  it("is needed for the page", () => {
    expect(problemsOf(withMetrics("page = true"))).toEqual([
      'c.toml:8: metrics.page: is true, but metrics.listen is empty; give it an address such as "127.0.0.1:9586"',
    ]);
  });
});

function withMetrics(lines: string): string {
  return `${configText()}[metrics]\n${lines}\n`;
}
