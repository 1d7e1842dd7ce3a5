/** How an endpoint is learned and moves, by rule 12: the limits of each condition. */
import { describe, expect, it } from "vitest";
import { type Endpoint, endpointOfRow } from "../../../src/core/address.ts";
import { PATH_CHALLENGE_MS } from "../../../src/core/constants.ts";
import type { PeerOptions, Roaming } from "../../../src/core/options.ts";
import {
  considerEndpoint,
  isFromElsewhere,
  releaseLocalSides,
} from "../../../src/core/path/roaming.ts";
import type { Session } from "../../../src/core/peers/peer.ts";
import { MESSAGE } from "../../../src/core/rows.ts";
import type { State } from "../../../src/core/state.ts";
import { after, type Instant } from "../../../src/core/time.ts";
import { endpoint as configured, ipBytes } from "../../helpers/address.ts";
import {
  addConfirmed,
  addPeer,
  addSession,
  newCore,
  rowFrom,
  START,
  takeSent,
  udp,
} from "../core-fixtures.ts";

const HOME = "198.51.100.1";
const AWAY = "203.0.113.5";
const OWN = "198.51.100.200";
const PATH = "192.0.2.1";

describe("an endpoint that nobody can have", () => {
  it.each([
    [AWAY, 0],
    ["::", 5000],
    ["0.0.0.0", 5000],
    ["0.1.2.3", 5000],
    ["224.0.0.1", 5000],
    ["255.255.255.255", 5000],
    ["ff02::1", 5000],
    [OWN, 1194],
  ])("is not learned: %s port %i", (ip, port) => {
    const { state, session } = newPair("on");
    hear(state, session, udp(ip, port));
    expect(session.peer.endpoint).toEqual(udp(HOME));
  });

  it.each([
    ["1.0.0.0", 1194],
    ["223.255.255.255", 1194],
    ["::1", 5000],
    ["e000::1", 5000],
    ["::fffe:0:1", 5000],
    [OWN, 1195],
  ])("is not taken for one: %s port %i", (ip, port) => {
    const { state, session } = newPair("on");
    hear(state, session, udp(ip, port));
    expect(session.peer.endpoint).toEqual(udp(ip, port));
  });
});

describe("a new address of a peer", () => {
  it("draws a path challenge where the data is no shorter than one, at most once in 250 ms", () => {
    const { state, session } = newPair("validated");
    const away = udp(AWAY);
    hear(state, session, away, { bytes: 8 });
    expect(takeSent(state)).toEqual([]);
    hear(state, session, away);
    hear(state, session, away, { now: after(START, PATH_CHALLENGE_MS - 1) });
    const [first, ...others] = takeSent(state);
    expect([first?.to, first?.plaintext.length, others]).toEqual([AWAY, 9, []]);

    hear(state, session, away, { now: after(START, PATH_CHALLENGE_MS) });
    hear(state, session, udp("203.0.113.6"), { now: after(START, 2 * PATH_CHALLENGE_MS) });
    const [again, other] = takeSent(state);
    expect(again?.plaintext).toEqual(first?.plaintext);
    expect(other?.plaintext).not.toEqual(first?.plaintext);
    expect(session.peer.endpoint).toEqual(udp(HOME));
  });

  it("needs no challenge where the session's RESP went there and its first data came from there", () => {
    for (const roaming of ["validated", "off"] as const) {
      for (const [from, isConfirming, isMoved] of [
        [PATH, true, true],
        [PATH, false, false],
        [AWAY, true, false],
      ] as const) {
        const { state, session } = newPair(roaming);
        hear(state, session, udp(from), { isConfirming });
        expect(session.peer.endpoint).toEqual(udp(isMoved ? from : HOME));
      }
    }
  });

  it("is taken at once with roaming on, and not even asked with roaming off", () => {
    for (const [roaming, end] of [
      ["on", AWAY],
      ["off", HOME],
    ] as const) {
      const { state, session } = newPair(roaming);
      hear(state, session, udp(AWAY), { isConfirming: true });
      expect([session.peer.endpoint, takeSent(state)]).toEqual([udp(end), []]);
    }
  });

  it("is taken with roaming off among what is configured, and the first of that while none is known", () => {
    const endpoints = [configured(HOME, 1194), configured("198.51.100.2", 1194)];
    const { state, session } = newPair("off", { endpoints });
    hear(state, session, udp("198.51.100.2"));
    expect(session.peer.endpoint).toEqual(udp("198.51.100.2"));
    session.peer.endpoint = undefined;
    hear(state, session, udp(AWAY));
    expect(session.peer.endpoint).toEqual(udp(HOME));
  });

  it("is taken as it is while none is known", () => {
    for (const roaming of ["validated", "off"] as const) {
      const { state, session } = newPair(roaming);
      session.peer.endpoint = undefined;
      hear(state, session, udp(AWAY));
      expect(session.peer.endpoint).toEqual(udp(AWAY));
    }
  });

  it("is forgotten where the endpoint in use is heard again", () => {
    const { state, session } = newPair("validated");
    hear(state, session, udp(AWAY));
    expect(session.peer.pathChallenge).toBeDefined();
    hear(state, session, udp(HOME));
    expect(session.peer.pathChallenge).toBeUndefined();
  });
});

