/**
 * Cutting and joining against the kernel: what it makes of a super-packet without any offload is the measure.
 *
 * How it is asked stands in offload-cut-scenarios.ts. IPTUN_SEED gives other packets.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "../native/isolated.ts";

let facts: Facts<typeof import("./offload-cut-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./offload-cut-scenarios.ts", import.meta.url));
}, 60_000);

describe("a super-packet", () => {
  it("is cut into what the kernel's own segmentation makes of it, byte for byte", () => {
    expect(facts.cutting.examples).toEqual([]);
    expect(facts.cutting.different).toBe(0);
    expect(facts.cutting.segments).toBeGreaterThan(5000);
  });

  it.each([
    ...["tcp 4", "tcp 6", "udp 4", "udp 6", "IPv4 options", "TCP options"],
    ...["extensions of tcp", "extensions of udp", "FIN", "PSH", "CWR"],
  ])("was one with %s often enough to tell", (kind) => {
    expect(facts.cutting.kinds[kind]).toBeGreaterThan(40);
  });
});

describe("a joined packet", () => {
  it("is taken by the kernel, and forwarded as the packets that were joined", () => {
    expect(facts.joining.refused).toBe(0);
    expect(facts.joining.examples).toEqual([]);
    expect(facts.joining.different).toBe(0);
    expect(facts.joining.joined).toBeGreaterThan(1000);
  });
});
