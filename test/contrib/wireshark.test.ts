/**
 * The dissector of contrib/wireshark: what it says of every message of a simulated tunnel, and of bytes that are none.
 *
 * Figures and frames of the golden file follow from the seed. The bytes of each field are compared with wire.ts, which the
 * dissector repeats in Lua.
 */
import { describe, expect, it } from "vitest";
import { CHALLENGE, DATA, INIT, RESP, TAG_BYTES } from "../../src/core/wire.ts";
import { ipPacket, PROTOCOL, withChecksum } from "../helpers/packets.ts";
import { type Captured, udpBetween } from "../helpers/pcap.ts";
import { Random } from "../helpers/random.ts";
import { resized, TYPE, typeOf } from "../helpers/wire-view.ts";
import type { Datagram } from "../sim/eve.ts";
import { connect, pingLeft, pingRight } from "../sim/observe.ts";
import { LEFT, newClientPair, type Pair, RIGHT } from "../sim/pair.ts";
import { capturedBy, dissect } from "./dissector.ts";

const LINKS = [
  ...["again_of", "again_in", "challenge_in", "challenge_to", "response_in", "response_to"],
  ...["response_time", "session", "direction", "init_in", "resp_in", "keepalive"],
] as const;
const ELSEWHERE = { ip: "203.0.113.7", port: 4711 };

describe("a tunnel", () => {
  it("is told message by message, each with those that it belongs to", async () => {
    const { seen } = tunnel().world.eve;

    const rows = dissect(
      capturedBy(seen),
      LINKS.map((name) => `iptun.${name}` as const),
    );

    const text = rows.map((row, at) => {
      const links = LINKS.map((name) => [name, row[`iptun.${name}`]]).filter(([, v]) => v !== "");
      const line = `${at + 1} ${seen[at]?.by}: ${row.protocol} ${row.info}`;
      return [line, ...links.map(([name, value]) => `    ${name} ${value}`)].join("\n");
    });
    await expect(`${text.join("\n")}\n`).toMatchFileSnapshot("iptun-dissected.txt");
    expect(rows.map(({ faults, luaError }) => faults + luaError).join("")).toBe("");
  });

  it("has every field where wire.ts has it", () => {
    const { seen } = tunnel().world.eve;
    const layouts = {
      [TYPE.INIT]: INIT,
      [TYPE.RESP]: RESP,
      [TYPE.CHALLENGE]: CHALLENGE,
      [TYPE.DATA]: DATA,
    };
    const names = [...new Set(Object.values(layouts).flatMap((layout) => Object.keys(layout)))];
    const fields = names.filter((name) => name !== "SIZE").map(fieldOf);

    const rows = dissect(capturedBy(seen), [...fields, "iptun.ciphertext", "iptun.tag"]);

    for (const [at, { bytes }] of seen.entries()) {
      const layout = layouts[typeOf(bytes) as keyof typeof layouts];
      for (const [name, value] of Object.entries(slices(bytes, layout))) {
        expect(number(rows[at]?.[fieldOf(name)]), `${at} ${name}`).toBe(number(value));
      }
      if (layout !== DATA) continue;
      const end = bytes.length - TAG_BYTES;
      expect(rows[at]?.["iptun.ciphertext"]).toBe(hex(bytes.subarray(DATA.SIZE, end)));
      expect(rows[at]?.["iptun.tag"]).toBe(hex(bytes.subarray(end)));
    }
  });
});

