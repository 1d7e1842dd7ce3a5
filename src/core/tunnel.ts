/**
 * The core's public face: a tunnel that knows no sockets, files, clocks or timers.
 *
 * Order of use, once a turn of the engine's loop: `setWallClock`; `handleTimeout`; `pollTransmit`
 * until 0, sending `outgoing` each time; fill `datagrams`, `handleDatagrams`, write `delivered`,
 * `pollTransmit` until 0; fill `packets`, `handlePackets`, send `outgoing`, write `replies`, and so on
 * until `packets` is empty; `pollTransmit` until 0; then `nextTimeout` and `pollEvent` until undefined.
 * `datagrams` may be filled before all this: no other call touches its rows.
 * The trap: waiting packets are sent through the `packets` batch, so its rows must be handled before
 * `pollTransmit`.
 */

import type { TunnelBuffers } from "./buffers.ts";
import { setInnerAddresses, setLimits, setMtu } from "./change-settings.ts";
import type { Aead, HandshakeCrypto } from "./crypto.ts";
import { malformedIn } from "./drop-reason.ts";
import { endAttempt } from "./handshake/attempt.ts";
import { handleDeferred } from "./handshake/deferred.ts";
import { startAttempt } from "./handshake/initiate.ts";
import { deriveKeyRing, wipeKeyRing } from "./handshake/keys.ts";
import { keepKeys, setKeys, takeKeys, wipeKeys } from "./handshake/peer-keys.ts";
import { Receiver } from "./inbound/receive.ts";
import type {
  LimitOptions,
  PathMtuOptions,
  PeerKind,
  PeerOptions,
  PeerUpdate,
  PingAnswer,
  PingRefusal,
  PlainEndpoint,
  SpeedOptions,
  SpeedRefusal,
  SpeedSnapshot,
  TunnelEvent,
  TunnelOptions,
  TunnelSample,
  TunnelSnapshot,
} from "./options.ts";
import { Sender } from "./outbound/send.ts";
import { resumeEndpoint } from "./path/endpoints.ts";
import { searchPath } from "./path/path-mtu.ts";
import { sendPing } from "./path/ping.ts";
import { releaseLocalSides } from "./path/roaming.ts";
import { SpeedSender, startSpeedTest } from "./path/speed-send.ts";
import { everyPeer } from "./peers/members.ts";
import { fromPlain, Peer } from "./peers/peer.ts";
import { updatePeer } from "./peers/update-peer.ts";
import { sampleOf } from "./sample.ts";
import { sendClose, sendProbe } from "./session/control.ts";
import { TIMERS } from "./session/deadlines.ts";
import { armKeepalive } from "./session/liveness.ts";
import { closeSession, dropSessions } from "./session/sessions.ts";
import { handleTimers } from "./session/timers.ts";
import { snapshotOf } from "./snapshot.ts";
import { drop, newState, type State } from "./state.ts";
import { type Instant, NEVER } from "./time.ts";

/** When `handleTimeout` has something to do, and what. */
export interface Deadline {
  readonly at: Instant;
  readonly reason: string;
}

export class Tunnel {
  readonly buffers: TunnelBuffers;
  readonly #state: State;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  readonly #speedSender: SpeedSender;

  constructor(
    options: TunnelOptions,
    environment: { readonly crypto: HandshakeCrypto; readonly aead: Aead },
    buffers: TunnelBuffers,
    now: Instant,
  ) {
    this.buffers = buffers;
    this.#state = newState(options, environment, now);
    this.#receiver = new Receiver(this.#state, buffers.datagrams, buffers.delivered);
    this.#speedSender = new SpeedSender(this.#state, buffers.outgoing);
    this.#sender = new Sender(this.#state, buffers.packets, buffers.outgoing, buffers.replies);
  }

  /** Microseconds since 1970 of the wall clock, the stamp of handshakes. */
  setWallClock(micros: number): void {
    this.#state.wallMicros = micros;
  }

