/**
 * What the attacker can deliver that a host could take (a lazy intruder): nothing else is tried.
 *
 * Every field of a message is covered by a mac or a seal under a key that an outsider lacks, so of what a
 * host takes an outsider has nothing but what was sent, with other values in fields that are not covered
 * ("loose"). A member has the key: it makes INITs and CHALLENGEs of its own, RESPs with its own ephemeral
 * (of another it lacks the shared secret), puts a new mac on what others made, and seals data under keys
 * that it has a part in. `naive.ts` tries everything, to show that nothing is missed here.
 */
import type { HostState } from "./host.ts";
import { Knowledge } from "./knowledge.ts";
import {
  challengeText,
  cookieMacOf,
  datagram,
  EMPTY,
  type Fields,
  fieldsOf,
  initHead,
  initMac,
  initText,
  type Key,
  keepalive,
  type MessageType,
  NO_COOKIE,
  noiseFirst,
  noiseSeal,
  noiseSecond,
  plainHead,
  respMac,
  respText,
  sharedSecret,
  typeOf,
} from "./messages.ts";
import type { Rules } from "./rules.ts";
import { MEMBER, PSK, type Setting } from "./setting.ts";
import { isKind, nodeOf, power, publicName, type Term } from "./term.ts";

/** Values of the attacker's own. */
export const OWN = {
  exponent: publicName("attacker exponent"),
  index: publicName("attacker index"),
  nonce: publicName("attacker nonce"),
  bytes: publicName("attacker bytes"),
} as const;

/** Stamps above and below every honest one. */
export const HIGH_STAMP = 1000;
export const LOW_STAMP = -1;

export class Attacker {
  readonly #setting: Setting;
  readonly #rules: Rules;

  constructor(setting: Setting, rules: Rules) {
    this.#setting = setting;
    this.#rules = rules;
  }

  /** What is known when the hosts have sent what they sent; `extra` is told besides. */
  knowledge(sent: Iterable<Term>, ...extra: Term[]): Knowledge {
    const key = this.#setting.attacker === "member" ? [PSK] : [];
    return new Knowledge([...key, ...extra, ...sent]);
  }

