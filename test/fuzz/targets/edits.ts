/**
 * How the wire target makes plaintexts, counters and flows of the bytes of an operation.
 */
import { concat } from "../../helpers/packet-builder.ts";
import type { Reader } from "../engine/program.ts";
import type { Sealing } from "./holder.ts";
import { PLAINTEXTS, withHonestLength } from "./plaintexts.ts";

/** Edits of one plaintext. */
const MOST_EDITS = 6;

/** Mostly the next one; else far ahead, behind, or at a limit. */
export function nextCounter(sealing: Sealing, reader: Reader): number {
  const choice = reader.byte();
  const ahead = [1, 0, 100, 8_127, 8_129, -10, 2 ** 31, 2 ** 32, 2 ** 47][choice % 16] ?? 1;
  const counter = Math.min(Math.max(0, sealing.counter + ahead), 2 ** 48 - 1);
  if (choice % 16 < 6) sealing.counter = Math.max(counter, sealing.counter);
  return counter;
}

/** A plaintext to start from, and mostly honest about its length; what is left of the operation are edits of it. */
export function plaintextOf(reader: Reader): Uint8Array {
  const index = reader.byte();
  const isHonest = (reader.byte() & 3) > 0;
  let text: Uint8Array = (PLAINTEXTS[index % PLAINTEXTS.length] ?? new Uint8Array(0)).slice();
  for (let edits = 0; edits < MOST_EDITS && !reader.isAtEnd; edits += 1) {
    text = editedText(text, reader);
  }
  return isHonest && text.length > 0 ? withHonestLength(text) : text;
}

function editedText(text: Uint8Array, reader: Reader): Uint8Array {
  const how = reader.byte();
  const at = reader.byte() % (text.length + 1);
  if (how < 140) {
    const value = reader.byte();
    if (at < text.length) text[at] = how < 100 ? value : (text[at] ?? 0) ^ (1 << (value & 7));
    return text;
  }
  if (how < 190) return text.slice(0, at);
  if (how < 220) return concat(text, reader.bytes(how - 180));
  if (how < 225) return concat(text, new Uint8Array(40 * (how - 219)));
  return concat(text.subarray(0, at), reader.bytes(how - 224), text.subarray(at));
}

/** Turns one bit over. */
export function spoil(bytes: Uint8Array, choice: number): void {
  const at = choice % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
}

/** The next packet of a flow: IPv4 id and TCP sequence number counted on as the choice says. */
export function stepped(first: Uint8Array, index: number, steps: number): Uint8Array {
  const text = first.slice();
  const view = new DataView(text.buffer);
  const version = ((text[0] ?? 0) & 0x7f) >> 4;
  const transport = version === 6 ? 40 : 20;
  if (version === 4 && steps & 1 && text.length >= 20)
    view.setUint16(4, (view.getUint16(4) + index) & 0xffff);
  const isTcp = text[version === 6 ? 6 : 9] === 6;
  if (isTcp && steps & 2 && text.length >= transport + 20) {
    const header = (view.getUint8(transport + 12) >> 4) * 4;
    const payload = Math.max(0, text.length - transport - header);
    view.setUint32(transport + 4, (view.getUint32(transport + 4) + index * payload) >>> 0);
  }
  return text;
}
