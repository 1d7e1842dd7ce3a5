/**
 * The model and the real core side by side: every input is given to both, and whatever they say is compared.
 *
 * Compared are the datagrams sent, byte by byte with the bytes of their terms; the reason of a drop; the
 * Diffie-Hellmans; and the slots of the sessions. A difference is an error of one of the two.
 */
import { ipBytes, type SocketAddress } from "../helpers/address.ts";
import { Random } from "../helpers/random.ts";
import { joined } from "../sim/twin-crypto.ts";
import { OWN } from "./attacker.ts";
import type { Break } from "./attacks.ts";
import { Evaluator } from "./evaluate.ts";
import { booted, contextsOf } from "./explore.ts";
import { type Context, cookieSecret, type HostState, NEW_HOST, type Step } from "./host.ts";
import { nextStamp } from "./initiate.ts";
import { FIELDS, type MessageType, typeOf } from "./messages.ts";
import type { Move } from "./moves.ts";
import { RealHost, type RealStep } from "./real-host.ts";
import { step } from "./receive.ts";
import type { Rules } from "./rules.ts";
import { addressOf, EVE, MEMBER, PSK, type Setting } from "./setting.ts";
import { isKind, nodeOf, type Term } from "./term.ts";

/** Where the hosts of a setting are, and Eve. */
const ADDRESSES: readonly SocketAddress[] = [
  { ip: "192.0.2.1", port: 1194 },
  { ip: "198.51.100.1", port: 1194 },
];
const EVE_ADDRESS: SocketAddress = { ip: "203.0.113.66", port: 6666 };

export class Lockstep {
  readonly bytes = new Evaluator();
  readonly states: HostState[];
  readonly contexts: readonly Context[];
  /** How the hosts differ from the start; undefined: they do not. */
  readonly startDifference: string | undefined;
  readonly #reals: readonly RealHost[];
  readonly #addresses = new Map<Term, SocketAddress>();

