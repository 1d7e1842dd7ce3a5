/**
 * The known attacks that the protocol was built against: the rule each is stopped by, a setting in which it
 * works without that rule, and the same rule taken out of the real core by its primitives or configuration.
 *
 * In traces `INIT A2` is the second INIT that A sent; a resend with a cookie counts as one.
 */
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import type { DropReason } from "../../src/core/drop-reason.ts";
import { joined } from "../sim/twin-crypto.ts";
import type { HostSpec } from "./host.ts";
import type { Property } from "./properties.ts";
import { type Rules, without } from "./rules.ts";
import { CLIENT, SERVER, type Setting, SITE, setting } from "./setting.ts";
import { FEW } from "./settings.ts";

/** A rule taken out of a real core. */
export interface Break {
  /** Primitives that the rule does not work with. */
  readonly replaced?: (crypto: HandshakeCrypto, nodeId: Uint8Array) => HandshakeCrypto;
  /** floors.ts keeps the last stamp that was confirmed, not the highest. */
  readonly floorsFall?: true;
  /** Hosts that are configured as a group's hub. */
  readonly isHub?: (host: HostSpec) => boolean;
}

export interface Attack {
  readonly name: string;
  readonly rules: Rules;
  readonly setting: Setting;
  readonly breaks: Property;
  /** A shortest way there. */
  readonly trace: readonly string[];
  /** How the protocol refuses its last step. */
  readonly refusal: DropReason;
  readonly broken: Break;
}

const INIT_MAC_COVERS = 104;
const RESP_MAC_COVERS = 92;

/** No node ids are compared: what a host sends comes back and is answered. */
export const REFLECTION = attack("own node ids are not refused", without("refusesOwnNode"), {
  hosts: [CLIENT, CLIENT],
  breaks: "own node",
  refusal: "own_node",
  trace: [
    "A gets INIT A1: challenged, sends CHALLENGE A1",
    "A gets CHALLENGE A1: sends INIT A2",
    "A gets INIT A2: diffie-hellman, sends RESP A1",
    "A gets RESP A1: diffie-hellman, confirmed, sends DATA A1",
  ],
  broken: {
    replaced: (crypto, nodeId) => ({
      ...crypto,
      equal: (a, b) => !(isSame(a, nodeId) && isSame(b, nodeId)) && crypto.equal(a, b),
    }),
  },
});

/** Whoever sees an INIT makes others of it, each of which is answered: C1 is gone. */
export const SPLICE = attack("INIT.mac leaves cookie_mac out", without("initMacCoversCookie"), {
  hosts: [CLIENT, SERVER],
  breaks: "origin",
  refusal: "bad_mac",
  trace: ["B gets INIT A1 with cookieMac of attacker bytes: challenged, sends CHALLENGE B1"],
  broken: {
    replaced: (crypto) => ({
      ...crypto,
      blake2b: (length, parts, key) =>
        isMacOver(length, parts, INIT_MAC_COVERS)
          ? crypto.blake2b(length, [joined(parts).subarray(0, 88)], key)
          : crypto.blake2b(length, parts, key),
    }),
  },
});

/**
 * An INIT and its resend with a cookie have one index, ephemeral and transcript, so a RESP to the first is
 * taken for the second, and the initiator is in a session that the responder lost when it restarted.
 */
export const UNBOUND = attack("RESP.mac leaves INIT.mac out", without("respMacCoversInit"), {
  hosts: [
    { ...CLIENT, bounds: { inits: 2, rekeys: true } },
    { ...SERVER, bounds: { restarts: 1 } },
  ],
  breaks: "agreement",
  refusal: "bad_mac",
  trace: [
    "B gets INIT A1: challenged, sends CHALLENGE B1",
    "A gets CHALLENGE B1: sends INIT A2",
    "B gets INIT A2: diffie-hellman, sends RESP B1",
    "A gets RESP B1: diffie-hellman, confirmed, sends DATA A1",
    "A starts: sends INIT A3",
    "B gets INIT A3: diffie-hellman, sends RESP B2",
    "B restarts: takes it",
    "B gets INIT A3: challenged, sends CHALLENGE B2",
    "A gets CHALLENGE B2: sends INIT A4",
    "A gets RESP B2: diffie-hellman, confirmed, sends DATA A2",
  ],
  broken: {
    replaced: (crypto) => ({
      ...crypto,
      blake2b: (length, parts, key) =>
        isMacOver(length, parts, RESP_MAC_COVERS + 16)
          ? crypto.blake2b(length, [joined(parts).subarray(0, RESP_MAC_COVERS)], key)
          : crypto.blake2b(length, parts, key),
    }),
  },
});

