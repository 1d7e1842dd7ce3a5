/**
 * The plain twin of the addon's OPENED_ALIKE: what cutting would have made of a packet, built and compared.
 */

/** How many of `plaintexts`, all of one length, cutting one super-packet would have made from the first on. */
export function alikeOf(plaintexts: readonly Uint8Array[]): number {
  const [first, second] = plaintexts;
  if (first === undefined || second === undefined) return plaintexts.length;
  const headers = headersOf(first);
  if (headers === undefined) return 1;
  const idStep = headers.isV6 ? 0 : stepOf(first, second);
  if (idStep === undefined) return 1;
  const others = plaintexts.findIndex(
    (packet, index) => !isSame(packet, nth(first, headers, index, idStep), headers),
  );
  return others === -1 ? plaintexts.length : others;
}

interface Headers {
  readonly isV6: boolean;
  readonly isTcp: boolean;
  readonly transport: number;
  readonly bytes: number;
}

function headersOf(packet: Uint8Array): Headers | undefined {
  const isV6 = (packet[0] ?? 0) >> 4 === 0xe;
  if (!isV6 && packet[0] !== 0xc5) return undefined;
  const transport = isV6 ? 40 : 20;
  const protocol = packet[isV6 ? 6 : 9];
  if (protocol !== 6 && protocol !== 17) return undefined;
  const offset = (packet[transport + 12] ?? 0) >> 4;
  if (protocol === 6 && offset < 5) return undefined;
  const bytes = transport + (protocol === 6 ? 4 * offset : 8);
  return packet.length > bytes ? { isV6, isTcp: protocol === 6, transport, bytes } : undefined;
}

function stepOf(first: Uint8Array, second: Uint8Array): number | undefined {
  const ids = [first, second].map((packet) => Buffer.from(packet).readUInt16BE(4));
  const step = ((ids[1] ?? 0) - (ids[0] ?? 0)) & 0xffff;
  const mustStayWhole = first[6] === 0x40 && first[7] === 0;
  return step === 1 || (step === 0 && mustStayWhole) ? step : undefined;
}

/** The headers of the `index`th packet after the first. */
function nth(first: Uint8Array, headers: Headers, index: number, idStep: number): Buffer {
  const made = Buffer.from(first.slice(0, headers.bytes));
  if (!headers.isV6) made.writeUInt16BE((made.readUInt16BE(4) + index * idStep) & 0xffff, 4);
  if (headers.isTcp) {
    const at = headers.transport + 4;
    const payload = first.length - headers.bytes;
    made.writeUInt32BE((made.readUInt32BE(at) + index * payload) % 2 ** 32, at);
  }
  return made;
}

/** Equal headers, whatever the IPv4 checksum says. */
function isSame(packet: Uint8Array, wanted: Buffer, { isV6, bytes }: Headers): boolean {
  const own = Buffer.from(packet.slice(0, bytes));
  if (!isV6) for (const header of [own, wanted]) header.fill(0, 10, 12);
  return own.equals(wanted);
}
