/**
 * What can happen in a schedule: faults of the network, of hosts and of clocks, orders of users, traffic, and Eve.
 *
 * Every schedule uses a part of them only, each with a weight of its own, so that rare combinations come up
 * often somewhere. Each event ends at once or plans its own end.
 */
import type { Random } from "../helpers/random.ts";
import { flipBit, resized } from "../helpers/wire-view.ts";
import { type Address, addressOf, type Ip, ip } from "./model/address.ts";
import { WINDOW } from "./model/rules.ts";
import type { Flight, Net } from "./net.ts";
import { newPacket } from "./rows.ts";
import { type Member, pick, type Shape } from "./shape.ts";

/** A schedule that is being played. */
export interface Play {
  readonly net: Net;
  readonly shape: Shape;
  readonly random: Random;
  /** False once the network is to be fair. */
  isOn: boolean;
  packets: number;
  /** Milliseconds until the next event, where the last one wants it so. */
  pause: number | undefined;
}

type Event = (play: Play) => void;

/** Packets that a leap leaves behind. */
const LEAP_LATE = 4;

const PORT = 1194;
const EVE_SOURCES: readonly [Address, ...Address[]] = [
  addressOf(ip("203.0.113.66"), 6_666),
  addressOf(ip("203.0.113.67"), 1_194),
];
/** Addresses that nobody can have as an endpoint. */
const IMPOSSIBLE: readonly Address[] = [
  addressOf(ip("203.0.113.66"), 0),
  addressOf(ip("224.0.0.1"), 1_194),
  addressOf(ip("0.0.0.7"), 1_194),
];
/** An inner address that several sites of a group use, and one more. */
const CONTESTED: readonly [Ip, Ip, ...Ip[]] = [
  ip("10.77.1.1"),
  ip("10.77.1.1"),
  ip("10.77.1.1"),
  ip("10.77.1.2"),
];

/** All events, with their usual weights. */
export const EVENTS: readonly (readonly [number, Event])[] = [
  [5, talk],
  [4, burst],
  [1, crowdTheQueue],
  [6, claim],
  [2, steal],
  [1, manyAddresses],
  [2, restart],
  [2, stayDown],
  [2, freeze],
  [2, setClock],
  [1, clockTrip],
  [1, manyLives],
  [1, crowdHalfOpen],
  [3, degrade],
  [2, cut],
  [2, block],
  [3, heal],
  [3, move],
  [2, flap],
  [1, disguise],
  [2, goHome],
  [1, resolve],
  [2, rekey],
  [2, rekeyBoth],
  [1, lateAnswer],
  [1, close],
  [1, leap],
  [4, replay],
  [3, replayLost],
  [2, replayHandshakes],
  [1, replayOldInits],
  [1, replayOften],
  [2, reflect],
  [3, forge],
];

/** Brings the two sides of one site's link: which sends, which receives. */
function direction({ random, shape }: Play): readonly [Member, Member] {
  const site = someSite(shape, random);
  return random.chance(0.5) ? [site, shape.hub] : [shape.hub, site];
}

function someSite({ sites, hub }: Shape, random: Random): Member {
  return sites[random.below(sites.length)] ?? hub;
}

function someone(play: Play): Member {
  return play.random.chance(0.5) ? play.shape.hub : someSite(play.shape, play.random);
}

/** Plans something that must not happen any more once the network is to be fair. */
function later(play: Play, ms: number, act: () => void): void {
  play.net.in(ms, () => {
    if (play.isOn) act();
  });
}

/** One packet from a member to another; the source may be told apart from its own inner address. */
export function sendPacket(play: Play, from: Member, to: Member, source: Ip = from.inner): number {
  play.packets += 1;
  from.station.send(newPacket(play.packets, source, to.inner));
  return play.packets;
}

