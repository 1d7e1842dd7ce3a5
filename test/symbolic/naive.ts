/**
 * The attacker without thought: every datagram that can be put together from fields of the right length.
 *
 * For the smallest settings alone. That it reaches nothing which the lazy intruder of attacker.ts does not
 * reach shows that what that one leaves out is without effect.
 */
import { OWN, sentFields } from "./attacker.ts";
import { FIELDS, fromParts, type MessageType, typeOf } from "./messages.ts";
import { nodeOf, power, type Term } from "./term.ts";
import type { Deliverer } from "./view.ts";

export const NAIVE: Deliverer = {
  recorded(sent) {
    const types = new Set(sent.map(typeOf));
    return [...types].flatMap((type) => everyDatagram(type, sent));
  },
  concerns: () => true,
};

/** Known values of the length of a field, wherever they were. */
export function valuesFor(type: MessageType, place: number, sent: readonly Term[]): Term[] {
  switch (FIELDS[type][place]) {
    case "index":
    case "senderIndex":
    case "receiverIndex":
      return [
        OWN.index,
        ...sentFields(sent, "INIT", "index"),
        ...sentFields(sent, "RESP", "senderIndex"),
      ];
    case "ephemeral":
      return [
        power(OWN.exponent),
        ...sentFields(sent, "INIT", "ephemeral"),
        ...sentFields(sent, "RESP", "ephemeral"),
      ];
    case "cookieMac":
    case "mac":
      return [
        OWN.bytes,
        ...sentFields(sent, "INIT", "mac"),
        ...sentFields(sent, "INIT", "cookieMac"),
        ...sentFields(sent, "RESP", "mac"),
      ];
    case "nonce":
      return [OWN.nonce, ...sentFields(sent, "CHALLENGE", "nonce")];
    case "sealed":
      return type === "INIT" || type === "RESP"
        ? [...sentFields(sent, "INIT", "sealed"), ...sentFields(sent, "RESP", "sealed")]
        : sentFields(sent, type, "sealed");
    default:
      return ofOneType(type, sent).flatMap((message) => nodeOf(message).parts[place] ?? []);
  }
}

function everyDatagram(type: MessageType, sent: readonly Term[]): Term[] {
  const names = FIELDS[type];
  const rows = names.reduce<Term[][]>(
    (all, _, place) => {
      const values = [...new Set(valuesFor(type, place, sent))];
      return all.flatMap((row) => values.map((value) => [...row, value]));
    },
    [[]],
  );
  return rows.map((row) => fromParts(type, row));
}

function ofOneType(type: MessageType, sent: readonly Term[]): Term[] {
  return sent.filter((message) => typeOf(message) === type);
}
