/**
 * Target: everything that arrives in a datagram, and the device's packets, against a pair and a group.
 *
 * Without a key: junk, genuine datagrams changed or repeated. Each changed one is dropped and counted exactly once,
 * leaves the state as it was and draws nothing. With the key: any plaintext in any session, runs of them, and handshake
 * messages of any content. Nothing throws, no loop runs without end, and each datagram is dropped or delivered, never
 * both; what is delivered is honest about its length and comes from where its sender may send.
 */
import { ipBytes } from "../../helpers/address.ts";
import { isHonest } from "../../helpers/inner-reference.ts";
import { concat } from "../../helpers/packet-builder.ts";
import { Random } from "../../helpers/random.ts";
import { type Operation, Reader } from "../engine/program.ts";
import type { Target } from "../engine/target.ts";
import { nextCounter, plaintextOf, spoil, stepped } from "./edits.ts";
import { fastCrypto } from "./fast-crypto.ts";
import { forge, type Sealing } from "./holder.ts";
import { Insider } from "./insider.ts";
import { HUB_IP, KEYS, look, Net, PORT, type Sent, type Station, textOf } from "./net.ts";
import { isFrom, kindOf, PLAINTEXTS, type Sender } from "./plaintexts.ts";

const KIND = {
  JUNK: 0,
  CHANGED: 1,
  AGAIN: 2,
  DATA: 3,
  RUN: 4,
  INIT: 5,
  RESP: 6,
  CHALLENGE: 7,
  DEVICE: 8,
  TIME: 9,
  LINK: 10,
  ACT: 11,
} as const;
const KINDS = Object.keys(KIND).length;
/** How often new operations are of each kind: what runs handshakes costs a hundred times the rest. */
const WEIGHT: Readonly<Record<number, number>> = {
  [KIND.JUNK]: 3,
  [KIND.CHANGED]: 10,
  [KIND.AGAIN]: 3,
  [KIND.DATA]: 16,
  [KIND.RUN]: 12,
  [KIND.INIT]: 2,
  [KIND.RESP]: 2,
  [KIND.CHALLENGE]: 1,
  [KIND.DEVICE]: 8,
  [KIND.TIME]: 1,
  [KIND.LINK]: 1,
  [KIND.ACT]: 1,
};
const SOURCES = ["203.0.113.66", "192.0.2.1", "192.0.2.11", "192.0.2.12", HUB_IP, "2001:db8::66"];
/** Milliseconds at which something is due; a choice beyond them waits the first: handshakes cost most of a run. */
const WAITS = [0, 1, 10, 250, 300, 1_000, 5_000, 10_000, 15_000, 120_000, 165_000, 180_000];
/** BOUNDED: what an insider's handshakes may leave behind in one world. */
const MOST_SESSIONS = 64;
/** Programs between two looks whether the world is still worth it. */
const PROGRAMS_A_LOOK = 8;
/** Operations in one world. */
const WORN_OUT = 2_000;

export class WireTarget implements Target {
  readonly kinds = Object.values(KIND).flatMap((kind) =>
    new Array<number>(WEIGHT[kind] ?? 1).fill(kind),
  );
  #net = new Net(["pair"]);
  #worlds = 0;
  #operations = 0;
  #programs = 0;
  #datagrams = 0;
  #insiders: readonly Insider[] = [];
  /** Sessions of the insiders' own handshakes. */
  #own: Sealing[] = [];
  /** The session of the forged data that is offered. */
  #offered: Sealing | undefined;

  begin(): void {
    this.#worlds += 1;
    this.#operations = 0;
    this.#own = [];
    // The same keys in every world, so that a program does what it did.
    const crypto = fastCrypto(new Random(3));
    this.#insiders = [new Insider(crypto, KEYS.pair, false), new Insider(crypto, KEYS.group, true)];
    this.#net = new Net(["pair", "site1", "site2"]);
    this.#net.advance(100);
    this.#net.onDelivered = (to, packet) => this.#judge(to, packet);
  }