/** Packets both ways for a while. */
function talk(play: Play): void {
  const { random, net } = play;
  const [from, to] = direction(play);
  const gap = random.between(5, 900);
  const count = 2 + random.below(5);
  for (let index = 0; index < count; index += 1) {
    net.in(index * gap, () => {
      sendPacket(play, from, to);
      if (random.chance(0.6)) sendPacket(play, to, from);
    });
  }
}

/** Several at once; now and then from a source that is not its sender's. */
function burst(play: Play): void {
  const { random } = play;
  const [from, to] = direction(play);
  const count = 1 + random.below(6);
  for (let index = 0; index < count; index += 1) {
    const isWrong = random.chance(0.05);
    sendPacket(play, from, to, isWrong ? pick(random, [ip("10.5.5.5"), to.inner]) : from.inner);
  }
}

/** More than may wait for a session. */
function crowdTheQueue(play: Play): void {
  if (!play.random.chance(0.25)) return;
  const [from, to] = direction(play);
  for (let index = 0; index < 140; index += 1) sendPacket(play, from, to);
}

/** A site sends from an inner address that others use too. */
function claim(play: Play): void {
  const { random, shape, net } = play;
  if (shape.kind !== "group") return;
  const site = someSite(shape, random);
  const inner = pick(random, CONTESTED);
  const gap = random.between(50, 2_000);
  for (let index = random.below(4); index >= 0; index -= 1) {
    net.in(index * gap, () => sendPacket(play, site, shape.hub, inner));
  }
}

/** A site claims an address while its holder is away for a moment, and the holder comes back. */
function steal(play: Play): void {
  const { random, shape } = play;
  const [holder, claimant] = shape.sites.slice(random.below(shape.sites.length - 1));
  if (holder === undefined || claimant === undefined) return;
  const [inner] = CONTESTED;
  const isAway = random.chance(0.7);
  sendPacket(play, holder, shape.hub, inner);
  later(play, 300, () => {
    holder.station.isFrozen = isAway;
    sendPacket(play, claimant, shape.hub, inner);
  });
  play.net.in(2_500, () => {
    holder.station.isFrozen = false;
    sendPacket(play, holder, shape.hub, inner);
  });
}

/** More inner addresses than a node can hold. */
function manyAddresses(play: Play): void {
  const { random, shape, net } = play;
  if (shape.kind !== "group" || !random.chance(0.2)) return;
  const site = someSite(shape, random);
  const first = ip("10.77.2.1");
  for (let index = 0; index < 66; index += 1) {
    // The last byte is the highest of the word.
    net.in(index, () => sendPacket(play, site, shape.hub, first + index * 2 ** 24));
  }
}

function restart(play: Play): void {
  restartAs(someone(play), play.random.chance(0.4));
}

/** Starts anew, as the same node or another; a host that is frozen or down does not. */
function restartAs({ station, forgetNodeId }: Member, isAnother: boolean): boolean {
  if (station.isFrozen || station.running === undefined) return false;
  if (isAnother) forgetNodeId();
  station.stop();
  station.start();
  return true;
}

function stayDown(play: Play): void {
  const { random, net } = play;
  const { station, forgetNodeId } = someone(play);
  if (station.isFrozen || station.running === undefined) return;
  if (random.chance(0.3)) forgetNodeId();
  station.stop();
  net.in(random.between(50, 20_000), () => {
    if (station.running === undefined) station.start();
  });
}

/** It starts again and again, each time as another node, and sends something each time. */
function manyLives(play: Play): void {
  const { random, shape } = play;
  if (!random.chance(0.4)) return;
  const site = someSite(shape, random);
  const gap = random.between(60, 700);
  for (let life = 0; life < 6; life += 1) {
    later(play, life * gap, () => {
      if (restartAs(site, true)) sendPacket(play, site, shape.hub);
    });
  }
}

