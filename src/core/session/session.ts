/**
 * A session: two transport keys, two indices, a counter and a window (PROTOCOL §2, rules 8 and 10).
 *
 * It is born in a handshake as the initiator's (confirmed by the RESP) or the responder's (confirmed
 * by the first data that opens), and ends once, when its key slots are wiped. The trap: an ended
 * session may still be named by rows of the batch at hand, so `isEnded` is asked after every open.
 */
import { type Endpoint, isRowFrom } from "../address.ts";
import { CROSSING_MS, REJECT_AFTER_MESSAGES, REJECT_AFTER_MS } from "../constants.ts";
import type { Aead, KeySlot } from "../crypto.ts";
import type { PskOf } from "../handshake/psk.ts";
import type { Instant } from "../time.ts";
import type { NodeInfo } from "../wire.ts";
import { ReplayWindow } from "./replay-window.ts";

export interface SessionOptions<Owner> {
  readonly peer: Owner;
  readonly psk: PskOf<Owner>;
  readonly isInitiator: boolean;
  readonly localIndex: number;
  readonly remoteIndex: number;
  /** Send time of the INIT on the initiator's side, its arrival on the responder's. */
  readonly born: Instant;
  /** Stamp of the INIT, microseconds. */
  readonly stamp: number;
  /** The other node, as its handshake said. */
  readonly node: NodeInfo;
  readonly ownNodeId: Uint8Array;
  /** Where the INIT was sent (initiator), or where the RESP went first (responder). */
  readonly path: Endpoint;
  readonly sealSlot: KeySlot;
  readonly openSlot: KeySlot;
}

/** A part of a packet whose other one has not come yet (parts.ts). */
interface WaitingPart {
  readonly id: number;
  readonly place: number;
  readonly bytes: Uint8Array;
  readonly at: Instant;
}

/** Datagrams of one direction up to the highest that arrived. */
interface Account {
  readonly sent: number;
  readonly received: number;
}

/** `Owner` is the peer; peer.ts has the alias `Session` that everything else uses. */
export class SessionOf<Owner> {
  readonly peer: Owner;
  readonly psk: PskOf<Owner>;
  readonly isInitiator: boolean;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly born: Instant;
  readonly stamp: number;
  readonly node: NodeInfo;
  readonly path: Endpoint;
  /** Addresses that the RESP went to again. BOUNDED: REPEATED_ANSWERS. */
  readonly otherPaths: Endpoint[] = [];
  readonly sealSlot: KeySlot;
  readonly openSlot: KeySlot;
  readonly window = new ReplayWindow();
  /** Counter of the next datagram sealed. */
  nextCounter = 0;
  failedOpens = 0;
  /** Datagrams opened and committed. */
  receivedPackets = 0;
  /** Probes among them, and those sealed; link quality counts without them. */
  probesReceived = 0;
  probesSent = 0;
  /** `receivedPackets` at the last report. */
  reportedPackets = 0;
  /**
   * The two sides' accounts so far, of datagrams but probes: ours as the last report told, and the other side's;
   * undefined: the next report is where counting begins.
   */
  told: Account | undefined = { sent: 0, received: 0 };
  seen: Account | undefined = { sent: 0, received: 0 };
  /** Address frames taken from a node of a group. */
  addressFrames = 0;
  /** Id of the next packet that is sent in parts, and parts that wait for their other. BOUNDED: PARTS_WAITING. */
  nextPart = 0;
  parts: WaitingPart[] = [];
  isConfirmed = false;
  isEnded = false;
  /** When the first data of the other side opened; undefined: nothing was heard on it. */
  heardAt: Instant | undefined;
  readonly #initiatorNodeId: Uint8Array;

  constructor(options: SessionOptions<Owner>) {
    this.peer = options.peer;
    this.psk = options.psk;
    this.isInitiator = options.isInitiator;
    this.localIndex = options.localIndex;
    this.remoteIndex = options.remoteIndex;
    this.born = options.born;
    this.stamp = options.stamp;
    this.node = options.node;
    this.path = options.path;
    this.sealSlot = options.sealSlot;
    this.openSlot = options.openSlot;
    this.#initiatorNodeId = options.isInitiator ? options.ownNodeId : options.node.nodeId;
  }

  /** Whether it may still seal and open: not ended, younger than 180 s. */
  isUsable(now: Instant): boolean {
    return !this.isEnded && now - this.born < REJECT_AFTER_MS;
  }

  /** Takes `count` consecutive counters; undefined when the limit would be passed. */
  takeCounters(count: number): number | undefined {
    const first = this.nextCounter;
    if (first + count > REJECT_AFTER_MESSAGES) return undefined;
    this.nextCounter = first + count;
    return first;
  }

  /**
   * Whether this session, confirmed later than `other`, is to be current in its place (rule 8).
   *
   * The newer one wins, but two handshakes that crossed are settled by the smaller node id of their
   * initiators, so that both ends choose the same. They crossed when they have opposite initiators,
   * were born within 10 s, and the younger was born before the older one was heard: a side that
   * starts anew on a session known to both (it restarted) is not crossing anything.
   */
  supersedes(other: SessionOf<Owner>): boolean {
    if (!this.#crosses(other)) return this.born >= other.born;
    return isSmaller(this.#initiatorNodeId, other.#initiatorNodeId);
  }

  /** Whether message row `base` came from an address that the handshake went through. */
  isOnPath(rows: Int32Array, base: number): boolean {
    return (
      isRowFrom(rows, base, this.path) ||
      this.otherPaths.some((path) => isRowFrom(rows, base, path))
    );
  }

  /** Wipes both keys. */
  end(aead: Pick<Aead, "wipe">): void {
    if (this.isEnded) return;
    this.isEnded = true;
    aead.wipe(this.sealSlot);
    aead.wipe(this.openSlot);
  }

  #crosses(other: SessionOf<Owner>): boolean {
    if (this.isInitiator === other.isInitiator) return false;
    if (Math.abs(this.born - other.born) > CROSSING_MS) return false;
    const [older, younger] = this.born < other.born ? [this, other] : [other, this];
    return older.heardAt === undefined || younger.born <= older.heardAt;
  }
}

function isSmaller(a: Uint8Array, b: Uint8Array): boolean {
  for (const [index, byte] of a.entries()) {
    const difference = byte - (b[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
