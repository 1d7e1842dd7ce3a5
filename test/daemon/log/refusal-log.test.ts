/**
 * Refused runs as log lines: news once for each address and error, and both bounds.
 */
import { describe, expect, it } from "vitest";
import { mapAddress, parseAddress } from "../../../src/core/prefix.ts";
import { WINDOW_MS } from "../../../src/daemon/log/rate-limit.ts";
import {
  REFUSAL_LINES_PER_MINUTE,
  REMEMBERED_REFUSALS,
  RefusalLog,
} from "../../../src/daemon/log/refusal-log.ts";

describe("a refused run", () => {
  it("is news once for each address and each error", () => {
    const log = new RefusalLog();

    const levels = [
      ["192.0.2.1", "EIO"],
      ["192.0.2.1", "EIO"],
      ["192.0.2.1", "EMSGSIZE"],
      ["192.0.2.2", "EIO"],
      ["192.0.2.1", "EMSGSIZE"],
    ].map(([address = "", errno = ""]) => levelsOf(log, address, errno));

    expect(levels).toEqual([["info"], ["debug"], ["info"], ["info"], ["debug"]]);
  });

  it.each(["192.0.2.1", "2001:db8::1"])("to %s has one line in plain words", (address) => {
    const lines = new RefusalLog().lines(bytes(address), "EINVAL", 0);

    expect(lines).toEqual([
      {
        level: "info",
        message: `datagrams to ${address} go one by one for now: the path takes no runs (EINVAL)`,
        fields: { remote: address, errno: "EINVAL" },
      },
    ]);
  });

  it("that comes back after hours is no news", () => {
    const log = new RefusalLog();
    log.lines(bytes("192.0.2.1"), "EIO", 0);

    expect(levelsOf(log, "192.0.2.1", "EIO", 100 * WINDOW_MS)).toEqual(["debug"]);
  });
});

describe("very many addresses", () => {
  it("cost ten lines a minute; what was held back is counted, and stays news", () => {
    const log = new RefusalLog();

    const lines = addresses(25).flatMap((address) => log.lines(bytes(address), "EIO", 0));
    const later = log.lines(bytes("10.0.0.24"), "EIO", WINDOW_MS);

    expect(lines).toHaveLength(REFUSAL_LINES_PER_MINUTE);
    expect(later.map(({ level, message }) => `${level} ${message}`)).toEqual([
      "info 15 more such addresses that take no runs",
      "info datagrams to 10.0.0.24 go one by one for now: the path takes no runs (EIO)",
    ]);
  });

  it("are remembered up to a bound, the oldest forgotten first", () => {
    const log = new RefusalLog();
    const all = addresses(REMEMBERED_REFUSALS + 1);
    for (const [at, address] of all.entries()) log.lines(bytes(address), "EIO", at * WINDOW_MS);
    const nowMs = all.length * WINDOW_MS;

    expect(levelsOf(log, "10.0.0.1", "EIO", nowMs)).toEqual(["debug"]);
    expect(levelsOf(log, "10.0.0.0", "EIO", nowMs)).toEqual(["info"]);
  });
});

function levelsOf(log: RefusalLog, address: string, errno: string, nowMs = 0): readonly string[] {
  return log.lines(bytes(address), errno, nowMs).map(({ level }) => level);
}

function addresses(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
}

function bytes(text: string): Uint8Array {
  return mapAddress(parseAddress(text) ?? new Uint8Array(0));
}