/** Three nodes, four handshakes each, and none of their data arrives. */
function crowdHalfOpen(play: Play): void {
  const { random, net, shape } = play;
  if (!random.chance(0.4)) return;
  const site = someSite(shape, random);
  const { station } = site;
  const path = net.path(station, shape.hub.station);
  path.blocked = 4;
  for (let step = 0; step < 12; step += 1) {
    later(play, step * 250, () => {
      if (step % 4 > 0) station.rekey();
      else restartAs(site, true);
    });
  }
  net.in(4_000, () => {
    path.blocked = undefined;
  });
}

/** SIGSTOP or suspend: the boot-time clock goes on, and datagrams wait. */
function freeze(play: Play): void {
  const { random, net } = play;
  const { station } = someone(play);
  station.isFrozen = true;
  const isLong = random.chance(0.3);
  const ms = isLong ? random.between(10_000, 250_000) : random.between(20, 3_000);
  if (isLong && random.chance(0.3)) play.pause = ms + random.between(0, 2_000);
  net.in(ms, () => {
    station.isFrozen = false;
  });
}

/** The wall clock steps: seconds, hours or years. */
function setClock(play: Play): void {
  const { random } = play;
  const size = pick(random, [1e6, 3.6e9, 3e13]);
  someone(play).station.wallOffsetMicros = Math.round(random.between(-size, size));
}

/** The clock is ahead for one handshake that is never confirmed; then the host starts anew with a right clock. */
function clockTrip(play: Play): void {
  const { random, net, shape } = play;
  const site = someSite(shape, random);
  const { station } = site;
  const path = net.path(station, shape.hub.station);
  path.blocked = 4;
  station.wallOffsetMicros += random.between(1e7, 1e10);
  sendPacket(play, site, shape.hub);
  net.in(10, () => station.rekey());
  net.in(random.between(300, 1_500), () => {
    path.blocked = undefined;
    station.wallOffsetMicros = 0;
    restartAs(site, false);
  });
}

function degrade({ net, random }: Play): void {
  const isAll = random.chance(0.5);
  for (const path of net.paths) {
    if (!isAll && random.chance(0.5)) continue;
    path.loss = random.between(0, 0.6);
    path.delay = random.between(1, pick(random, [40, 150, 700]));
    path.jitter = random.chance(0.5) ? 0 : random.between(0, 200);
    path.double = random.between(0, 0.3);
    path.hold = random.between(0, 0.2);
  }
}

/** One direction of one path takes nothing for a while. */
function cut(play: Play): void {
  const { net, random } = play;
  const [from, to] = direction(play);
  const path = net.path(from.station, to.station);
  path.loss = 1;
  net.in(random.between(200, 25_000), () => {
    path.loss = 0;
  });
}

/** Eve takes one kind of message out of one direction for a while. */
function block(play: Play): void {
  const { net, random } = play;
  const [from, to] = direction(play);
  const path = net.path(from.station, to.station);
  path.blocked = 1 + random.below(4);
  net.in(random.between(500, 15_000), () => {
    path.blocked = undefined;
  });
}

/** All paths are good. */
export function heal({ net }: Pick<Play, "net">): void {
  for (const path of net.paths) {
    path.loss = 0;
    path.delay = Math.min(path.delay, 60);
    path.jitter = 0;
    path.double = 0;
    path.hold = 0;
    path.blocked = undefined;
    path.held = undefined;
    path.disguise = undefined;
  }
}

/** Another address, or another port of the translator. */
function move(play: Play): void {
  const { random, net, shape } = play;
  const { station } = someone(play);
  if (station.isFrozen) return;
  if (station.outside !== undefined) {
    station.outside += 1 + random.below(5);
    return;
  }
  const block = station === shape.hub.station ? "198.51.100" : "192.0.2";
  const own = [ip(`${block}.${150 + random.below(20)}`)];
  if (random.chance(0.2)) own.push(...station.own.slice(0, 1));
  const isTold = random.chance(0.8);
  station.move(own, isTold);
  if (!isTold) net.in(random.between(100, 5_000), () => station.tell());
}

