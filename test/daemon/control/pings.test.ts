/** `POST /v1/ping`: answers, reasons, and what it refuses. */
import { describe, expect, it } from "vitest";
import { mapAddress } from "../../../src/core/prefix.ts";
import {
  PING_WAIT_MS,
  PINGS_AT_A_TIME,
  PINGS_PER_SECOND,
  Pings,
} from "../../../src/daemon/control/pings.ts";
import { EngineLink } from "../../../src/daemon/engine-link.ts";
import type { PingOutcome } from "../../../src/engine/messages.ts";
import { FakeEngine } from "../fake-engine.ts";
import { ManualTimers, settle } from "../timers.ts";

const ENDPOINT = { address: mapAddress(Uint8Array.of(192, 0, 2, 2)), port: 1194, scope: 0 };
const ANSWER: PingOutcome = { bytes: 64, endpoint: ENDPOINT, roundTripMs: 1.5 };

function setUp() {
  const engine = new FakeEngine();
  const timers = new ManualTimers();
  const ignore = () => undefined;
  const link = new EngineLink(engine, {
    event: ignore,
    link: ignore,
    runRefused: ignore,
    ended: ignore,
  });
  const pings = new Pings(() => link, { startTimer: timers.start, nowMs: () => timers.nowMs });
  engine.answers = false;
  const ping = (peer = "b") => pings.resource().answer(new URLSearchParams({ peer }));
  const pinged = (id: number, outcome: PingOutcome) =>
    engine.report({ kind: "probed", id, outcome });
  return { engine, timers, ping, pinged };
}

describe("a ping", () => {
  it("is answered with the time and the endpoint", async () => {
    const { engine, timers, ping, pinged } = setUp();
    const answer = ping();
    pinged(1, ANSWER);

    expect(await answer).toEqual({
      peer: "b",
      bytes: 64,
      roundTripMs: 1.5,
      endpoint: "192.0.2.2:1194",
      reason: null,
    });
    expect(engine.commands).toEqual([{ kind: "probe", id: 1, peer: "b" }]);
    expect(timers.delays()).toEqual([]);
  });

  it.each<[PingOutcome, string]>([
    ["no-session", "no session: a handshake is under way"],
    ["no-endpoint", "no session, and no address to start one with"],
  ])("that was not sent (%s) has a reason", async (outcome, reason) => {
    const { ping, pinged } = setUp();
    const answer = ping();
    pinged(1, outcome);

    expect(await answer).toMatchObject({ roundTripMs: null, endpoint: null, reason });
  });

  it("that is lost has one after two seconds; an answer after that is nobody's", async () => {
    const { timers, ping, pinged } = setUp();
    const answer = ping();
    await timers.fire(PING_WAIT_MS);
    pinged(1, ANSWER);

    expect(await answer).toMatchObject({ roundTripMs: null, reason: "no answer within 2 s" });
  });

  it.each<[PingOutcome, RegExp]>([
    ["no-peer", /^no peer is named "b"$/],
    ["group", /^b is a group: name one of its nodes/],
  ])("of a wrong name (%s) fails", async (outcome, message) => {
    const { ping, pinged } = setUp();
    const answer = ping();
    pinged(1, outcome);

    await expect(answer).rejects.toThrow(message);
  });

  it("fails with the engine", async () => {
    const { engine, timers, ping } = setUp();
    const answer = ping();
    engine.die("the engine ended with code 1");

    await expect(answer).rejects.toThrow("the engine ended with code 1");
    expect(timers.delays()).toEqual([]);
  });
});

describe("pings of all clients together", () => {
  it("are few at a time", async () => {
    const { ping, pinged } = setUp();
    const waiting = Array.from({ length: PINGS_AT_A_TIME }, () => ping());
    await expect(ping()).rejects.toThrow("too many pings at a time");

    pinged(1, ANSWER);
    await waiting[0];
    await settle();
    const next = ping();
    pinged(PINGS_AT_A_TIME + 1, ANSWER);
    expect(await next).toMatchObject({ roundTripMs: 1.5 });
  });

  it("are few in a second", async () => {
    const { timers, ping, pinged } = setUp();
    for (let id = 1; id <= PINGS_PER_SECOND; id += 1) {
      const answer = ping();
      pinged(id, ANSWER);
      await answer;
    }
    await expect(ping()).rejects.toThrow("too many pings at a time");

    timers.nowMs += 1_000;
    const next = ping();
    pinged(PINGS_PER_SECOND + 1, ANSWER);
    expect(await next).toMatchObject({ roundTripMs: 1.5 });
  });
});
