/**
 * A tunnel that encrypts nothing and knows one peer: what the harness's own tests drive.
 *
 * Every packet becomes a datagram of the same bytes, every datagram a packet; a tick of one byte goes
 * out at a fixed period. Its faults are switchable, so that the tests can show that the harness notices.
 */

import { endpointFrom, writeEndpoint } from "../../src/core/address.ts";
import type { MessageBatch } from "../../src/core/batch.ts";
import { tunnelBuffers } from "../../src/core/buffers.ts";
import { dropCounters } from "../../src/core/drop-reason.ts";
import type { TunnelEvent, TunnelSample, TunnelSnapshot } from "../../src/core/options.ts";
import {
  MESSAGE,
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  PACKET,
  PACKET_FIELDS,
} from "../../src/core/rows.ts";
import { after, type Instant, NEVER } from "../../src/core/time.ts";
import type { Deadline } from "../../src/core/tunnel.ts";
import { endpoint, ipBytes, type SocketAddress } from "../helpers/address.ts";
import type { TunnelLike } from "./host.ts";

/** How a fake behaves. */
export interface FakeOptions {
  readonly peer: SocketAddress;
  /** Milliseconds between ticks; absent: none. */
  readonly tickMs?: number;
  /** "stuck" leaves its deadline in the past, "creeping" moves it by a nanosecond, "endless" always has one more to transmit. */
  readonly fault?: "stuck" | "creeping" | "endless";
  /** Address to insist on sending from. */
  readonly from?: string;
}

/** The fake. */
export class FakeTunnel implements TunnelLike {
  readonly buffers = tunnelBuffers({ mtu: 1420, superPackets: false, gro: false });
  readonly #options: FakeOptions;
  readonly #events: TunnelEvent[] = [];
  readonly #drops = dropCounters();
  #nextTick: Instant | undefined;
  #ticksDue = 0;
  /** Calls in order, with what matters of their arguments. */
  readonly calls: string[] = [];
  truncated = 0;
  readonly malformed = 0;

  constructor(options: FakeOptions, now: Instant) {
    this.#options = options;
    if (options.tickMs !== undefined) this.#nextTick = after(now, options.tickMs);
  }

  setWallClock(micros: number): void {
    this.calls.push(`setWallClock ${micros}`);
  }

  handleTimeout(now: Instant): void {
    this.calls.push("handleTimeout");
    const { tickMs = 0, fault } = this.#options;
    if (this.#nextTick === undefined || now < this.#nextTick || fault === "stuck") return;
    this.#nextTick = after(this.#nextTick, fault === "creeping" ? 1e-6 : tickMs);
    this.#ticksDue += 1;
  }

  nextTimeout(): Instant {
    return this.#nextTick ?? NEVER;
  }

  pollTimeout(): Deadline | undefined {
    return this.#nextTick && { at: this.#nextTick, reason: "tick" };
  }

  pollTransmit(): number {
    this.calls.push("pollTransmit");
    const { outgoing } = this.buffers;
    outgoing.count = 0;
    if (this.#ticksDue === 0 && this.#options.fault !== "endless") return 0;
    this.#ticksDue = 0;
    outgoing.arena[0] = 0x74;
    this.#row(outgoing, 0, 1);
    return outgoing.count;
  }

  handleDatagrams(): void {
    const { datagrams, delivered } = this.buffers;
    this.calls.push(`handleDatagrams ${datagrams.count}`);
    delivered.count = 0;
    for (let row = 0; row < datagrams.count; row += 1) {
      const base = row * MESSAGE_FIELDS;
      if (datagrams.rows[base + MESSAGE.STATUS] === MESSAGE_TRUNCATED) this.truncated += 1;
      const out = delivered.count * PACKET_FIELDS;
      delivered.rows.fill(0, out, out + PACKET_FIELDS);
      delivered.rows[out + PACKET.OFFSET] = datagrams.rows[base + MESSAGE.OFFSET] ?? 0;
      delivered.rows[out + PACKET.LENGTH] = datagrams.rows[base + MESSAGE.LENGTH] ?? 0;
      delivered.count += 1;
    }
  }

  handlePackets(): void {
    const { packets, outgoing, replies } = this.buffers;
    this.calls.push(`handlePackets ${packets.count}`);
    outgoing.count = 0;
    replies.count = 0;
    let at = 0;
    for (let row = 0; row < packets.count; row += 1) {
      const start = packets.rows[row * PACKET_FIELDS + PACKET.OFFSET] ?? 0;
      const length = packets.rows[row * PACKET_FIELDS + PACKET.LENGTH] ?? 0;
      outgoing.arena.set(packets.arena.subarray(start, start + length), at);
      this.#row(outgoing, at, length);
      at += length;
    }
    packets.count = 0;
  }

  pollEvent(): TunnelEvent | undefined {
    return this.#events.shift();
  }

  setOwnAddresses(addresses: readonly Uint8Array[]): void {
    this.#events.push({ kind: "lost", count: addresses.length });
  }

  announce(): void {
    this.#events.push({ kind: "lost", count: 0 });
  }

  setLinkMtu(linkMtu: number): void {
    this.#events.push({ kind: "lost", count: linkMtu });
  }

  countDrop(reason: "udp_send" | "tun_write", count: number): void {
    this.#drops[reason] += count;
  }

  sample(): TunnelSample {
    return { names: [], figures: new Float64Array(0) };
  }

  snapshot(): TunnelSnapshot {
    return {
      peers: [],
      drops: this.#drops,
      refusedDestination: undefined,
      handshakeComputations: 0,
      sources: [],
      sessions: 0,
    };
  }

  addPeer(): void {}
  removePeer(): void {}
  updatePeer(): void {}
  fingerprintOf(): string {
    return "";
  }
  keepKeys(): void {}
  wipeKeys(): void {}
  setLimits(): void {}
  setInnerAddresses(): void {}
  setMtu(): void {}
  setCopyDscp(): void {}
  setEndpoints(): void {}
  rekey(): void {}
  ping(): undefined {}
  pollAnswer(): undefined {}
  startSpeedTest(): undefined {}
  speedTest(): undefined {}
  stopSpeedTest(): void {}
  close(): void {}
  closeNodes(): void {}
  wipe(): void {}

  #row(outgoing: MessageBatch, offset: number, length: number): void {
    const { peer, from } = this.#options;
    const base = outgoing.count * MESSAGE_FIELDS;
    outgoing.rows.fill(0, base, base + MESSAGE_FIELDS);
    const { address, port } = endpoint(peer.ip, peer.port);
    writeEndpoint(outgoing.rows, base, endpointFrom(address, port));
    const local = new Int32Array(ipBytes(from ?? "::").slice().buffer);
    outgoing.rows.set(local, base + MESSAGE.LOCAL);
    outgoing.rows[base + MESSAGE.OFFSET] = offset;
    outgoing.rows[base + MESSAGE.LENGTH] = length;
    outgoing.count += 1;
  }
}
