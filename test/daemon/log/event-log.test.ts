/**
 * Events and packets as log lines: level, text, and the bound on what strangers cause.
 */
import { describe, expect, it } from "vitest";
import type { PlainEndpoint, TunnelEvent } from "../../../src/core/options.ts";
import { mapAddress, type Prefix, parseAddress } from "../../../src/core/prefix.ts";
import {
  EventLog,
  packetText,
  STRANGER_LINES_PER_MINUTE,
} from "../../../src/daemon/log/event-log.ts";

describe("an event", () => {
  it.each<readonly [string, TunnelEvent, string]>([
    [
      "first session",
      session({ isNew: true, endpoint: endpoint("192.0.2.2", 1194) }),
      "info peer b is up at 192.0.2.2:1194",
    ],
    ["first session without address", session({ isNew: true }), "info peer b is up"],
    ["rekey", session({ isNew: false }), "debug new session with peer b"],
    [
      "close",
      { kind: "down", peer: "b", reason: "closed" },
      "info peer b is down: closed by the other side",
    ],
    [
      "learned address",
      { kind: "endpoint", peer: "b", from: undefined, to: endpoint("2001:db8::2", 99) },
      "debug peer b is at [2001:db8::2]:99",
    ],
    [
      "move",
      { kind: "endpoint", peer: "b", from: endpoint("192.0.2.2", 1), to: endpoint("192.0.2.3", 2) },
      "info peer b moved from 192.0.2.2:1 to 192.0.2.3:2",
    ],
    [
      "silence",
      { kind: "stale", peer: "b", endpointForgotten: true },
      "info peer b is silent, its address is forgotten",
    ],
    [
      "silence of a configured peer",
      { kind: "stale", peer: "b", endpointForgotten: false },
      "info peer b is silent",
    ],
    [
      "no answer",
      { kind: "unanswered", peer: "b", seconds: 30 },
      "info peer b has not answered for 30 s",
    ],
    [
      "claim",
      { kind: "claim", peer: "g/01", holder: "g/02", prefix: host(10, 9, 0, 5) },
      "warn g/01 claims 10.9.0.5, which g/02 holds: it is refused as long as g/02 answers",
    ],
    [
      "address that moved",
      { kind: "moved", peer: "g/01", holder: "g/02", prefix: host(10, 9, 0, 5) },
      "warn 10.9.0.5 moved from g/02, which did not answer, to g/01",
    ],
    ["loss", { kind: "lost", count: 4 }, "warn 4 events were lost"],
    [
      "stranger",
      { kind: "stranger", source: endpoint("192.0.2.1", 4242), reason: "bad_mac" },
      "warn datagrams arrive from 192.0.2.1:4242 which no key configured here opens",
    ],
  ])("of a %s has its line", (_name, event, expected) => {
    expect(texts(new EventLog(), event, 0)).toEqual([expected]);
  });

  it("of a session names the key by its fingerprint and the role", () => {
    const [line] = new EventLog().lines(session({ isNew: true }), 0);

    expect(line?.fields).toEqual({ peer: "b", key: "8d493a44", role: "responder" });
  });
});

describe("strangers", () => {
  it("cost at most ten lines a minute, and the next minute counts the others", () => {
    const log = new EventLog();
    const event: TunnelEvent = {
      kind: "stranger",
      source: endpoint("192.0.2.1", 1),
      reason: "bad_mac",
    };

    const flood = Array.from({ length: 1_000 }, () => log.lines(event, 0)).flat();
    const later = texts(log, event, 60_000);

    expect(flood).toHaveLength(STRANGER_LINES_PER_MINUTE);
    expect(later).toEqual([
      "warn 990 more such addresses",
      "warn datagrams arrive from 192.0.2.1:1 which no key configured here opens",
    ]);
  });

  it("do not silence other events", () => {
    const log = new EventLog();
    const event: TunnelEvent = {
      kind: "stranger",
      source: endpoint("192.0.2.1", 1),
      reason: "bad_mac",
    };
    for (let count = 0; count < 50; count += 1) log.lines(event, 0);

    expect(texts(log, { kind: "down", peer: "b", reason: "closed" }, 0)).toEqual([
      "info peer b is down: closed by the other side",
    ]);
  });
});

describe("a packet's text", () => {
  it("shows where a datagram came from", () => {
    const line = { source: bytes("192.0.2.1"), destination: undefined, port: 1194, length: 132 };

    expect(packetText({ direction: "inbound", layer: "datagram", ...line })).toBe(
      "inbound datagram 132 bytes from 192.0.2.1:1194",
    );
  });

  it("shows where a datagram goes", () => {
    const line = { source: undefined, destination: bytes("2001:db8::1"), port: 7, length: 64 };

    expect(packetText({ direction: "outbound", layer: "datagram", ...line })).toBe(
      "outbound datagram 64 bytes to [2001:db8::1]:7",
    );
  });

  it("shows a packet's two ends without a port", () => {
    const line = { source: bytes("10.0.0.1"), destination: bytes("10.0.0.2"), port: 0, length: 84 };

    expect(packetText({ direction: "outbound", layer: "packet", ...line })).toBe(
      "outbound packet 84 bytes from 10.0.0.1 to 10.0.0.2",
    );
  });

  it("does without addresses", () => {
    const line = { source: undefined, destination: undefined, port: 0, length: 3 };

    expect(packetText({ direction: "inbound", layer: "packet", ...line })).toBe(
      "inbound packet 3 bytes",
    );
  });
});

function texts(log: EventLog, event: TunnelEvent, nowMs: number): string[] {
  return log.lines(event, nowMs).map(({ level, message }) => `${level} ${message}`);
}

it("lines about nodes of groups are limited in all, and those of configured peers are not", () => {
  const log = new EventLog();
  const event = (peer: string): TunnelEvent => {
    const rest = { isNew: true, isInitiator: false, fingerprint: "0badc0de", endpoint: undefined };
    return { kind: "session", peer, ...rest };
  };
  const up = (peer: string) => log.lines(event(peer), 0);
  const nodes = Array.from({ length: 500 }, (_, index) => up(`branch/${index}`)).flat();
  expect(nodes).toHaveLength(120);
  expect(up("b")).toHaveLength(1);
  const later = log.lines(event("branch/501"), 60_000);
  expect(later.map(({ message }) => message)).toEqual([
    "380 more lines about nodes of groups",
    expect.stringContaining("peer branch/501 is up"),
  ]);
});

function session(changes: {
  readonly isNew: boolean;
  readonly endpoint?: PlainEndpoint;
}): TunnelEvent {
  const base = { kind: "session", peer: "b", isInitiator: false, fingerprint: "8d493a44" } as const;
  return { ...base, endpoint: undefined, ...changes };
}

function bytes(text: string): Uint8Array {
  return mapAddress(parseAddress(text) ?? new Uint8Array(0));
}

function endpoint(text: string, port: number): PlainEndpoint {
  return { address: bytes(text), port, scope: 0 };
}

function host(...bytes: readonly number[]): Prefix {
  return { family: 4, bytes: Uint8Array.from(bytes), length: 32 };
}
