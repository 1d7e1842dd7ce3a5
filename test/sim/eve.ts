/**
 * Eve: sees every datagram on the public side, keeps copies, and can send anything from anywhere.
 *
 * She holds no key. `withhold` lets her sit in the path and take datagrams out; what she injects
 * arrives at once and is not recorded, so her records are what the hosts themselves sent. The trap:
 * records are copies, because hosts reuse their buffers.
 */
import type { Instant } from "../../src/core/time.ts";
import type { SocketAddress } from "../helpers/address.ts";
import { typeOf } from "../helpers/wire-view.ts";

/** A datagram on its way. */
export interface Datagram {
  /** When it was sent. */
  readonly at: Instant;
  /** Name of the host that sent it, or "eve". */
  readonly by: string;
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly bytes: Uint8Array;
  /** The hop limit that its sender asked for; 0 or absent: the kernel's default. */
  readonly hops?: number;
  /** TOS or traffic class; 0 if absent. */
  readonly tos?: number;
}

/** Eve's own address; no host lives there. */
export const EVE: SocketAddress = { ip: "203.0.113.66", port: 6666 };

/** What Eve needs of the world. */
export interface EveGround {
  readonly now: Instant;
  arrive(datagram: Datagram): void;
}

/** The attacker on the path. */
export class Eve {
  readonly #ground: EveGround;
  /** Every datagram that a host sent, oldest first. */
  readonly seen: Datagram[] = [];
  /** True takes a datagram out of the path; it is still recorded. */
  withhold: (datagram: Datagram) => boolean = () => false;
  /** False stops recording, for long runs. */
  isRecording = true;

  constructor(ground: EveGround) {
    this.#ground = ground;
  }

  /** Records a datagram; answers whether it goes on. */
  pass(datagram: Datagram): boolean {
    if (this.isRecording) this.seen.push(datagram);
    return !this.withhold(datagram);
  }

  /** A mark for `since`. */
  mark(): number {
    return this.seen.length;
  }

  /** What hosts sent after `mark`, of one message type if given. */
  since(mark: number, type?: number): Datagram[] {
    const later = this.seen.slice(mark);
    return type === undefined ? later : later.filter(({ bytes }) => typeOf(bytes) === type);
  }

  /** Recorded datagrams of one host and type. */
  sentBy(host: string, type?: number): Datagram[] {
    return this.seen.filter(
      ({ by, bytes }) => by === host && (type === undefined || typeOf(bytes) === type),
    );
  }

  /** The last recorded datagram of a host and type. */
  last(host: string, type: number): Datagram {
    const found = this.sentBy(host, type).at(-1);
    if (found === undefined) throw new Error(`${host} sent no datagram of type ${type}`);
    return found;
  }

  /** Sends bytes with any source address. */
  inject(to: SocketAddress, bytes: Uint8Array, from: SocketAddress = EVE): void {
    this.#ground.arrive({ at: this.#ground.now, by: "eve", from, to, bytes: bytes.slice() });
  }

  /** Sends a recorded datagram again, where it went, from its source or another. */
  replay(datagram: Datagram, from: SocketAddress = datagram.from): void {
    this.inject(datagram.to, datagram.bytes, from);
  }

  /** Sends a recorded datagram back to its sender, from the address that it was for. */
  reflect(datagram: Datagram): void {
    this.inject(datagram.from, datagram.bytes, datagram.to);
  }
}