  /** Two hosts; `broken` takes the rule out of the core that `rules` take out of the model. */
  constructor(setting: Setting, rules: Rules, seed: number, broken: Break = {}) {
    const random = new Random(seed);
    this.contexts = contextsOf(setting, rules);
    this.#bindNames(setting, random);
    const psk = this.bytes.bytesOf(PSK);
    this.#reals = setting.hosts.map((spec, at) => {
      const [own, other] = at === 0 ? ADDRESSES : ADDRESSES.toReversed();
      if (own === undefined || other === undefined) throw new Error("two hosts");
      const nodeId = this.bytes.bytesOf(spec.nodeId);
      const stamp = nextStamp(NEW_HOST, false);
      return new RealHost({ spec, stamp, nodeId, psk, own, other, seed: random.uint32(), broken });
    });
    this.states = this.contexts.map((context) => booted(context));
    this.startDifference = this.#reals
      .map((real, at) => this.#compareStart(at, real.takeSent()))
      .find((difference) => difference !== undefined);
  }

  /** Takes the step on both sides; returns how they differ, or undefined. */
  take({ at, input }: Move): { readonly step: Step; readonly difference: string | undefined } {
    const [context, before, real] = [this.contexts[at], this.states[at], this.#reals[at]];
    if (!context || !before || !real) throw new Error(`no host ${at}`);
    const modelled = step(context, before, input);
    this.states[at] = modelled.state;
    const taken = this.#takeReal(real, before, input);
    this.#bindDrawn(at, modelled, taken.sent);
    const difference = this.#compare(at, modelled, taken);
    return { step: modelled, difference };
  }

  #takeReal(real: RealHost, before: HostState, input: Move["input"]): RealStep {
    switch (input.kind) {
      case "start":
        return real.start(nextStamp(before, before.isClockOld));
      case "restart":
        return real.restart(nextStamp(before, input.isClockOld));
      case "deliver": {
        const from = this.#addresses.get(input.source) ?? EVE_ADDRESS;
        return real.deliver(this.bytes.bytesOf(input.message), from);
      }
      case "expire":
        return real.expire();
      case "forget":
        throw new Error("ten minutes pass in the model alone");
    }
  }

  #compare(at: number, modelled: Step, taken: RealStep): string | undefined {
    if (!isSameReason(modelled.reason, taken.reason)) {
      return `${taken.reason ?? "taken"}, modelled ${modelled.reason ?? "taken"}`;
    }
    const work = modelled.events.filter(({ kind }) => kind === "diffie-hellman").length;
    if (work !== taken.work) return `${taken.work} Diffie-Hellmans, modelled ${work}`;
    const { length } = modelled.sent;
    if (length !== taken.sent.length) return `sent ${taken.sent.length}, modelled ${length}`;
    const expected = modelled.sent.map((message) => hex(this.bytes.bytesOf(message)));
    const sent = taken.sent.map(hex);
    if (expected.join() !== sent.join()) return `sent ${sent}, modelled ${expected}`;
    const slots = this.#slots(at);
    const sessions = this.#reals[at]?.sessions() ?? [];
    return slots.join() === sessions.join() ? undefined : `has ${sessions}, modelled ${slots}`;
  }

  #slots(at: number): string[] {
    const sessions = this.states[at]?.sessions ?? [];
    return sessions
      .map(({ slot, isInitiator }) => `${slot} ${isInitiator ? "initiator" : "responder"}`)
      .toSorted();
  }

  #compareStart(at: number, sent: readonly Uint8Array[]): string | undefined {
    const state = this.states[at];
    if (state === undefined) throw new Error(`no host ${at}`);
    const start = { state, sent: state.sent, events: [], reason: undefined };
    this.#bindDrawn(at, start, sent);
    return this.#compare(at, start, { sent, reason: undefined, work: 0 });
  }

  /** What a host drew in a step: read from its datagrams, its key pairs, its clock and its cookies. */
  #bindDrawn(at: number, { state, sent }: Step, datagrams: readonly Uint8Array[]): void {
    const [context, real] = [this.contexts[at], this.#reals[at]];
    if (context === undefined || real === undefined) return;
    const secret = real.cookieSecret;
    if (secret !== undefined) this.bytes.bind(cookieSecret(context, state), secret);
    for (const [index, message] of sent.entries()) {
      this.#bindFields(real, message, datagrams[index] ?? new Uint8Array(0));
    }
  }

  #bindFields(real: RealHost, message: Term, bytes: Uint8Array): void {
    let offset = 0;
    for (const [place, name] of FIELDS[typeOf(message)].entries()) {
      const size = sizeOf(typeOf(message), name);
      const value = bytes.subarray(offset, offset + size);
      const field = nodeOf(message).parts[place];
      offset += size;
      if (field === undefined) continue;
      if (isKind(field, "fresh") && !this.bytes.isBound(field)) this.bytes.bind(field, value);
      const [exponent] = isKind(field, "power") ? nodeOf(field).parts : [];
      const pair = real.keyPairs.find(({ publicKey }) => hex(publicKey) === hex(value));
      if (exponent !== undefined && pair !== undefined) this.bytes.bind(exponent, pair.secretKey);
    }
  }

  #bindNames({ hosts }: Setting, random: Random): void {
    this.bytes.bind(PSK, random.bytes(32));
    this.bytes.bind(OWN.exponent, random.bytes(32));
    this.bytes.bind(OWN.index, random.bytes(4));
    this.bytes.bind(OWN.nonce, random.bytes(24));
    this.bytes.bind(OWN.bytes, random.bytes(16));
    for (const [rank, nodeId] of [MEMBER, ...hosts.map((host) => host.nodeId)].entries()) {
      this.bytes.bind(nodeId, joined([Uint8Array.of(rank), random.bytes(15)]));
    }
    const places = [...hosts.map(addressOf), EVE];
    for (const [at, place] of places.entries()) {
      const address = at < hosts.length ? (ADDRESSES[at] ?? EVE_ADDRESS) : EVE_ADDRESS;
      this.#addresses.set(place, address);
      const port = Uint8Array.of(address.port & 0xff, address.port >> 8);
      this.bytes.bind(place, joined([ipBytes(address.ip), port]));
    }
  }
}

/** Bytes of a field, written out from docs/protocol.md §3; of DATA, whose text is the rest, up to it. */
function sizeOf(type: MessageType, field: string): number {
  if (field === "sealed") return type === "CHALLENGE" ? 32 : 48;
  return FIELD_BYTES[field] ?? 4;
}

/** Of those that are not 4 bytes long, as a head and an index are. */
const FIELD_BYTES: Readonly<Record<string, number>> = {
  ephemeral: 32,
  cookieMac: 16,
  mac: 16,
  nonce: 24,
  counter: 8,
};

/** The core remembers an own INIT that came back, and has another word for it the second time. */
function isSameReason(modelled: string | undefined, real: string | undefined): boolean {
  return modelled === real || (modelled === "own_node" && real === "replayed_init");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