describe("the local side of an endpoint", () => {
  it("follows the address that the peer speaks to, but not where the kernel chooses", () => {
    const { state, session } = newPair("validated");
    const { peer } = session;
    hear(state, session, towards(HOME, OWN));
    expect(peer.endpoint).toEqual(udp(HOME));

    peer.endpoint = towards(HOME, OWN);
    hear(state, session, towards(HOME, "198.51.100.201"));
    expect(peer.endpoint).toEqual(towards(HOME, "198.51.100.201"));
  });

  it("is left to the kernel when this host loses that address, and only then", () => {
    const { state, session } = newPair("validated");
    const { peer } = session;
    peer.endpoint = towards(HOME, OWN);
    releaseLocalSides(state);
    expect(peer.endpoint).toEqual(towards(HOME, OWN));
    state.ownAddresses = [ipBytes("198.51.100.201")];
    releaseLocalSides(state);
    expect(peer.endpoint).toEqual(udp(HOME));
    peer.endpoint = undefined;
    releaseLocalSides(state);
    expect(peer.endpoint).toBeUndefined();
  });
});

describe("data from elsewhere, whose source pays for it", () => {
  it("is what comes neither from the endpoint nor, before the session is confirmed, from its path", () => {
    const { state, session } = newPair("validated");
    const { peer } = session;
    const next = addSession(state, peer, { path: udp(PATH), stamp: 2 });
    const places = [HOME, PATH, AWAY];
    const askedOf = (of: Session): boolean[] =>
      places.map((ip) => {
        const { rows, base } = rowFrom(udp(ip));
        return isFromElsewhere(of, rows, base);
      });
    expect(askedOf(session)).toEqual([false, true, true]);
    expect(askedOf(next)).toEqual([false, false, true]);
    peer.endpoint = undefined;
    expect(askedOf(session)).toEqual([true, false, true]);
  });
});

function newPair(
  roaming: Roaming,
  spec: Partial<PeerOptions> = {},
): { readonly state: State; readonly session: Session } {
  const state = newCore({ ownAddresses: [ipBytes("192.0.2.250"), ipBytes(OWN)] });
  const { peer } = addPeer(state, { roaming, ...spec });
  const session = addConfirmed(state, peer, { path: udp(PATH) });
  peer.endpoint = udp(HOME);
  return { state, session };
}

interface Heard {
  readonly bytes?: number;
  readonly isConfirming?: boolean;
  readonly now?: Instant;
}

function hear(
  state: State,
  session: Session,
  from: Endpoint,
  { bytes = 9, isConfirming = false, now = START }: Heard = {},
): void {
  considerEndpoint(state, session, { ...rowFrom(from), plaintextBytes: bytes, isConfirming }, now);
}

/** An address as seen in data that was sent to one of ours. */
function towards(ip: string, local: string): Endpoint {
  const { rows, base } = rowFrom(udp(ip));
  new Uint8Array(rows.buffer).set(ipBytes(local), 4 * (base + MESSAGE.LOCAL));
  return endpointOfRow(rows, base);
}
