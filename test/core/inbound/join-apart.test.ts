/**
 * Joining, rule by rule: which packets must stay apart.
 *
 * Every test begins with two packets that are joined but for the one thing that it names.
 */
import { describe, expect, it } from "vitest";
import { optionsExtension, TCP_FLAG } from "../../helpers/packet-builder.ts";
import { type Changes, expectCut, FULL, pair, partsOf, UDP, V6 } from "../join-packets.ts";
import { CHANGES, join } from "../join-streams.ts";

const { ACK, AE, CWR, ECE, PSH, RST, SYN, URG } = TCP_FLAG;

describe("two TCP segments", () => {
  it.each([
    { version: "IPv4", flow: {} },
    { version: "IPv6", flow: V6 },
  ])("of $version are joined where nothing speaks against it", ({ flow }) => {
    expect(partsOf(pair(flow, {}))).toEqual([2]);
  });

  it.each<[string, Changes]>([
    ["a later sequence number", { sequence: 1 + FULL + 1 }],
    ["an earlier sequence number", { sequence: FULL }],
    ["the same sequence number", { sequence: 1 }],
    ["another acknowledgment number", { acknowledgment: 78 }],
    ["another window", { window: 503 }],
    ["another urgent pointer", { urgent: 1 }],
    ["other option bytes", CHANGES.options],
    ["more option bytes", CHANGES.otherOptions],
    ["no ACK", { flags: 0 }],
    ["SYN", { flags: ACK | SYN }],
    ["RST", { flags: ACK | RST }],
    ["URG", { flags: ACK | URG }],
    ["CWR", { flags: ACK | CWR }],
    ["ECE", { flags: ACK | ECE }],
    ["AE", { flags: ACK | AE }],
    ["no payload", { payload: new Uint8Array() }],
    ["a longer payload", { payload: new Uint8Array(FULL + 1) }],
    ["another hop limit", { hopLimit: 63 }],
    ["another traffic class", { trafficClass: 0x10 }],
    ["a congestion mark", { trafficClass: 3 }],
    ["a full checksum", { isPartial: false }],
    ["another source port", { sourcePort: 40_001 }],
    ["another destination port", { destinationPort: 5202 }],
    ["the ports the other way round", { sourcePort: 5201, destinationPort: 40_000 }],
  ])("stay apart where the second has %s", (_, second) => {
    const sameBut = (flow: Changes) => pair(flow, second);

    expect(partsOf(sameBut({ trafficClass: 2 }))).toEqual([1, 1]);
    expect(partsOf(sameBut({ ...V6, trafficClass: 2 }))).toEqual([1, 1]);
  });

  it.each<[string, Changes, Changes]>([
    ["another IPv4 source", {}, { source: "10.0.0.9" }],
    ["another IPv4 destination", {}, { destination: "10.0.0.9" }],
    ["another IPv6 source", V6, { source: "fd00::9" }],
    ["another IPv6 destination", V6, { destination: "fd00:0:0:9::2" }],
    ["another IPv6 flow label", V6, { flowLabel: 1 }],
    ["no DF", {}, { isDontFragment: false }],
    ["DF where the first has none", { isDontFragment: false }, { isDontFragment: true }],
    ["an id that skips one", {}, { id: 1002 }],
    ["an id that goes back", {}, { id: 999 }],
    ["the same id, and may be fragmented", { isDontFragment: false }, { id: 1000 }],
    ["IPv4 options", {}, CHANGES.shortIpOptions],
    ["an IPv6 extension header", V6, CHANGES.extension],
    ["another IP version", {}, { source: "::10.0.0.1", destination: "::10.0.0.2" }],
    ["another protocol", {}, { protocol: "udp", payload: new Uint8Array(FULL) }],
  ])("stay apart where the second has %s", (_, flow, second) => {
    expect(partsOf(pair(flow, second))).toEqual([1, 1]);
  });

  it.each<[string, Changes]>([
    ["SYN", { flags: ACK | SYN }],
    ["RST", { flags: ACK | RST }],
    ["URG", { flags: ACK | URG, urgent: 9 }],
    ["CWR", { flags: ACK | CWR }],
    ["no ACK", { flags: 0 }],
    ["PSH", { flags: ACK | PSH }],
    ["no payload", { payload: new Uint8Array() }],
    ["full checksums", { isPartial: false }],
    ["4 bytes of IPv4 options", CHANGES.shortIpOptions],
    ["20 bytes of IPv4 options, as many as make an IPv6 header's length", CHANGES.longIpOptions],
    ["40 bytes of IPv4 options", { ipOptions: new Uint8Array(40).fill(1) }],
    ["destination options", { ...V6, extensions: [optionsExtension(60)] }],
    ["hop-by-hop options", { ...V6, extensions: [optionsExtension(0)] }],
  ])("stay apart where both have %s", (_, both) => {
    const bytes = { payload: new Uint8Array(FULL), ...both };

    expect(partsOf(pair(bytes, both))).toEqual([1, 1]);
  });

  it.each<[string, Changes]>([
    ["ECE", { flags: ACK | ECE }],
    ["AE", { flags: ACK | AE }],
    ["a congestion mark", { trafficClass: 3 }],
    ["an urgent pointer without URG", { urgent: 7 }],
    ["no DF, and ids that count", { isDontFragment: false }],
  ])("are joined where both have %s", (_, both) => {
    const packets = pair(both, {});

    const delivered = join(packets);

    expect(delivered.map(({ parts }) => parts)).toEqual([2]);
    expectCut(delivered, packets);
  });
});