describe("datagrams that are no message", () => {
  it("of every length are told to be too short, or of the wrong length", () => {
    const messages = oneOfEach();
    const cases = messages.flatMap((message) =>
      Array.from({ length: message.bytes.length + 2 }, (_, length) => ({ message, length })),
    );
    const records = cases.map(({ message, length }) =>
      captured({ ...message, bytes: resized(message.bytes, length) }),
    );

    const rows = dissect(records, []);

    for (const [at, { message, length }] of cases.entries()) {
      const type = typeOf(message.bytes);
      const isRight = length === message.bytes.length || (type === TYPE.DATA && length >= 32);
      const row = rows[at];
      const expected = isRight || length === 0 ? "" : "Malformed";
      expect(row?.luaError).toBe("");
      expect(groups(row?.faults), `type ${type}, ${length} bytes: ${row?.info}`).toBe(expected);
    }
  });

  it("with any byte of their header changed are told, and not matched to anything", () => {
    const cases = oneOfEach().flatMap(({ bytes, ...rest }) =>
      Array.from({ length: 16 }, (_, at) => ({
        at,
        bytes: bytes.with(at, ~byteAt(bytes, at)),
        rest,
      })),
    );

    const rows = dissect(
      cases.map(({ bytes, rest }) => captured({ ...rest, bytes })),
      ["iptun.session"],
    );

    for (const [row, { at, bytes }] of cases.entries()) {
      expect(rows[row]?.luaError).toBe("");
      expect(groups(rows[row]?.faults), `byte ${at}, ${rows[row]?.info}`).toBe(
        at < 2 ? "Undecoded" : hasZeroAt(bytes, at) ? "Malformed" : "",
      );
      if (rows[row]?.faults !== "") expect(rows[row]?.["iptun.session"]).toBe("");
    }
  });

  it("made by chance, behind each type, draw no Lua error", () => {
    const random = new Random(7);
    const records = Array.from({ length: 2_000 }, () => {
      const bytes = random.bytes(random.below(160));
      if (random.chance(0.9)) bytes.set([1 + random.below(4), 1].slice(0, bytes.length));
      return { atMs: 1, packet: udpBetween(LEFT, RIGHT, bytes) };
    });

    const rows = dissect(records, []);

    expect(rows).toHaveLength(records.length);
    expect(rows.filter(({ luaError }) => luaError !== "")).toEqual([]);
    expect(rows.filter(({ protocol }) => protocol === "iptun").length).toBeGreaterThan(1_700);
  });

  it("for the capture kept only their beginning, are told as cut and not as malformed", () => {
    const { seen } = tunnel().world.eve;
    const cut = capturedBy(seen).flatMap((record) =>
      [28, 29, 30, 36, 44, 50, 60].map((snapBytes) => ({ ...record, snapBytes })),
    );

    const rows = dissect(cut, []);

    for (const [at, { faults, luaError, info }] of rows.entries()) {
      const { snapBytes = 0, packet } = cut[at] ?? {};
      const isCut = snapBytes > 28 && snapBytes < (packet?.length ?? 0);
      expect(luaError).toBe("");
      expect(groups(faults), `${snapBytes} bytes: ${info}`).toBe(isCut ? "Undecoded" : "");
    }
  });
});

describe("whose a datagram is", () => {
  const AT_1194 = [] as const;
  const BY_LOOKS = ["-o", "iptun.port:0"] as const;

  it("follows from its looks on any port, and then for what is broken between the same two", () => {
    const seen = onPort(tunnel().world.eve.seen, 4711);
    const broken = seen
      .slice(-1)
      .map(({ bytes, ...rest }) => ({ ...rest, bytes: bytes.subarray(0, 9) }));

    const rows = dissect(capturedBy([...seen, ...broken]), []);

    expect(new Set(rows.map(({ protocol }) => protocol))).toEqual(new Set(["iptun"]));
    expect(groups(rows.at(-1)?.faults)).toBe("Malformed");
    expect(rows.slice(0, -1).every(({ faults }) => faults === "")).toBe(true);
  });

  it("follows from the port of the preference, or from what it is to be decoded as", () => {
    const [init] = oneOfEach();
    const broken = { ...(init as Datagram), bytes: Uint8Array.of(1, 1, 0) };
    const records = capturedBy(onPort([broken], 4711));
    const protocol = (settings: readonly string[]) => dissect(records, [], settings)[0]?.protocol;

    expect(protocol(AT_1194)).toBe("UDP");
    expect(protocol(["-o", "iptun.port:4711"])).toBe("iptun");
    expect(protocol(["-d", "udp.port==4711,iptun"])).toBe("iptun");
  });

  it("stays OpenVPN's on port 1194 where it is OpenVPN's", () => {
    // P_CONTROL_HARD_RESET_CLIENT_V2, key 0, a session, no acknowledgements, packet 0.
    const reset = Uint8Array.of(0x38, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0);
    const records = [{ atMs: 0, packet: udpBetween(ELSEWHERE, RIGHT, reset) }];

    for (const settings of [AT_1194, BY_LOOKS]) {
      expect(dissect(records, [], settings)[0]?.protocol).toBe("OpenVPN");
    }
  });

  it("is STUN's where a STUN message has the length and the first bytes of an INIT", () => {
    const bytes = new Uint8Array(INIT.SIZE);
    // Binding success response, 100 bytes: one attribute, SOFTWARE, of 96.
    bytes.set([0x01, 0x01, 0x00, 0x64, 0x21, 0x12, 0xa4, 0x42]);
    bytes.set([0x80, 0x22, 0x00, 0x60], 20);
    bytes.fill(0x61, 24);
    const records = [{ atMs: 0, packet: udpBetween(ELSEWHERE, { ...RIGHT, port: 3479 }, bytes) }];

    expect(dissect(records, [])[0]?.protocol).toBe("STUN");
  });
});

it("DATA of an endpoint that moved leads to its handshake", () => {
  const { seen } = tunnel().world.eve;
  const moved = seen.map((datagram) => {
    const { from, to, bytes } = datagram;
    if (typeOf(bytes) !== TYPE.DATA) return datagram;
    const swap = (address: typeof LEFT) => (address.ip === LEFT.ip ? ELSEWHERE : address);
    return { ...datagram, from: swap(from), to: swap(to) };
  });
  const fields = ["iptun.session", "iptun.direction", "iptun.init_in"] as const;
  const told = (datagrams: readonly Datagram[]) =>
    dissect(capturedBy(datagrams), fields).map((row) => fields.map((field) => row[field]));

  expect(told(moved)).toEqual(told(seen));
});