  isFit(): boolean {
    this.#programs += 1;
    if (this.#programs % PROGRAMS_A_LOOK > 0 && this.#operations > 0) return true;
    const { stations, now } = this.#net;
    const isUp = stations.every(({ name, tunnel }) => {
      const { peers, sessions } = tunnel.snapshot(now);
      if (sessions > MOST_SESSIONS) throw new Error(`${name} has ${sessions} sessions`);
      return peers.some(({ state, kind }) => state === "up" && kind !== "group");
    });
    return this.#worlds > 0 && isUp && this.#operations < WORN_OUT;
  }

  counts(): Readonly<Record<string, number>> {
    return { datagrams: this.#datagrams, worlds: this.#worlds };
  }

  run({ kind, bytes }: Operation): void {
    const reader = new Reader(bytes);
    this.#operations += 1;
    this.#do(kind % KINDS, reader);
    this.#net.settle();
  }

  seeds(): readonly (readonly Operation[])[] {
    const one = (kind: number, ...bytes: number[]): Operation => ({
      kind,
      bytes: Uint8Array.from(bytes),
    });
    const time = (index: number): Operation => one(KIND.TIME, index);
    const indices = [...PLAINTEXTS.keys()];
    const data = indices.map((index) => [one(KIND.DATA, index, 0, 0, index, 1)]);
    const cut = indices.map((index) => [one(KIND.DATA, index, 0, 0, index, 1, 150, index)]);
    const runs = indices.map((index) => [one(KIND.RUN, index, 4, 0, 3, 0, 100, index, 1)]);
    const device = indices.map((index) => [one(KIND.DEVICE, index, 0, 0, 0, 0, 0, 0, index, 1)]);
    const cutTcp = one(KIND.DEVICE, 0, 1, 1, 30, 0, 20, 16, 23, 1, 222, 0);
    return [
      ...data,
      ...cut,
      ...runs,
      [cutTcp],
      ...device,
      ...[0, 1, 2, 3, 4, 5].map((index) => [one(KIND.CHANGED, index, 1, 1, 20, 0, 1)]),
      ...[0, 1, 2, 3].map((index) => [one(KIND.AGAIN, index, index)]),
      ...[0, 1, 2, 3].map((index) => [
        one(KIND.INIT, index, index, 0, 1),
        one(KIND.DATA, 255, 0, 20, 0, 1),
      ]),
      [one(KIND.LINK, 0), one(KIND.ACT, 1, 0), time(4), one(KIND.RESP, 0, 1, 0)],
      [
        one(KIND.LINK, 0),
        one(KIND.ACT, 1, 0),
        time(4),
        one(KIND.CHALLENGE, 0, 5),
        one(KIND.LINK, 1),
      ],
      [one(KIND.JUNK, 0, 0, 4, 1, 0, 0, ...new Array<number>(40).fill(0))],
      [time(9), time(6), time(11)],
      ...[1, 11].map((wait) => [
        one(KIND.LINK, 0),
        time(11),
        one(KIND.DEVICE, 0, 0, 0, 0, 0, 0, 0, 21, 1),
        one(KIND.DEVICE, 1, 0, 0, 0, 0, 0, 0, 12, 1),
        time(wait),
        one(KIND.LINK, 1),
        time(6),
      ]),
      // Each site says the other's addresses, and one falls silent.
      [one(KIND.DATA, 2, 0, 0, 7, 1), one(KIND.DATA, 5, 0, 0, 7, 1), one(KIND.LINK, 0), time(6)],
    ];
  }

  #do(kind: number, reader: Reader): void {
    if (kind === KIND.JUNK) this.#junk(reader);
    else if (kind === KIND.CHANGED) this.#changed(reader);
    else if (kind === KIND.AGAIN) this.#again(reader);
    else if (kind === KIND.DATA) this.#data(reader);
    else if (kind === KIND.RUN) this.#run(reader);
    else if (kind === KIND.INIT) this.#init(reader);
    else if (kind === KIND.RESP) this.#resp(reader);
    else if (kind === KIND.CHALLENGE) this.#challenge(reader);
    else if (kind === KIND.DEVICE) this.#device(reader);
    else if (kind === KIND.TIME) this.#time(reader);
    else if (kind === KIND.LINK) this.#net.isConnected = (reader.byte() & 1) === 1;
    else this.#act(reader);
  }

  // --- Without a key. ---

  #junk(reader: Reader): void {
    const to = this.#net.station(reader.byte());
    this.#refused(to, sourceOf(reader), reader.rest());
  }

