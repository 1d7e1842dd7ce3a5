/**
 * FAULTS I4 and I5: inner packets of odd shape, and generated malformed ones, against the plain reference.
 *
 * Both directions: as the plaintext of a peer that holds the keys, and from the own device. IPTUN_FUZZ_COUNT sets how
 * many are generated; `scripts/fuzz I5` generates ten million.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { inboundVerdict } from "../helpers/inner-reference.ts";
import { pingPacket } from "../helpers/packets.ts";
import { CAPTURED, malformedPackets, receive, send } from "./campaign/i5.ts";
import { fromDevice, NETWORKS, RealPair } from "./campaign/real-pair.ts";
import { chains, dishonest, fragments, jumbogram, nested, type Shape } from "./campaign/shapes.ts";

const { IPTUN_FUZZ_COUNT, IPTUN_SEED } = process.env;
let pair: RealPair;

beforeAll(async () => {
  pair = await RealPair.start();
  pair.settle();
  fromDevice(pair.left, [pingPacket("10.1.0.1", "10.2.0.1")]);
  pair.settle();
});

describe("I4: the verdict of the core and of the reference is the same for", () => {
  it.each(Array.from({ length: 20 }, (_, index) => index + 1))(
    "tunnels nested %i deep",
    (depth) => {
      expectVerdicts(nested(depth));
    },
  );

  it("chains of extension headers of up to 64 KB", () => {
    const shapes = chains();
    expect(Math.max(...shapes.map(({ bytes }) => bytes.length))).toBeGreaterThan(63_000);
    expectVerdicts(shapes);
  });

  it("a jumbogram", () => {
    expectVerdicts(jumbogram());
  });

  it("every header length, every version, and lengths that lie", () => {
    expectVerdicts(dishonest());
  });

  it("fragments that overlap", () => {
    expectVerdicts(fragments());
  });
});

it("I5: packets of a real kernel have the verdict of the reference, both ways", () => {
  const verdicts = new Map<string, number>();

  receive(pair, CAPTURED, verdicts);
  for (const packet of CAPTURED) send(pair.left, [packet], verdicts);

  // Refused: link-local ones, and those of the other way, but for IPv4, which the right side takes from anywhere.
  expect(Object.fromEntries(verdicts)).toEqual({
    "in delivered": 34,
    "in inner_source": 6,
    "out sealed": 25,
    "out no_peer": 12,
    "out multicast": 3,
  });
});

it("I5: malformed packets are each counted once, under the reason that the reference gives", async () => {
  const verdicts = await malformedPackets(
    Number(IPTUN_FUZZ_COUNT ?? 10_000),
    Number(IPTUN_SEED ?? 1),
  );

  const names = [...verdicts.keys()];
  for (const verdict of ["delivered", "bad_plaintext", "inner_malformed", "inner_checksum"]) {
    expect(names).toContain(`in ${verdict}`);
  }
  expect(names).toContain("in inner_source");
  expect(names).toContain("out outbound_malformed");
});

/** One batch a packet, so that a failure names it. */
function expectVerdicts(shapes: readonly Shape[]): void {
  for (const { name, bytes, verdict } of shapes) {
    expect(inboundVerdict(bytes, NETWORKS.left), name).toBe(verdict);
    expect(() => receive(pair, [bytes], new Map()), name).not.toThrow();
    const packet = bytes.slice();
    packet[0] = (packet[0] ?? 0) & 0x7f;
    expect(() => send(pair.left, [packet], new Map()), name).not.toThrow();
  }
}