/** Away, a word, and home or elsewhere before it can be answered. */
function flap(play: Play): void {
  const { random, shape } = play;
  const site = someSite(shape, random);
  const { station } = site;
  if (station.isFrozen) return;
  moveHome(site);
  moveAside(play, site);
  sendPacket(play, site, shape.hub);
  later(play, random.between(1, 60), () => {
    if (station.isFrozen) return;
    if (random.chance(0.5)) moveAside(play, site);
    else moveHome(site);
    if (random.chance(0.6)) sendPacket(play, site, shape.hub);
  });
  later(play, 2_000, () => moveHome(site));
}

/** A site moves, and Eve lets its answer to the path challenge come from an address of hers. */
function disguise(play: Play): void {
  const { random, net, shape } = play;
  const site = someSite(shape, random);
  const { station } = site;
  if (station.isFrozen) return;
  const path = net.path(station, shape.hub.station);
  path.disguise = pick(random, [EVE_SOURCES[0], station.door]);
  moveAside(play, site);
  sendPacket(play, site, shape.hub);
  net.in(random.between(100, 1_000), () => {
    path.disguise = undefined;
  });
}

/** Another address for a site, or another port of its translator. */
function moveAside({ random }: Play, { station }: Member): void {
  if (station.outside !== undefined) station.outside += 1 + random.below(5);
  else station.move([ip(`192.0.2.${150 + random.below(20)}`)], true);
}

function goHome(play: Play): void {
  moveHome(someone(play));
}

export function moveHome({ station, homeOwn, homeOutside }: Member): void {
  station.outside = homeOutside;
  station.move(homeOwn, true);
}

/** The configured name has the other side's present address, if a name is configured. */
function resolve(play: Play): void {
  const [from, to] = direction(play);
  if (from.configured.length === 0) return;
  if (from === play.shape.hub && play.shape.kind === "group") return;
  from.station.resolve([to.station.door]);
}

function rekey(play: Play): void {
  someone(play).station.rekey();
}

/** Both sides start within a round trip. */
function rekeyBoth(play: Play): void {
  const { random, net, shape } = play;
  const site = someSite(shape, random);
  site.station.rekey();
  net.in(random.between(0, 30), () => shape.hub.station.rekey());
}

/** A RESP is under way for long, and the hub moves and says something meanwhile. */
function lateAnswer(play: Play): void {
  const { random, net, shape } = play;
  const { hub } = shape;
  const site = someSite(shape, random);
  const path = net.path(hub.station, site.station);
  path.held = 2;
  site.station.rekey();
  later(play, 300, () => {
    path.held = undefined;
    if (!hub.station.isFrozen) hub.station.move([ip(`198.51.100.${random.below(2) + 1}`)], true);
    for (let index = 0; index < 3; index += 1) {
      net.in(index * 60, () => sendPacket(play, hub, site));
    }
  });
}

/** Some packets are late, and the next one is about a whole replay window ahead of them. */
function leap(play: Play): void {
  const { random, net } = play;
  const [from, to] = direction(play);
  const path = net.path(from.station, to.station);
  const ahead = WINDOW - random.below(LEAP_LATE + 2);
  path.blocked = 4;
  for (let index = 0; index < LEAP_LATE; index += 1) sendPacket(play, from, to);
  net.in(20, () => {
    path.blocked = undefined;
    if (!play.isOn) return;
    const late = net.lost.slice(-LEAP_LATE);
    from.station.skipCounters(ahead);
    sendPacket(play, from, to);
    for (const flight of late) net.in(random.between(100, 400), () => net.arrive(flight));
  });
}

function close(play: Play): void {
  someone(play).station.close();
}

/** Something that was sent, lately for the most part. */
function someFlight({ net, random }: Play): Flight | undefined {
  const { seen } = net;
  const back = random.chance(0.6)
    ? random.below(Math.min(seen.length, 20))
    : random.below(seen.length);
  return seen[seen.length - 1 - back];
}

