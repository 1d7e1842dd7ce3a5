/**
 * The schedules see faults: each one here is put into the core, and a schedule must trip over it.
 *
 * The core's methods are replaced while the test runs; src is left alone. Which rule notices first is part of
 * the test, so that a rule that can no longer fail shows.
 */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import { Floors } from "../../src/core/handshake/floors.ts";
import { SeenInits } from "../../src/core/handshake/seen-inits.ts";
import { Deliverer } from "../../src/core/inbound/deliver.ts";
import { MessageRuns } from "../../src/core/outbound/message-runs.ts";
import { TimerTable } from "../../src/core/session/deadlines.ts";
import { ReplayWindow } from "../../src/core/session/replay-window.ts";
import { SessionOf } from "../../src/core/session/session.ts";
import { TokenBucket } from "../../src/core/token-bucket.ts";
import { runSchedule } from "./run.ts";
import { Violation } from "./violation.ts";

/** Schedules in which a fault must show. */
const SEEDS = 400;
const TIMEOUT_MS = 60_000;

afterEach(() => {
  vi.restoreAllMocks();
});

interface Fault {
  readonly name: string;
  readonly rules: readonly string[];
  readonly inject: () => void;
}

const FAULTS: readonly Fault[] = [
  {
    name: "the replay window forgets",
    rules: ["delivered", "slots", "outputs"],
    inject: () => {
      const { check } = ReplayWindow.prototype;
      vi.spyOn(ReplayWindow.prototype, "commit").mockImplementation(check);
    },
  },
  {
    name: "a floor falls with the clock",
    rules: ["floors", "outputs"],
    inject: () => {
      const { confirm } = Floors.prototype;
      vi.spyOn(Floors.prototype, "confirm").mockImplementation(function (
        this: Floors,
        nodeId,
        stamp,
      ) {
        confirm.call(this, nodeId, stamp);
        vi.spyOn(this, "isAbove").mockImplementation((_, given) => given > stamp);
      });
    },
  },
  {
    name: "retries stop after the first",
    rules: ["wake"],
    inject: () => {
      const { set } = TimerTable.prototype;
      vi.spyOn(TimerTable.prototype, "set").mockImplementation(function (
        this: TimerTable,
        timer,
        at,
      ) {
        if (timer !== "retry") set.call(this, timer, at);
      });
    },
  },
  {
    name: "crossed handshakes are settled by the larger node id",
    rules: ["slots"],
    inject: () => {
      const { supersedes } = SessionOf.prototype;
      vi.spyOn(SessionOf.prototype, "supersedes").mockImplementation(function (
        this: SessionOf<unknown>,
        other,
      ) {
        const isBetter = supersedes.call(this, other);
        return this.isInitiator === other.isInitiator ? isBetter : !isBetter;
      });
    },
  },
  {
    name: "a counter is used twice",
    rules: ["outputs", "slots"],
    inject: () => {
      const { takeCounters } = SessionOf.prototype;
      vi.spyOn(SessionOf.prototype, "takeCounters").mockImplementation(function (
        this: SessionOf<unknown>,
        count,
      ) {
        const first = takeCounters.call(this, count);
        if (first === 1) this.nextCounter = 1;
        return first;
      });
    },
  },
  {
    name: "a session does not age",
    rules: ["wake", "outputs", "slots", "nodes"],
    inject: () => {
      vi.spyOn(SessionOf.prototype, "isUsable").mockImplementation(function (
        this: SessionOf<unknown>,
      ) {
        return !this.isEnded;
      });
      const { set } = TimerTable.prototype;
      vi.spyOn(TimerTable.prototype, "set").mockImplementation(function (
        this: TimerTable,
        timer,
        at,
      ) {
        if (timer !== "expire") set.call(this, timer, at);
      });
    },
  },
  {
    name: "an INIT seen before is answered without end",
    rules: ["outputs"],
    inject: () => {
      const { repeat } = SeenInits.prototype;
      vi.spyOn(SeenInits.prototype, "repeat").mockImplementation(function (this: SeenInits, mac) {
        const drawn = repeat.call(this, mac, true);
        if (drawn !== undefined && drawn.kind !== "nothing") {
          vi.spyOn(this, "repeat").mockImplementation(() => drawn);
        }
        return drawn;
      });
    },
  },
  {
    name: "no ECN field is copied out",
    rules: ["outputs"],
    inject: () => {
      const { add } = MessageRuns.prototype;
      vi.spyOn(MessageRuns.prototype, "add").mockImplementation(function (
        this: MessageRuns,
        ...[offset, length, size, to, outer = 0]
      ) {
        add.call(this, offset, length, size, to, outer & 0xff);
      });
    },
  },
  {
    name: "no mark is taken over",
    rules: ["delivered"],
    inject: () => {
      const { take } = Deliverer.prototype;
      vi.spyOn(Deliverer.prototype, "take").mockImplementation(function (
        this: Deliverer,
        ...[peer, offset, bytes, stride, count]
      ) {
        take.call(this, peer, offset, bytes, stride, count, 0);
      });
    },
  },
  {
    name: "no budget is ever spent",
    rules: ["outputs"],
    inject: () => {
      vi.spyOn(TokenBucket.prototype, "take").mockImplementation(() => true);
    },
  },
];

describe("a schedule trips over a fault of the core", () => {
  it.each(FAULTS)(
    "$name",
    ({ rules, inject }) => {
      inject();
      expect(rules).toContain(firstViolation()?.rule);
    },
    TIMEOUT_MS,
  );
});

describe("a schedule trips over faulty primitives", () => {
  it.each<[string, readonly string[], (crypto: HandshakeCrypto) => HandshakeCrypto]>([
    ["every mac is taken for right", ["outputs"], (crypto) => ({ ...crypto, equal: () => true })],
    ["the tag of a CHALLENGE is not looked at", ["strangers", "outputs"], openAnyChallenge],
    ["the ephemeral key is always the same", ["fresh"], sameKeyPair],
  ])(
    "%s",
    (_, rules, replaced) => {
      expect(rules).toContain(firstViolation(replaced)?.rule);
    },
    TIMEOUT_MS,
  );
});

function openAnyChallenge(crypto: HandshakeCrypto): HandshakeCrypto {
  return {
    ...crypto,
    openExtended: (key, nonce, ad, sealed) =>
      crypto.openExtended(key, nonce, ad, sealed) ?? sealed.slice(0, -16),
  };
}

/** Every key pair is a copy of the first one. */
function sameKeyPair(crypto: HandshakeCrypto): HandshakeCrypto {
  const { publicKey, secretKey } = crypto.keyPair();
  return {
    ...crypto,
    keyPair: () => ({ publicKey: publicKey.slice(), secretKey: secretKey.slice() }),
  };
}

/** The rule that the first failing seed breaks. */
function firstViolation(
  replaced?: (crypto: HandshakeCrypto) => HandshakeCrypto,
): Violation | undefined {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    try {
      runSchedule(seed, replaced && { replaced });
    } catch (error) {
      if (error instanceof Violation) return error;
      throw error;
    }
  }
  return undefined;
}
