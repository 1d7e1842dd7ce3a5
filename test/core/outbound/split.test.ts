/**
 * Splitting super-packets: what the parts are cut into must be what the whole would have been cut into.
 */
import { expect, it } from "vitest";
import { emptyUpperLayer, findTransport } from "../../../src/core/inner-packet.ts";
import { type Part, splitPacket } from "../../../src/core/outbound/split.ts";
import { GSO, PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../../src/core/rows.ts";
import { cutSuperPacket } from "../../helpers/cut-twin.ts";
import { Random, seeds } from "../../helpers/random.ts";
import { randomSuperPacket, type SuperPacket, superPacket } from "../../helpers/super-packets.ts";

const ECN = GSO.ECN;
const CWR = 0x80;

function split(packet: SuperPacket, segmentsEach: number): Part[] {
  const upper = emptyUpperLayer();
  const row = new Int32Array(PACKET_FIELDS);
  row[PACKET.LENGTH] = packet.bytes.length;
  row[PACKET.FLAGS] = PACKET_NEEDS_CHECKSUM;
  row[PACKET.GSO_TYPE] = packet.gsoType;
  row[PACKET.GSO_SIZE] = packet.gsoSize;
  row[PACKET.CHECKSUM_START] = packet.checksumStart;
  row[PACKET.CHECKSUM_OFFSET] = packet.checksumOffset;
  expect(findTransport(packet.bytes, 0, packet.bytes.length, upper)).toBe(true);
  return splitPacket(packet.bytes, row, packet.headerLength, upper, segmentsEach);
}

/** The packets that a part becomes. */
function cut({ bytes, row }: Part, whole: SuperPacket): Uint8Array[] {
  if (row[PACKET.GSO_TYPE] === GSO.NONE) return [bytes];
  const { headerLength, checksumStart } = whole;
  const gsoType = row[PACKET.GSO_TYPE] ?? 0;
  return cutSuperPacket(bytes, { gsoType, gsoSize: whole.gsoSize, headerLength, checksumStart });
}

it.each(seeds(40))("anything, split anyhow, becomes what it would have (seed %i)", (seed) => {
  const random = new Random(seed);
  const packet = randomSuperPacket(random);
  const each = 1 + random.below(20);

  const parts = split(packet, each);

  const packets = parts.flatMap((part) => cut(part, packet));
  expect(packets).toEqual(cutSuperPacket(packet.bytes, packet));
  expect(parts.length).toBe(Math.ceil(packet.segments / each));
  for (const { bytes, row, segments } of parts) {
    expect(row[PACKET.LENGTH]).toBe(bytes.length);
    expect(segments).toBeLessThanOrEqual(each);
    expect(row[PACKET.GSO_TYPE] === GSO.NONE).toBe(segments === 1);
  }
});

it("CWR and its bit of the row go with the first part only", () => {
  const packet = superPacket({
    source: "10.0.0.1",
    destination: "10.0.0.2",
    isTcp: true,
    gsoSize: 100,
    payload: new Uint8Array(1_000),
    tcpFlags: CWR | 0x18,
  });

  const types = split(packet, 4).map(({ row }) => row[PACKET.GSO_TYPE]);

  expect(types).toEqual([GSO.TCP4 | ECN, GSO.TCP4, GSO.TCP4]);
});
