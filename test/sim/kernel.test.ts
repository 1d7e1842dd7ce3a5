/** The simulated kernel's offloads themselves: which datagrams become a run, how the TUN's arena is filled. */
import { describe, expect, it } from "vitest";
import { packetBatch } from "../../src/core/batch.ts";
import { PACKET, PACKET_FIELDS } from "../../src/core/rows.ts";
import { fillPackets, type SocketMessage, withRuns } from "./kernel.ts";

const A = { ip: "192.0.2.1", port: 1 };
const B = { ip: "192.0.2.1", port: 2 };
const HERE = { ip: "198.51.100.1", port: 1194 };

describe("neighbours in the queue become a run", () => {
  it.each<[string, readonly number[], readonly string[]]>([
    ["of equal sizes", [100, 100, 100], ["300/100"]],
    ["with a shorter last one", [100, 100, 40, 40], ["240/100", "40"]],
    ["but no larger one", [100, 101, 101], ["100", "202/101"]],
    ["but no empty one", [100, 0, 100], ["100", "0", "100"]],
    ["of 64 at most", new Array<number>(70).fill(10), ["640/10", "60/10"]],
    ["of 65,507 bytes at most", new Array<number>(50).fill(1_400), ["64400/1400", "5600/1400"]],
  ])("%s", (_, sizes, texts) => {
    expect(withRuns(sizes.map((size) => message(size))).map(text)).toEqual(texts);
  });

  it("of one source and port, to one address", () => {
    const queue = [message(10), message(10, B), message(10), message(10, A, A)];

    expect(withRuns(queue).map(text)).toEqual(["10", "10", "10", "10"]);
  });

  it("with the bytes of all in order, once", () => {
    const queue = [1, 2, 3].map((mark) => ({ ...message(2), bytes: Uint8Array.of(mark, mark) }));
    const runs = withRuns(queue);

    expect(runs.map(({ bytes }) => [...bytes])).toEqual([[1, 1, 2, 2, 3, 3]]);
    expect(withRuns(runs)).toEqual(runs);
  });
});

describe("packets from the TUN", () => {
  it("lie one behind another at multiples of 64, while one more would fit", () => {
    const batch = packetBatch(new Uint8Array(1_000), 8);
    const queue = [100, 64, 1, 500, 10].map((size) => ({ bytes: new Uint8Array(size).fill(size) }));

    expect(fillPackets(batch, 600, queue)).toBe(4);
    const offsets = [0, 1, 2, 3].map((row) => batch.rows[row * PACKET_FIELDS + PACKET.OFFSET]);
    expect(offsets).toEqual([0, 128, 192, 256]);
  });

  it("longer than the room are a fault of the test", () => {
    const batch = packetBatch(new Uint8Array(1_000), 8);

    expect(() => fillPackets(batch, 600, [{ bytes: new Uint8Array(601) }])).toThrow("601 bytes");
  });
});

function message(size: number, from = A, to = HERE): SocketMessage {
  return { from, to, bytes: new Uint8Array(size) };
}

function text({ bytes, segment }: SocketMessage): string {
  return segment === undefined ? String(bytes.length) : `${bytes.length}/${segment}`;
}