  /** A genuine datagram with edits: bytes changed, another's tail, cut or grown. */
  #changed(reader: Reader): void {
    const original = this.#recorded(reader);
    const choice = reader.byte();
    const to = choice & 1 ? this.#stationOf(original) : this.#net.station(choice >> 1);
    const source = choice & 1 ? original.from : sourceOf(reader);
    let bytes: Uint8Array = original.bytes.slice();
    for (let edits = reader.byte() % 8; edits > 0; edits -= 1) bytes = this.#edited(bytes, reader);
    if (this.#net.genuine.has(textOf(bytes))) return;
    this.#refused(to, source, bytes);
  }

  #edited(bytes: Uint8Array, reader: Reader): Uint8Array {
    const how = reader.byte();
    const at = reader.short() % (bytes.length + 1);
    if (how < 200) {
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ reader.byte();
      return bytes;
    }
    if (how < 215) return bytes.slice(0, at);
    if (how < 230) return concat(bytes, reader.bytes(how - 200));
    return concat(bytes.subarray(0, at), this.#recorded(reader).bytes.subarray(at));
  }

  /** Offers a datagram that nobody with a key made. */
  #refused(to: Station, from: string, bytes: Uint8Array): void {
    const before = look(to, this.#net);
    const answers = this.#offer(to, from, PORT, bytes);
    const now = look(to, this.#net);
    const dropped = now.drops - before.drops;
    if (dropped !== 1) throw new Error(`a datagram without a key was counted ${dropped} times`);
    if (answers.length > 0) throw new Error("a datagram without a key was answered");
    if (now.delivered !== before.delivered) {
      throw new Error("a datagram without a key was delivered");
    }
    if (now.digest() !== before.digest()) throw new Error("a refused datagram changed the state");
  }

  /** A genuine datagram once more, from anywhere; what a broken link held back is new. */
  #again(reader: Reader): void {
    const original = this.#recorded(reader);
    const source = sourceOf(reader);
    const to = this.#stationOf(original);
    const before = look(to, this.#net);
    this.#offer(to, source, PORT, original.bytes);
    const now = look(to, this.#net);
    const outcomes = now.drops - before.drops + now.delivered - before.delivered;
    if (outcomes > 1) throw new Error(`a repeated datagram had ${outcomes} outcomes`);
  }

  // --- With the key. ---

  /** One plaintext in some session. */
  #data(reader: Reader): void {
    const sealing = this.#sealing(reader);
    if (sealing === undefined) return;
    const counter = nextCounter(sealing, reader);
    const source = this.#usualSource(sealing, reader);
    const plaintext = plaintextOf(reader);
    const to = this.#receiverOf(sealing);
    this.#check(to, sealing, [{ plaintext, counter }], () =>
      this.#offer(to, source, PORT, forge(sealing, counter, plaintext)),
    );
  }

