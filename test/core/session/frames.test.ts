/** Control frames that arrived: their exact form, what each does, and whom the answer goes to. */
import { describe, expect, it } from "vitest";
import { ADDRESS_FRAMES, GROUP_ADDRESSES } from "../../../src/core/constants.ts";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import type { TunnelOptions } from "../../../src/core/options.ts";
import type { Session } from "../../../src/core/peers/peer.ts";
import { handleFrame } from "../../../src/core/session/frames.ts";
import type { State } from "../../../src/core/state.ts";
import { DATA_OVERHEAD } from "../../../src/core/wire.ts";
import {
  addConfirmed,
  addNode,
  addPeer,
  id16,
  newCore,
  rowFrom,
  START,
  takeSent,
  udp,
} from "../core-fixtures.ts";

const TOKEN = [1, 2, 3, 4, 5, 6, 7, 8];
const CLOSE = 3;
const HOME = "198.51.100.1";

describe("the form of a control frame", () => {
  it.each([
    ["path challenge", 1, 9],
    ["path response", 2, 9],
    ["close", CLOSE, 2],
    ["probe answer", 5, 5],
    ["report", 6, 21],
  ])("of a %s is exact", (_, type, size) => {
    const { state, session } = newPair();
    session.nextCounter = 1;
    const handled = [size - 1, size + 1, size].map((length) =>
      handle(state, session, frame(type, length)),
    );
    expect(handled).toEqual(["bad_control", "bad_control", undefined]);
    expect(session.isEnded).toBe(type === CLOSE);
  });

  it("of a probe is the size that it says, 32 less than the datagram's", () => {
    const { state, session } = newPair();
    for (const length of [5, 9, 1_400]) {
      expect(handle(state, session, probe(length, length))).toBeUndefined();
      expect(handle(state, session, probe(length, length + 1))).toBe("bad_control");
    }
    for (const length of [1, 3, 4])
      expect(handle(state, session, frame(4, length))).toBe("bad_control");
  });

  it("of a later version is none of ours: ignored up to 0x0f, refused outside", () => {
    const { state, session } = newPair();
    const types = [0x00, 0x08, 0x0f, 0x10, 0x30];
    expect(types.map((type) => handle(state, session, frame(type, 3)))).toEqual([
      "bad_plaintext",
      undefined,
      undefined,
      "bad_plaintext",
      "bad_plaintext",
    ]);
  });
});

describe("an answer", () => {
  it("goes to the endpoint in use on the current session, wherever the question came from", () => {
    const { state, session } = newPair();
    const { peer } = session;
    const newer = addConfirmed(state, peer, { stamp: 2 });
    expect(peer.previous).toBe(session);

    handle(state, session, [1, ...TOKEN]);
    handle(state, session, probe(9, 9));

    const sent = takeSent(state);
    expect(sent.map(({ plaintext }) => plaintext)).toEqual([
      [2, ...TOKEN],
      [5, 0xcd, 0xab, 41, 0],
    ]);
    for (const { to, bytes } of sent) {
      expect([to, indexIn(bytes)]).toEqual([HOME, newer.remoteIndex]);
    }
  });

  it("goes nowhere without an endpoint or a session", () => {
    const { state, session } = newPair();
    session.peer.endpoint = undefined;
    handle(state, session, [1, ...TOKEN]);
    session.peer.endpoint = udp(HOME);
    session.peer.current = undefined;
    handle(state, session, probe(9, 9));
    expect(takeSent(state)).toEqual([]);
  });
});

describe("a path response", () => {
  const away = udp("203.0.113.5", 4000);

  it("moves the endpoint where it comes from the challenged address with its token", () => {
    const { state, session } = newPair();
    const { peer } = session;
    peer.pathChallenge = { to: away, token: Uint8Array.from(TOKEN) };
    handle(state, session, [2, ...TOKEN], away);
    expect([peer.endpoint, peer.pathChallenge]).toEqual([away, undefined]);
  });

  it("does nothing with another token, from another address, or unasked", () => {
    const { state, session } = newPair();
    const { peer } = session;
    const challenge = { to: away, token: Uint8Array.from(TOKEN) };
    handle(state, session, [2, ...TOKEN], away);
    peer.pathChallenge = challenge;
    handle(state, session, [2, ...TOKEN.toReversed()], away);
    handle(state, session, [2, ...TOKEN], udp("203.0.113.5", 4001));
    handle(state, session, [2, ...TOKEN], udp("203.0.113.6", 4000));
    expect([peer.endpoint, peer.pathChallenge]).toEqual([udp(HOME), challenge]);
  });
});