function someSource(play: Play, own: Address): Address {
  const { random, shape } = play;
  const choice = random.below(10);
  if (choice < 4) return own;
  if (choice < 7) return EVE_SOURCES[random.below(2)] ?? own;
  if (choice < 8) return IMPOSSIBLE[random.below(3)] ?? own;
  if (choice < 9) return someSite(shape, random).station.door;
  return addressOf(shape.hub.station.own[0] ?? 0, PORT);
}

function maybeElsewhere(play: Play, own: Address): Address {
  return play.random.chance(0.6) ? own : someSource(play, own);
}

function replay(play: Play): void {
  const count = 1 + play.random.below(8);
  for (let index = 0; index < count; index += 1) {
    const flight = someFlight(play);
    if (flight === undefined) return;
    const to = play.random.chance(0.85) ? flight.to : someone(play).station.door;
    play.net.arrive({ ...flight, from: someSource(play, flight.from), to });
  }
}

/** What never arrived comes late, after newer things. */
function replayLost(play: Play): void {
  const { random, net } = play;
  const { lost } = net;
  const count = Math.min(1 + random.below(6), lost.length);
  for (let index = 0; index < count; index += 1) {
    const back = Math.min(random.below(lost.length), random.below(lost.length));
    const flight = lost[lost.length - 1 - back];
    if (flight === undefined) return;
    const isReflected = random.chance(0.1);
    const from = isReflected ? flight.to : maybeElsewhere(play, flight.from);
    net.in(random.between(0, 50), () => net.arrive({ ...flight, from }));
  }
}

/** Handshake messages of any age, from where they came or elsewhere. */
function replayHandshakes(play: Play): void {
  const { net, random } = play;
  const handshakes = net.seen.filter(({ sent }) => sent?.kind !== "data");
  const count = Math.min(1 + random.below(10), handshakes.length);
  for (let index = 0; index < count; index += 1) {
    const flight = handshakes[random.below(handshakes.length)];
    if (flight === undefined) return;
    const from = random.chance(0.5) ? flight.from : someSource(play, flight.from);
    net.arrive({ ...flight, from });
  }
}

/** Minutes pass; then INITs with cookies that never arrived do so after all. */
function replayOldInits(play: Play): void {
  const { net, random } = play;
  const inits = net.lost.filter(({ sent }) => sent?.kind === "init" && sent.cookie !== undefined);
  if (inits.length === 0) return;
  play.pause = random.between(240_000, 400_000);
  for (const flight of inits.slice(0, 4)) {
    net.in(play.pause - random.between(0, 1_000), () => net.arrive(flight));
  }
}

/** One datagram many times. */
function replayOften(play: Play): void {
  const flight = someFlight(play);
  if (flight === undefined) return;
  const from = someSource(play, flight.from);
  const count = 3 + play.random.below(20);
  for (let index = 0; index < count; index += 1) play.net.arrive({ ...flight, from });
}

/** Back to who sent it, from where it was to go. */
function reflect(play: Play): void {
  const flight = someFlight(play);
  if (flight !== undefined) play.net.arrive({ ...flight, from: flight.to, to: flight.from });
}

/** Changed, cut and made-up datagrams. */
function forge(play: Play): void {
  const { random, net } = play;
  const count = 1 + random.below(6);
  for (let index = 0; index < count; index += 1) {
    const flight = someFlight(play);
    if (flight === undefined) return;
    const { bytes, to } = flight;
    const forged = pick<() => Uint8Array>(random, [
      () => flipBit(bytes, random.below(bytes.length * 8)),
      () => flipBit(bytes, (bytes.length - 1 - random.below(16)) * 8),
      () => flipBit(bytes, (bytes.length - 1 - random.below(16)) * 8),
      () => resized(bytes, random.below(bytes.length)),
      () => resized(bytes, bytes.length + 1 + random.below(20)),
      () => random.bytes(random.below(160)),
    ])();
    net.arrive({
      from: someSource(play, flight.from),
      to,
      bytes: forged,
      tos: flight.tos,
      sent: undefined,
    });
  }
}