  /** Consumes the rows of `datagrams`; leaves the packets to write in `delivered`. */
  handleDatagrams(now: Instant): void {
    this.#receiver.handle(now);
    this.buffers.datagrams.count = 0;
  }

  /**
   * Consumes rows of `packets`; leaves datagrams in `outgoing` and ICMP errors in `replies`. Where the batch
   * makes more than `outgoing` holds, `packets.count` stays: send, and call again.
   */
  handlePackets(now: Instant): void {
    this.#sender.handle(now);
  }

  /** Begins a turn: handshakes that were put off, then every timer that is due; before the deadline it does nothing. */
  handleTimeout(now: Instant): void {
    handleDeferred(this.#state, now);
    handleTimers(this.#state, now);
    this.#state.speedTest?.beginTurn(now);
  }

  /** When `handleTimeout` has something to do next; every other method can change it, and asking is cheap. */
  nextTimeout(): Instant {
    const { heap, deferred, deferredSince, speedTest } = this.#state;
    if (deferred.length > 0) return deferredSince;
    const wakeAt = heap.first()?.timers.wakeAt ?? NEVER;
    return speedTest === undefined ? wakeAt : (Math.min(wakeAt, speedTest.wakeAt) as Instant);
  }

  /** The same with its reason, for people; every other method can change it, and asking more often is harmless. */
  pollTimeout(): Deadline | undefined {
    const { heap, deferred, deferredSince, speedTest } = this.#state;
    if (deferred.length > 0) return { at: deferredSince, reason: "handshakes put off" };
    const timers = heap.first()?.timers;
    if (speedTest !== undefined && speedTest.wakeAt < (timers?.wakeAt ?? NEVER)) {
      return { at: speedTest.wakeAt, reason: "speed test" };
    }
    if (timers === undefined) return undefined;
    const timer = timers.earliest()?.timer;
    return { at: timers.wakeAt, reason: timer === undefined ? "nothing" : TIMERS[timer] };
  }

  /** Fills `outgoing` with datagrams that timers, handshakes and waiting packets made; returns its count. */
  pollTransmit(now: Instant): number {
    // The last once more: packets that waited may leave in parts, or start a handshake.
    return (
      this.#drainTransmits() ||
      this.#flushWaiting(now) ||
      this.#flushPaced(now) ||
      this.#drainTransmits() ||
      this.#speedSender.fill(now)
    );
  }

  /** The next event, or undefined. */
  pollEvent(): TunnelEvent | undefined {
    return this.#state.events.shift();
  }

  /** Adds a peer and, where it can be reached, starts a handshake. Throws when the name is taken. */
  addPeer(options: PeerOptions, now: Instant): void {
    const state = this.#state;
    if (state.peers.has(options.name)) throw new Error(`peer ${options.name} exists`);
    const peer = new Peer(options, state.limits, state, now);
    setKeys(state, peer, options.keys, now);
    for (const prefix of peer.allowedIps) state.routes.insert(prefix, peer);
    state.peers.set(peer.name, peer);
    const { lastEndpoint } = options;
    // A group is in many places.
    if (lastEndpoint !== undefined && peer.group === undefined)
      resumeEndpoint(peer, fromPlain(lastEndpoint), now);
    armKeepalive(peer, now);
    startAttempt(state, peer, now);
  }

  /** Closes the peer's sessions and forgets it. */
  removePeer(name: string, now: Instant): void {
    const state = this.#state;
    const peer = state.peers.get(name);
    if (peer === undefined) return;
    for (const node of [...(peer.group?.nodes.values() ?? [])]) {
      this.#closeSessions(node, now);
      dropSessions(state, node);
    }
    this.#closeSessions(peer, now);
    endAttempt(state, peer);
    dropSessions(state, peer);
    peer.waiting.clear();
    peer.pacer?.clear();
    state.flushable.delete(peer);
    state.paceable.delete(peer);
    state.routes.removeValue(peer);
    state.peers.delete(name);
    takeKeys(state, peer);
    state.heap.remove(peer);
  }

  /** Takes over other options of a peer; only a key that goes ends the sessions that stand on it. */
  updatePeer(update: PeerUpdate, now: Instant): void {
    const peer = this.#state.peers.get(update.name);
    if (peer !== undefined) updatePeer(this.#state, peer, update, now);
  }

  /** The name of a key, which stays the caller's to wipe. */
  fingerprintOf(key: Uint8Array, kind: PeerKind): string {
    const { crypto } = this.#state;
    const ring = deriveKeyRing(crypto, key, kind !== "pair");
    wipeKeyRing(crypto, ring);
    return ring.fingerprint;
  }

  /** From now on keys that peers lose are set aside, where `addPeer` and `updatePeer` find them by name. */
  keepKeys(): void {
    keepKeys(this.#state);
  }

  /** Wipes the keys that were set aside; others that peers lose are wiped at once again. */
  wipeKeys(): void {
    wipeKeys(this.#state);
  }

  setLimits(limits: LimitOptions, now: Instant): void {
    setLimits(this.#state, limits, now);
  }

  /** Own inner addresses, 4 or 16 bytes each. */
  setInnerAddresses(addresses: readonly Uint8Array[], now: Instant): void {
    setInnerAddresses(this.#state, addresses, now);
  }

  /** Largest inner packet, bytes, which the buffers must hold; with `pathMtu` each path is asked. */
  setMtu(mtu: number, pathMtu: PathMtuOptions | undefined, now: Instant): void {
    setMtu(this.#state, mtu, pathMtu, now);
  }

  /** Whether the DSCP of a packet is copied to its datagram. */
  setCopyDscp(isCopied: boolean): void {
    this.#state.copyDscp = isCopied;
  }

  /** New addresses of a configured endpoint; an empty list keeps the old ones. */
  setEndpoints(name: string, endpoints: readonly PlainEndpoint[], now: Instant): void {
    const peer = this.#state.peers.get(name);
    if (peer === undefined || endpoints.length === 0) return;
    const hadNone = peer.configured.length === 0;
    peer.configured = endpoints.map(fromPlain);
    if (peer.endpoint !== undefined) peer.timers.set("prefer", now);
    if (peer.current !== undefined) return;
    if (peer.attempt !== undefined && hadNone) peer.timers.set("retry", now);
    startAttempt(this.#state, peer, now);
  }

  /**
   * Own outer addresses, 16 bytes each: never accepted as a peer's endpoint on our port, and the only
   * ones that replies are made to leave from.
   */
  setOwnAddresses(addresses: readonly Uint8Array[]): void {
    this.#state.ownAddresses = addresses;
    releaseLocalSides(this.#state);
  }

  /** Another largest MTU of this host's links, bytes: the paths may carry more or less than before. */
  setLinkMtu(linkMtu: number, now: Instant): void {
    const { pathMtu } = this.#state;
    if (pathMtu.linkMtu === linkMtu) return;
    pathMtu.linkMtu = linkMtu;
    for (const peer of everyPeer(this.#state)) searchPath(peer, now);
  }

  /**
   * Datagrams may leave another way from now on: every peer hears from us at once, so that it finds us where
   * we are (rule 12). How often is the caller's to bound.
   */
  announce(now: Instant): void {
    for (const peer of everyPeer(this.#state)) {
      const { current, endpoint } = peer;
      if (current !== undefined && endpoint !== undefined) {
        sendProbe(this.#state, current, endpoint, now);
      }
    }
  }

  /** Starts a handshake with the peer. */
  rekey(name: string, now: Instant): void {
    const peer = this.#state.peers.get(name);
    if (peer !== undefined) startAttempt(this.#state, peer, now);
  }

  /**
   * Closes the sessions of groups' nodes, which alone can start new ones: for a tunnel whose place another takes.
   * Drain `pollTransmit`, then `wipe`.
   */
  closeNodes(now: Instant): void {
    for (const peer of [...everyPeer(this.#state)]) {
      if (peer.kind === "node") this.#closeSessions(peer, now);
    }
  }

  /** Probes a peer or node; why it could not, or undefined: its answer, if one comes, bears `tag`. */
  ping(name: string, tag: number, now: Instant): PingRefusal | undefined {
    return sendPing(this.#state, name, tag, now);
  }

  /** The next answer to `ping`, or undefined. */
  pollAnswer(): PingAnswer | undefined {
    return this.#state.answers.shift();
  }

  /** Starts a speed test, at most one at a time; why it could not, or undefined. */
  startSpeedTest(options: SpeedOptions, now: Instant): SpeedRefusal | undefined {
    return startSpeedTest(this.#state, options, now);
  }

  /** The speed test that runs or ran last. */
  speedTest(now: Instant): SpeedSnapshot | undefined {
    return this.#state.speedTest?.snapshot(now);
  }

  /** Ends a speed test early; what it found stays. */
  stopSpeedTest(now: Instant): void {
    this.#state.speedTest?.stop(now);
  }

  /** Queues a close frame on every session and ends it; drain `pollTransmit`, then `wipe`. */
  close(now: Instant): void {
    for (const peer of [...everyPeer(this.#state)]) this.#closeSessions(peer, now);
  }

  /** Wipes every key. The tunnel is not usable afterwards. */
  wipe(): void {
    const state = this.#state;
    for (const peer of [...everyPeer(state)]) {
      endAttempt(state, peer);
      dropSessions(state, peer);
      if (peer.kind !== "node") takeKeys(state, peer);
    }
    wipeKeys(state);
  }

  snapshot(now: Instant): TunnelSnapshot {
    return snapshotOf(this.#state, now);
  }

  sample(): TunnelSample {
    return sampleOf(this.#state);
  }

  /** Datagrams until now that were no message of the protocol at all. */
  get malformed(): number {
    return malformedIn(this.#state.drops);
  }

  /** Counts a failure that only the engine can see. */
  countDrop(reason: "udp_send" | "tun_write", count: number): void {
    drop(this.#state, reason, count);
  }

  #closeSessions(peer: Peer, now: Instant): void {
    for (const session of [peer.current, peer.previous]) {
      if (session === undefined) continue;
      if (peer.endpoint !== undefined) sendClose(this.#state, session, peer.endpoint, now);
      closeSession(this.#state, session);
    }
  }

  #drainTransmits(): number {
    const { outgoing } = this.buffers;
    this.#state.transmits.drainInto(outgoing);
    return outgoing.count;
  }

  /** Waiting packets take the packets' own way, a batch at a time. */
  #flushWaiting(now: Instant): number {
    const { flushable } = this.#state;
    const { packets, outgoing } = this.buffers;
    for (const peer of flushable) {
      while (packets.count > 0 || (peer.waiting.count > 0 && peer.current?.isUsable(now))) {
        if (packets.count === 0) peer.waiting.drainInto(packets);
        this.handlePackets(now);
        if (outgoing.count > 0) return outgoing.count;
      }
      flushable.delete(peer);
    }
    outgoing.count = 0;
    return 0;
  }

  /** The same for packets whose time has come by their peer's rate. */
  #flushPaced(now: Instant): number {
    const { paceable } = this.#state;
    const { packets, packetRoom, outgoing } = this.buffers;
    for (const peer of paceable) {
      const { pacer, timers } = peer;
      for (;;) {
        if (packets.count === 0) pacer?.drainInto(packets, packetRoom, now);
        if (packets.count === 0) break;
        this.#sender.handle(now, true);
        if (outgoing.count > 0) return outgoing.count;
      }
      paceable.delete(peer);
      drop(this.#state, "rate_queue", pacer?.takeDropped());
      if (peer.rateBitsPerSecond === undefined) peer.pacer = undefined;
      else if (pacer?.isEmpty === false) timers.set("pace", pacer.nextAt(now));
    }
    outgoing.count = 0;
    return 0;
  }
}