describe("a report", () => {
  it("of more than was sealed on its session is refused", () => {
    const { state, session } = newPair({ measuresQuality: true });
    session.nextCounter = 10;
    const report = (highest: number, received: number) => [
      6,
      ...uint64(highest),
      ...uint64(received),
      ...[0, 0, 0, 0],
    ];

    expect(handle(state, session, report(10, 1))).toBe("bad_control");
    expect(handle(state, session, report(2 ** 53, 1))).toBe("bad_control");
    expect(handle(state, session, report(9, 11))).toBe("bad_control");
    expect(session.peer.quality?.snapshot().outboundLoss).toBeUndefined();
    expect(handle(state, session, report(9, 5))).toBeUndefined();
    expect(session.peer.quality?.snapshot().outboundLoss).toBe(0.5);
  });

  it("that is older than one before tells nothing", () => {
    const { state, session } = newPair({ measuresQuality: true });
    session.nextCounter = 100;
    for (const [highest, received] of [
      [49, 40],
      [9, 10],
      [99, 39],
      [99, 90],
    ] as const) {
      const report = [6, ...uint64(highest), ...uint64(received), 0, 0, 0, 0];
      expect(handle(state, session, report)).toBeUndefined();
    }
    expect(session.peer.quality?.snapshot().outboundLoss).toBeCloseTo(0.1);
  });
});

describe("an addresses frame", () => {
  const one = (last: number): number[] => [4, 10, 7, 0, last];

  it("gives its node each of them, and says why the last was refused", () => {
    const { state, session } = newNode();
    const six = [16, 0xfd, 0x77, ...new Array<number>(13).fill(0), 1];
    expect(handle(state, session, [7, ...one(1), ...six, ...one(2)])).toBeUndefined();
    expect(held(session)).toBe(3);
    const stranger = [4, 192, 0, 2, 1];
    expect(handle(state, session, [7, ...stranger, ...one(3)])).toBe("inner_source");
    expect(held(session)).toBe(4);
  });

  it.each<[string, number[]]>([
    ["a length that no address has", [...one(1), 5, 10, 7, 0, 2, 0]],
    ["an address cut short", [...one(1), 4, 10, 7, 0]],
    ["a length and no address", [...one(1), 16]],
    ["one more than 64", Array.from({ length: GROUP_ADDRESSES + 1 }, (_, at) => one(at)).flat()],
  ])("with %s is refused as a whole", (_, addresses) => {
    const { state, session } = newNode();
    expect(handle(state, session, [7, ...addresses])).toBe("bad_control");
    expect(held(session)).toBe(0);
  });

  it("may hold 64", () => {
    const { state, session } = newNode();
    const addresses = Array.from({ length: GROUP_ADDRESSES }, (_, at) => one(at));
    expect(handle(state, session, [7, ...addresses.flat()])).toBeUndefined();
    expect(held(session)).toBe(GROUP_ADDRESSES);
  });

  it("is looked at five times a session", () => {
    const { state, session } = newNode();
    for (let sent = 1; sent <= ADDRESS_FRAMES + 2; sent += 1) {
      expect(handle(state, session, [7, ...one(sent)])).toBeUndefined();
    }
    expect([held(session), ADDRESS_FRAMES]).toEqual([5, 5]);
  });

  it("means nothing from a pair's peer", () => {
    const { state, session } = newPair();
    expect(handle(state, session, [7, 4, 192, 0, 2, 1])).toBeUndefined();
  });
});

function newPair(options: Partial<TunnelOptions> = {}): {
  readonly state: State;
  readonly session: Session;
} {
  const state = newCore(options);
  const { peer } = addPeer(state, { allowed: ["10.7.0.0/16"] });
  peer.endpoint = udp(HOME);
  return { state, session: addConfirmed(state, peer) };
}

/** The hub's session with a node of its group. */
function newNode(): { readonly state: State; readonly session: Session } {
  const state = newCore();
  const { psk } = addPeer(state, { kind: "group", allowed: ["10.7.0.0/16", "fd77::/16"] });
  const node = addNode(state, psk, id16(7));
  return { state, session: addConfirmed(state, node, { nodeId: id16(7) }) };
}

function handle(
  state: State,
  session: Session,
  bytes: Iterable<number>,
  from = udp("203.0.113.9"),
): DropReason | undefined {
  const { rows, base } = rowFrom(from);
  return handleFrame(state, session, Uint8Array.from(bytes), rows, base, START);
}

/** Little-endian. */
function uint64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

function frame(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = type;
  return bytes;
}

/** A probe of `length` bytes that says it has `said`, with the id 0xabcd. */
function probe(length: number, said: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([4, 0xcd, 0xab, (said + DATA_OVERHEAD) & 0xff, (said + DATA_OVERHEAD) >> 8]);
  return bytes;
}

function held({ peer }: Session): number | undefined {
  return peer.membership?.addresses.length;
}

function indexIn(datagram: Uint8Array): number {
  return new DataView(datagram.buffer).getUint32(4, true);
}