  /** Datagrams that were sent, and those that differ from one in loose fields. */
  recorded(sent: readonly Term[]): Term[] {
    return [...new Set(sent.flatMap((message) => this.#spliced(message, sent)))];
  }

  /** All but INITs are dropped first thing where the receiver's index is unknown. */
  concerns(state: HostState, message: Term): boolean {
    if (typeOf(message) === "INIT") return true;
    const { attempt, sessions } = state;
    const receiver = receiverOf(message);
    const pendings = attempt?.pendings ?? [];
    return (
      pendings.some(({ index }) => index === receiver) ||
      sessions.some(({ localIndex }) => localIndex === receiver)
    );
  }

  /** INITs that a member makes; `known` has the cookies that it can read. */
  inits(known: Knowledge, sent: readonly Term[]): Term[] {
    const cookies = cookiesIn(known);
    const honest = ofType("INIT", sent);
    const ephemerals = [power(OWN.exponent), ...honest.map(({ ephemeral }) => ephemeral)];
    const bodies = [...new Set(ephemerals)].flatMap((ephemeral) => [
      ...this.#named(ephemeral, HIGH_STAMP, MEMBER, cookies),
      ...this.#setting.hosts.flatMap(({ nodeId }) => [
        ...this.#named(ephemeral, HIGH_STAMP, nodeId, cookies),
        ...this.#named(ephemeral, LOW_STAMP, nodeId, cookies),
      ]),
    ]);
    const others = honest.flatMap((body) =>
      [undefined, ...cookies].map((cookie) => this.#signed(body, cookie)),
    );
    return [...new Set([...bodies, ...others])].filter((message) => !sent.includes(message));
  }

  /** What a member makes for one host alone: answers to its INITs, and data under keys that are known. */
  answers(known: Knowledge, sent: readonly Term[], { attempt, sessions }: HostState): Term[] {
    const pendings = (attempt?.pendings ?? []).map(({ init }) => fieldsOf("INIT", init));
    const cookies = pendings.length > 0 ? cookiesIn(known) : [];
    const resps = pendings.flatMap((init) => this.#answersTo(init, sent));
    return [
      ...resps.filter((message) => !sent.includes(message)),
      ...pendings.flatMap((init) => this.#challenges(init, cookies)),
      ...sessions
        .filter(({ openKey }) => known.derives(openKey))
        .map(({ openKey, localIndex }) => keepalive(openKey, localIndex)),
    ];
  }

  #spliced(message: Term, sent: readonly Term[]): Term[] {
    const type = typeOf(message);
    if (type === "INIT" && !this.#rules.initMacCoversCookie) {
      const init = fieldsOf("INIT", message);
      const values = [NO_COOKIE, OWN.bytes, ...sentFields(sent, "INIT", "cookieMac")];
      return [message, ...values.map((cookieMac) => datagram("INIT", { ...init, cookieMac }))];
    }
    if (type === "RESP" && !this.#rules.respMacCoversIndex) {
      const resp = fieldsOf("RESP", message);
      const indices = sentFields(sent, "INIT", "index");
      const spliced = indices.map((receiverIndex) => datagram("RESP", { ...resp, receiverIndex }));
      return [message, ...spliced];
    }
    return [message];
  }

  /** An INIT before its macs, with the attacker's index. */
  #body(ephemeral: Term, stamp: number, nodeId: Term): InitBody {
    const key = this.#key;
    const head = initHead(key);
    const { index } = OWN;
    const noise = noiseFirst(this.#rules, key, { head, index, ephemeral });
    return { head, index, ephemeral, sealed: noiseSeal(noise, initText(stamp, nodeId)) };
  }

  /** INITs in a node's name: without a cookie, and with each that was given for this node. */
  #named(ephemeral: Term, stamp: number, nodeId: Term, cookies: readonly Term[]): Term[] {
    const body = this.#body(ephemeral, stamp, nodeId);
    const fitting = cookies.filter((cookie) => nodeOf(cookie).parts.includes(nodeId));
    return [undefined, ...fitting].map((cookie) => this.#signed(body, cookie));
  }

  #signed(body: InitBody, cookie: Term | undefined): Term {
    const { head, index, ephemeral, sealed } = body;
    const cookieMac = cookie === undefined ? NO_COOKIE : cookieMacOf(cookie, body);
    const covered = { head, index, ephemeral, sealed, cookieMac };
    const mac = initMac(this.#rules, this.#key, covered);
    return datagram("INIT", { ...covered, mac });
  }

  /** RESPs to an INIT: of its own in any name, and honest ones under a mac that fits. */
  #answersTo(init: Fields<"INIT">, sent: readonly Term[]): Term[] {
    const honest = ofType("RESP", sent).filter((resp) => resp.receiverIndex === init.index);
    return [...this.#respBodies(init), ...honest].map((body) =>
      datagram("RESP", { ...body, mac: respMac(this.#rules, this.#key, body, init.mac) }),
    );
  }

  #respBodies(init: Fields<"INIT">): readonly RespBody[] {
    const own = power(OWN.exponent);
    const shared = sharedSecret(OWN.exponent, init.ephemeral);
    const first = noiseFirst(this.#rules, this.#key, init);
    const names = [MEMBER, ...this.#setting.hosts.map(({ nodeId }) => nodeId)];
    return (shared === undefined ? [] : names).map((name) => ({
      head: plainHead("RESP"),
      senderIndex: OWN.index,
      receiverIndex: init.index,
      ephemeral: own,
      sealed: noiseSeal(
        noiseSecond(this.#rules, first, init.sealed, own, shared ?? own),
        respText(OWN.index, init.index, name),
      ),
    }));
  }

  /** CHALLENGEs to an INIT with a made-up cookie, or one that was given for another. */
  #challenges({ index, mac }: Fields<"INIT">, cookies: readonly Term[]): Term[] {
    return [OWN.bytes, ...cookies].map((cookie) =>
      datagram("CHALLENGE", {
        head: plainHead("CHALLENGE"),
        receiverIndex: index,
        nonce: OWN.nonce,
        sealed: challengeText(this.#key, OWN.nonce, mac, cookie),
      }),
    );
  }

  /** A member's key is the hosts'. */
  get #key(): Key {
    const [host] = this.#setting.hosts;
    if (host === undefined) throw new Error("a setting without hosts");
    return host.key;
  }
}

type InitBody = Omit<Fields<"INIT">, "cookieMac" | "mac">;
type RespBody = Omit<Fields<"RESP">, "mac">;

function receiverOf(message: Term): Term {
  const type = typeOf(message);
  return type === "INIT" ? EMPTY : fieldsOf(type, message).receiverIndex;
}

function cookiesIn(known: Knowledge): Term[] {
  return [...known.terms].filter((term) => isKind(term, "oneWay", "cookie"));
}

function ofType<T extends MessageType>(type: T, sent: readonly Term[]): Fields<T>[] {
  return sent
    .filter((message) => typeOf(message) === type)
    .map((message) => fieldsOf(type, message));
}

/** Values of a field in the datagrams of one type. */
export function sentFields<T extends MessageType>(
  sent: readonly Term[],
  type: T,
  name: keyof Fields<T>,
): Term[] {
  return [...new Set(ofType(type, sent).map((fields) => fields[name]))];
}