describe("two UDP datagrams", () => {
  it.each<[string, Changes, Changes]>([
    ["more bytes", UDP, { payload: new Uint8Array(FULL + 1) }],
    ["no payload", UDP, { payload: new Uint8Array() }],
    ["another hop limit", UDP, { hopLimit: 63 }],
    ["a congestion mark", UDP, { trafficClass: 3 }],
    ["another port", UDP, { destinationPort: 53 }],
    ["an id that skips one", UDP, { id: 1002 }],
    ["a full checksum", UDP, { isPartial: false }],
    ["IPv4 options", UDP, CHANGES.longIpOptions],
    ["another flow label", { ...V6, ...UDP }, { flowLabel: 1 }],
    ["an extension header", { ...V6, ...UDP }, CHANGES.extension],
    ["another protocol", UDP, { protocol: "tcp" }],
  ])("stay apart where the second has %s", (_, flow, second) => {
    expect(partsOf(pair(flow, {}))).toEqual([2]);
    expect(partsOf(pair(flow, second))).toEqual([1, 1]);
  });

  it("stay apart where a length field leaves bytes behind the datagram", () => {
    for (const flow of [UDP, { ...V6, ...UDP }]) {
      const packets = pair(flow, {});
      for (const { bytes } of packets) shortenDatagram(bytes);

      expect(partsOf(packets)).toEqual([1, 1]);
    }
  });
});

describe("a checksum that is not the sum of the pseudo-header", () => {
  it("keeps its packet out of a run, so that no run tells its lie for it, or hides it", () => {
    for (const flow of [{}, UDP, V6, { ...V6, ...UDP }]) {
      const [first, second] = pair(flow, {});
      const at = (flow === UDP || "protocol" in flow ? 6 : 16) + ("source" in flow ? 40 : 20);
      second.bytes[at] = (second.bytes[at] ?? 0) ^ 0x01;

      expect(partsOf([first, second])).toEqual([1, 1]);
      expect(partsOf([second, first])).toEqual([1, 1]);
    }
  });
});

/** Makes the UDP length one byte less than there is; the sum is left to what was said before. */
function shortenDatagram(packet: Uint8Array): void {
  const view = new DataView(packet.buffer);
  const start = view.getUint8(0) >> 4 === 4 ? 20 : 40;
  view.setUint16(start + 4, packet.length - start - 1);
}