it("two tunnels that have the same indices by chance are kept apart", () => {
  const { seen } = tunnel().world.eve;
  const both = seen.flatMap((datagram) => {
    const swap = (address: typeof LEFT) =>
      address.ip === LEFT.ip ? ELSEWHERE : { ...ELSEWHERE, ip: "203.0.113.8" };
    const { from, to, bytes } = datagram;
    // Another ephemeral, or the INIT would be a copy.
    const own = typeOf(bytes) === TYPE.INIT ? bytes.with(INIT.ephemeral, 0) : bytes;
    return [datagram, { ...datagram, from: swap(from), to: swap(to), bytes: own }];
  });

  const rows = dissect(capturedBy(both), ["iptun.session", "iptun.init_in"]);

  const sessions = rows.map((row) => Number(row["iptun.session"] || 0));
  const inits = rows.map((row) => Number(row["iptun.init_in"] || 0));
  for (const [at, { bytes }] of seen.entries()) {
    if (typeOf(bytes) === TYPE.CHALLENGE) continue;
    expect(sessions[2 * at + 1]).toBe((sessions[2 * at] ?? 0) + 1);
    if (typeOf(bytes) === TYPE.DATA) expect(inits[2 * at + 1]).toBe((inits[2 * at] ?? 0) + 1);
  }
  expect(Math.max(...sessions)).toBe(4);
});

it("a datagram that an ICMP error quotes is shown, and taken for no message of the tunnel", () => {
  const [init] = oneOfEach();
  const { packet } = captured(init as Datagram);
  // Port unreachable, with all of the packet and with the 8 bytes behind its IP header that are the least (RFC 792).
  const errors = [packet, packet.subarray(0, 28), packet.subarray(0, 30)].map((quoted, at) => {
    const message = Uint8Array.of(3, 3, 0, 0, 0, 0, 0, 0, ...quoted);
    const icmp = withChecksum(RIGHT.ip, LEFT.ip, PROTOCOL.ICMP, message, 2);
    return { atMs: at + 1, packet: ipPacket(RIGHT.ip, LEFT.ip, PROTOCOL.ICMP, icmp) };
  });

  const rows = dissect([captured(init as Datagram), ...errors], ["iptun.type", "iptun.again_in"]);

  expect(rows.map(({ luaError }) => luaError).join("")).toBe("");
  expect(rows[1]?.["iptun.type"]).toBe("1");
  expect(rows.slice(1).map(({ protocol }) => protocol)).toEqual(["ICMP", "ICMP", "ICMP"]);
  expect(rows[0]?.["iptun.again_in"]).toBe("");
});

function captured({ at, from, to, bytes }: Datagram): Captured {
  return { atMs: at, packet: udpBetween(from, to, bytes) };
}

/** The first message of each type. */
function oneOfEach(): readonly Datagram[] {
  const { seen } = tunnel().world.eve;
  return Object.values(TYPE).flatMap(
    (type) => seen.find(({ bytes }) => typeOf(bytes) === type) ?? [],
  );
}

function onPort(datagrams: readonly Datagram[], port: number): readonly Datagram[] {
  return datagrams.map(({ from, to, ...rest }) => ({
    ...rest,
    from: { ...from, port },
    to: { ...to, port },
  }));
}

/** The groups of a row's expert infos, each once. */
function groups(faults = ""): string {
  const names: Readonly<Record<string, string>> = { 83886080: "Undecoded", 117440512: "Malformed" };
  return [...new Set(faults.split(",").filter((one) => one !== ""))]
    .map((one) => names[one] ?? one)
    .join(" ");
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** Whether byte `at` of a message must be zero. */
function hasZeroAt(bytes: Uint8Array, at: number): boolean {
  const type = typeOf(bytes);
  return (type !== TYPE.INIT && at < 4) || (type === TYPE.DATA && at >= 14);
}

function tunnel(): Pair {
  const pair = newClientPair();
  connect(pair);
  pingRight(pair);
  pingLeft(pair);
  pair.world.advance(100);
  pair.right.act((core, now) => core.rekey("left", now));
  pair.world.advance(500);
  pingRight(pair);
  pair.world.advance(100);
  return pair;
}

/** The Wireshark field of a field of wire.ts. */
function fieldOf(name: string): string {
  return `iptun.${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
}

/** Each field's bytes as Wireshark prints them: numbers in hex, most significant digit first. */
function slices(bytes: Uint8Array, layout: Readonly<Record<string, number>>) {
  const starts = Object.entries(layout).sort(([, a], [, b]) => a - b);
  return Object.fromEntries(
    starts.slice(0, -1).map(([name, start], at) => {
      const slice = bytes.subarray(start, starts[at + 1]?.[1]);
      return [name, slice.length > 8 ? hex(slice) : `0x${hex(slice.toReversed())}`];
    }),
  );
}

/** Numbers in any notation alike; other text as it is. */
function number(text = ""): string {
  return /^(0x[0-9a-f]+|\d{1,20})$/.test(text) ? String(BigInt(text)) : text;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
