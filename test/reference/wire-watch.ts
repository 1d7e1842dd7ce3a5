/**
 * What must hold whatever the model says: read from datagrams and deliveries alone.
 *
 * Each inner packet comes out of a host at most once; nothing is sealed under a session that is 180 s old;
 * an INIT draws at most four answers of one host in ten minutes; every INIT has an ephemeral and an index of its own, and what
 * is sent again is the same to the byte. Nonces are the ledger's part (test/sim/twin-aead.ts).
 */
import type { InitSent, Packet, RespSent, Sent } from "./model/records.ts";
import { Violation } from "./violation.ts";

const REJECT_MS = 180_000;
/** The first answer and three repetitions, and how long an INIT is remembered. */
const ANSWERS = 4;
const REMEMBERED_MS = 600_000;

export class WireWatch {
  readonly #delivered = new Map<string, Set<number>>();
  /** When an INIT with an index left first, and its bytes up to the cookie. */
  readonly #inits = new Map<number, { readonly at: number; readonly bytes: Uint8Array }>();
  readonly #resps = new Map<RespSent, { readonly at: number; readonly bytes: Uint8Array }>();
  readonly #ephemerals = new Set<string>();
  /** By the run of a host that answered. */
  readonly #answers = new Map<object, Map<InitSent, number[]>>();

  /** A packet came out of a host's tunnel. */
  delivered(host: string, { number }: Packet): void {
    const numbers = this.#delivered.get(host) ?? new Set();
    this.#delivered.set(host, numbers);
    if (numbers.has(number)) throw new Violation("once", `packet ${number} twice at ${host}`);
    numbers.add(number);
  }

  /** A host sent a datagram; `run` stands for the time from its start to its end. */
  sent(now: number, run: object, bytes: Uint8Array, sent: Sent): void {
    if (sent.kind === "init") this.#init(now, bytes, sent);
    else if (sent.kind === "data") this.#data(now, sent.session, sent.isByInitiator);
    else {
      this.#countAnswer(now, run, sent.init);
      if (sent.kind === "resp") this.#resp(now, bytes, sent);
    }
  }

  /** How old a session is for one of its ends. */
  #data(now: number, session: RespSent, isByInitiator: boolean): void {
    const since = isByInitiator
      ? this.#inits.get(session.init.index)?.at
      : this.#resps.get(session)?.at;
    const age = now - (since ?? Number.NEGATIVE_INFINITY);
    // The stations' clocks have an origin of their own, which costs the last digits.
    if (age >= REJECT_MS + 0.001) throw new Violation("age", `data on a session of ${age} ms`);
  }

  #init(at: number, bytes: Uint8Array, { index }: InitSent): void {
    const known = this.#inits.get(index);
    const head = bytes.slice(0, 88);
    if (known !== undefined) {
      if (Buffer.compare(known.bytes, head) !== 0) {
        throw new Violation("resend", "an INIT with a cookie differs before the cookie");
      }
      return;
    }
    const ephemeral = Buffer.from(bytes.buffer, bytes.byteOffset + 8, 32).toString("latin1");
    if (this.#ephemerals.has(ephemeral)) throw new Violation("fresh", "an ephemeral key twice");
    this.#ephemerals.add(ephemeral);
    this.#inits.set(index, { at, bytes: head });
  }

  #resp(at: number, bytes: Uint8Array, sent: RespSent): void {
    const known = this.#resps.get(sent);
    if (known === undefined) this.#resps.set(sent, { at, bytes });
    else if (Buffer.compare(known.bytes, bytes) !== 0) {
      throw new Violation("resend", "a repeated RESP differs from the first");
    }
  }

  #countAnswer(now: number, run: object, init: InitSent): void {
    const ofRun = this.#answers.get(run) ?? new Map<InitSent, number[]>();
    this.#answers.set(run, ofRun);
    const times = [...(ofRun.get(init) ?? []), now];
    ofRun.set(init, times);
    const before = times.at(-1 - ANSWERS);
    if (before !== undefined && now - before < REMEMBERED_MS) {
      throw new Violation("answers", `an INIT drew more than ${ANSWERS} answers`);
    }
  }
}