/** With the index free too, every recorded RESP costs a Diffie-Hellman for every INIT that waits. */
export const LOOSE = attack(
  "RESP.mac leaves INIT.mac and receiver_index out",
  without("respMacCoversInit", "respMacCoversIndex"),
  {
    hosts: [{ ...CLIENT, bounds: { inits: 2 } }, SERVER],
    breaks: "work",
    refusal: "bad_mac",
    trace: [
      "A starts: sends INIT A2",
      "B gets INIT A1: challenged, sends CHALLENGE B1",
      "A gets CHALLENGE B1: sends INIT A3",
      "B gets INIT A3: diffie-hellman, sends RESP B1",
      "A gets RESP B1 with receiverIndex of INIT A2: handshake_failed, diffie-hellman",
    ],
    broken: {
      replaced: (crypto) => ({
        ...crypto,
        blake2b: (length, parts, key) =>
          isMacOver(length, parts, RESP_MAC_COVERS + 16)
            ? crypto.blake2b(length, withoutReceiver(joined(parts)), key)
            : crypto.blake2b(length, parts, key),
      }),
    },
  },
);

/** An outsider takes a site's INIT to another site; both think that they speak to the hub. */
export const JOINED = attack("sites answer INITs", without("sitesDropInits"), {
  hosts: [SITE, { ...SITE, starts: false }],
  breaks: "roles",
  refusal: "site_init",
  trace: [
    "B gets INIT A1: challenged, sends CHALLENGE B1",
    "A gets CHALLENGE B1: sends INIT A2",
    "B gets INIT A2: diffie-hellman, sends RESP B1",
    "A gets RESP B1: diffie-hellman, confirmed, sends DATA A1",
  ],
  broken: { isHub: ({ starts }) => !starts },
});

/** After a reboot with an old clock an INIT that was recorded before is answered. */
export const FALLEN = attack("a floor falls", without("floorsNeverFall"), {
  hosts: [{ ...CLIENT, bounds: { inits: 3, restarts: 1 } }, SERVER],
  breaks: "work",
  refusal: "challenged",
  trace: [
    "A starts: sends INIT A2",
    "B gets INIT A2: challenged, sends CHALLENGE B1",
    "A gets CHALLENGE B1: sends INIT A3",
    "B gets INIT A3: diffie-hellman, sends RESP B1",
    "A gets RESP B1: diffie-hellman, confirmed, sends DATA A1",
    "A restarts with an old clock: sends INIT A4",
    "B gets DATA A1: confirmed, data, sends DATA B1",
    "B gets INIT A4: challenged, sends CHALLENGE B2",
    "A gets CHALLENGE B2: sends INIT A5",
    "B gets INIT A5: diffie-hellman, sends RESP B2",
    "A gets RESP B2: diffie-hellman, confirmed, sends DATA A2",
    "B gets DATA A2: confirmed, data, sends DATA B2",
    "B gets INIT A1: diffie-hellman, sends RESP B3",
  ],
  broken: { floorsFall: true },
});

export const ATTACKS: readonly Attack[] = [REFLECTION, SPLICE, UNBOUND, LOOSE, JOINED, FALLEN];

interface AttackOptions extends Omit<Attack, "name" | "rules" | "setting"> {
  readonly hosts: Parameters<typeof setting>[1];
}

function attack(name: string, rules: Rules, { hosts, ...rest }: AttackOptions): Attack {
  const options = { bounds: FEW, spoofs: false };
  return { name, rules, setting: setting(name, hosts, rules, options), ...rest };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Macs of INIT and RESP alone are over this many bytes. */
function isMacOver(length: number, parts: readonly Uint8Array[], covered: number): boolean {
  return length === 16 && joined(parts).length === covered;
}

function withoutReceiver(covered: Uint8Array): Uint8Array[] {
  return [covered.subarray(0, 8), covered.subarray(12, RESP_MAC_COVERS)];
}
