/**
 * What an eavesdropper on the path knows: handshakes and data of a live session, and what can be made of them.
 */
import { randomBytes } from "node:crypto";
import { type Datagram, readDatagrams, startCapture } from "../../scripts/netns/capture.ts";
import { ADDRESSES, type Pair, PORT } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { TYPE } from "../helpers/wire-view.ts";
import { rekey } from "./flood-lab.ts";

const HEADER_BYTES = 16;
const COUNTER = 8;
/** Far ahead of what a session counts up to in a test. */
const AHEAD = 0x4000_0000;

export interface Overheard {
  /** Of the newest session: the last INIT and DATA from the left, RESP and CHALLENGE from the right. */
  readonly init: Buffer;
  readonly data: Buffer;
  readonly resp: Buffer;
  /** All that was captured. */
  readonly datagrams: readonly Datagram[];
}

/** Listens on the right site's wire while a new session starts and carries a few packets. */
export async function overhear(pair: Pair): Promise<Overheard> {
  const capture = await startCapture(pair.right.host, "eth0", { filter: `udp port ${PORT}` });
  await rekey(pair);
  await ping(pair.left.host, ADDRESSES.right.inner4, 5);
  await capture.stop();
  const datagrams = readDatagrams(capture.file);
  const last = (address: string, type: number): Buffer => {
    const isIt = ({ source, payload }: Datagram) =>
      source.join(".") === address && payload[0] === type;
    const found = datagrams.findLast(isIt)?.payload;
    if (found === undefined) throw new Error(`nothing of type ${type} from ${address}`);
    return Buffer.from(found);
  };
  const { left, right } = ADDRESSES;
  return {
    init: last(left.outer4, TYPE.INIT),
    data: last(left.outer4, TYPE.DATA),
    resp: last(right.outer4, TYPE.RESP),
    datagrams,
  };
}

/** The beginning of DATA for the live session, with a counter that was not seen yet. */
export function liveHeader({ data }: Overheard): Buffer {
  const header = Buffer.from(data.subarray(0, HEADER_BYTES));
  header.writeUInt32LE(AHEAD, COUNTER);
  return header;
}

/** The beginning of an INIT that bears the right hint. */
export function hintedInit({ init }: Overheard): Buffer {
  return Buffer.from(init.subarray(0, 4));
}

/** A file of datagrams as flood.c reads it. */
export function datagramFile(datagrams: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    datagrams.flatMap((bytes) => [Uint8Array.of(bytes.length & 0xff, bytes.length >> 8), bytes]),
  );
}

/** `bytes`, cut to a length, or made longer by random ones. */
export function stretched(bytes: Uint8Array, length: number): Buffer {
  return Buffer.concat([bytes, randomBytes(Math.max(0, length - bytes.length))]).subarray(
    0,
    length,
  );
}