  /** Several datagrams of one size in one message. */
  #run(reader: Reader): void {
    const sealing = this.#sealing(reader);
    if (sealing === undefined) return;
    const count = 1 + (reader.byte() % 20);
    const start = nextCounter(sealing, reader);
    const steps = reader.byte();
    const source = this.#usualSource(sealing, reader);
    const odd = reader.byte();
    const first = plaintextOf(reader);
    const forged = Array.from({ length: count }, (_, index) => ({
      plaintext: odd === index ? new Uint8Array(first.length) : stepped(first, index, steps),
      counter: steps & 64 ? start : start + index,
    }));
    if (steps & 128) forged.reverse();
    sealing.counter = Math.max(sealing.counter, start + count - 1);
    const whole = concat(
      ...forged.map(({ plaintext, counter }) => forge(sealing, counter, plaintext)),
    );
    const isSpoilt = odd > 200;
    if (isSpoilt) spoil(whole, odd * 31);
    const to = this.#receiverOf(sealing);
    this.#check(to, sealing, isSpoilt ? [] : forged, () =>
      this.#offer(to, source, PORT, whole, 32 + first.length),
    );
  }

  /**
   * Offers forged datagrams: each is dropped, or delivered, or silent, and never two of that; and no counter of a
   * session is taken twice. None are given where they were spoilt, so that nothing can be said of them.
   */
  #check(
    to: Station,
    sealing: Sealing,
    forged: readonly { readonly plaintext: Uint8Array; readonly counter: number }[],
    offer: () => readonly Sent[],
  ): void {
    const before = look(to, this.#net);
    this.#offered = sealing;
    offer();
    this.#offered = undefined;
    const now = look(to, this.#net);
    const dropped = now.drops - before.drops;
    const accepted = now.inbound - before.inbound;
    if (forged.length === 0) return;
    const kinds = forged.map(({ plaintext }) => kindOf(plaintext));
    const loud = kinds.filter((kind) => kind === "packet" || kind === "unknown").length;
    const all = dropped + accepted;
    if (accepted < 0 || all < loud || all > forged.length) {
      throw new Error(`${forged.length} datagrams, ${dropped} dropped, ${accepted} accepted`);
    }
    if (now.delivered > before.delivered + accepted) throw new Error("more rows than packets");
    const counters = new Set(forged.map(({ counter }) => counter));
    const fresh = [...counters].filter((counter) => !sealing.accepted.has(counter));
    if (accepted > fresh.length) throw new Error("a counter was accepted twice");
    if (accepted === forged.length) for (const counter of counters) sealing.accepted.add(counter);
  }

  #init(reader: Reader): void {
    const which = reader.byte();
    const source = sourceOf(reader);
    const flip = reader.byte();
    const flags = reader.byte();
    const insider = this.#insiders[which & 1];
    const hub = this.#net.station(which >> 4);
    if (insider === undefined) return;
    const payload = this.#payload(reader, flags);
    const { init, noise } = insider.init({ payload, flip, isLowOrder: flags % 16 === 15 });
    let answers = this.#offerInit(hub, source, init);
    const [challenge] = answers;
    if (challenge?.bytes.length === 64 && flags & 1) {
      const again = insider.withCookie(init, challenge.bytes);
      if (again !== undefined) answers = this.#offerInit(hub, source, again);
    }
    const [resp] = answers;
    const sealing = resp?.bytes.length === 108 ? insider.sealing(noise, resp.bytes) : undefined;
    if (sealing !== undefined) this.#own.push(sealing);
  }

  #offerInit(to: Station, from: string, init: Uint8Array): readonly Sent[] {
    const { drops } = look(to, this.#net);
    const answers = this.#offer(to, from, PORT, init).filter(({ bytes }) => bytes[0] !== 4);
    const bytes = answers.reduce((sum, sent) => sum + sent.bytes.length, 0);
    if (bytes > init.length) throw new Error(`an INIT drew ${bytes} bytes`);
    if (look(to, this.#net).drops - drops > 1) throw new Error("an INIT was counted twice");
    return answers;
  }

  #resp(reader: Reader): void {
    const init = this.#lastInit(reader.byte());
    const flip = reader.byte();
    const flags = reader.byte();
    if (init === undefined) return;
    const insider = this.#insiders[init.from.endsWith(".1") ? 0 : 1];
    const payload = this.#payload(reader, flags);
    const made = insider?.resp(init.bytes, { payload, flip, isLowOrder: flags % 16 === 15 });
    if (made === undefined) return;
    const to = this.#net.stations.find(({ ip }) => ip === init.from) ?? this.#net.station(0);
    this.#offer(to, flags & 2 ? sourceOf(reader) : HUB_IP, PORT, made.resp);
    this.#own.push(made.sealing);
  }

  #challenge(reader: Reader): void {
    const init = this.#lastInit(reader.byte());
    const cookie = new Uint8Array(16).fill(reader.byte());
    if (init === undefined) return;
    const insider = this.#insiders[init.from.endsWith(".1") ? 0 : 1];
    const to = this.#net.stations.find(({ ip }) => ip === init.from) ?? this.#net.station(0);
    if (insider !== undefined) this.#offer(to, HUB_IP, PORT, insider.challenge(init.bytes, cookie));
  }

  /** 32 bytes for a handshake's payload: a plausible one with edits. */
  #payload(reader: Reader, flags: number): Uint8Array {
    const payload = new Uint8Array(32);
    const view = new DataView(payload.buffer);
    view.setBigUint64(0, BigInt(Math.round(1e15 + this.#net.now * 1000 + reader.short())), true);
    payload.fill(flags >> 2, 8, 24);
    view.setUint16(28, 1420, true);
    for (let edits = reader.byte() % 4; edits > 0; edits -= 1) {
      const at = reader.byte() % 32;
      payload[at] = reader.byte();
    }
    return payload;
  }

  /** What came out of a station must be honest, and from where the sender of the forged data may send. */
  #judge(to: Station, packet: Uint8Array): void {
    if (!isHonest(packet)) throw new Error("a packet was delivered that lies about its length");
    const sender = this.#senderTo(to);
    if (sender === undefined || isFrom(packet, sender)) return;
    throw new Error(`${to.name} took a packet of ${sender} from a source that is not its own`);
  }

  /** Whose data is offered at this moment; undefined: nobody's that was forged. */
  #senderTo(to: Station): Sender | undefined {
    const sealing = this.#offered;
    if (sealing === undefined) return undefined;
    if (to.ip !== HUB_IP) return to.name === "pair" ? "hub of a pair" : "hub of a group";
    if (sealing.isGroup !== undefined) return sealing.isGroup ? "site" : "pair";
    const sender = this.#net.stations.find(({ aead }) => aead.sealings.includes(sealing));
    return sender?.name === "pair" ? "pair" : "site";
  }

  // --- The rest. ---

  #device(reader: Reader): void {
    const station = this.#net.station(reader.byte());
    const [flags, type, size] = [reader.byte() & 1, reader.byte(), reader.short()];
    const meta = [flags, type, size, 0, reader.byte(), reader.byte()];
    const packet = plaintextOf(reader);
    packet[0] = (packet[0] ?? 0) & 0x7f;
    this.#net.fromDevice(station, packet, meta);
  }

  #time(reader: Reader): void {
    this.#net.advance((WAITS[reader.byte() % 64] ?? 0) + reader.byte());
  }

  #act(reader: Reader): void {
    const choice = reader.byte();
    const station = this.#net.station(reader.byte());
    const peers = station.tunnel.snapshot(this.#net.now).peers;
    const name = peers[reader.byte() % peers.length]?.name ?? "";
    const address = ipBytes(sourceOf(reader)).slice();
    this.#net.act(station, (tunnel, now) => {
      if (choice % 3 === 0) tunnel.setEndpoints(name, [{ address, port: PORT, scope: 0 }], now);
      else if (choice % 3 === 1) tunnel.rekey(name, now);
      else tunnel.setOwnAddresses([address]);
    });
  }

  #offer(to: Station, from: string, port: number, bytes: Uint8Array, segment = 0): readonly Sent[] {
    this.#datagrams += segment === 0 ? 1 : Math.ceil(bytes.length / segment);
    return this.#net.offer(to, from, port, bytes, segment);
  }

  #recorded(reader: Reader): Sent {
    const { recorded } = this.#net;
    const found = recorded[recorded.length - 1 - (reader.byte() % recorded.length)];
    if (found === undefined) throw new Error("nothing was ever sent");
    return found;
  }

  /** The last INITs of each station, newest first. */
  #lastInit(choice: number): Sent | undefined {
    const inits = this.#net.recorded.filter(({ bytes, from }) => bytes[0] === 1 && from !== HUB_IP);
    return inits.at(-1 - (choice % Math.max(1, inits.length)));
  }

  #stationOf(sent: Sent): Station {
    return this.#net.stations.find(({ ip }) => ip === sent.to) ?? this.#net.station(0);
  }

  /** Sessions of the stations, newest first, and then the insiders' own; 255 is the newest of these. */
  #sealing(reader: Reader): Sealing | undefined {
    const choice = reader.byte();
    if (choice > 200) return this.#own.at(choice - 256);
    const all = this.#net.stations.flatMap(({ aead }) => aead.sealings.slice(-3));
    return all[choice % Math.max(1, all.length)];
  }

  /** Who would receive data of a session. */
  #receiverOf(sealing: Sealing): Station {
    const { stations } = this.#net;
    const sender = stations.find(({ aead }) => aead.sealings.includes(sealing));
    if (sender === undefined || sender.ip !== HUB_IP) return this.#net.station(0);
    const to = this.#net.recorded.find(
      ({ from, bytes }) =>
        from === HUB_IP && bytes[0] === 4 && indexOf(bytes) === sealing.receiverIndex,
    );
    return stations.find(({ ip }) => ip === to?.to) ?? this.#net.station(1);
  }

  #usualSource(sealing: Sealing, reader: Reader): string {
    const choice = reader.byte();
    if (choice > 200) return SOURCES[choice % SOURCES.length] ?? "";
    return this.#net.stations.find(({ aead }) => aead.sealings.includes(sealing))?.ip ?? "";
  }
}

function sourceOf(reader: Reader): string {
  return SOURCES[reader.byte() % SOURCES.length] ?? "";
}

function indexOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
}
