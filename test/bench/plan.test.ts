/**
 * What a run will do, and that it fits into its time.
 */
import { describe, expect, it } from "vitest";
import { parseArguments } from "../../scripts/benchmark/arguments.ts";
import { estimatedSeconds, type Plan, planOf } from "../../scripts/benchmark/plan.ts";

describe("the plan", () => {
  it("of a whole run takes three rounds and less than an hour", () => {
    const plan = planned();

    expect(plan.rounds).toBe(3);
    expect(estimatedSeconds(plan)).toBeLessThan(3300);
    expect(plan.limitSeconds).toBe(3600);
  });

  it("of a quick run ends within five minutes", () => {
    const plan = planned("--quick");

    expect(plan.rounds).toBeGreaterThanOrEqual(1);
    expect(estimatedSeconds(plan)).toBeLessThan(300);
    expect(plan.limitSeconds).toBe(300);
  });

  it("of a quick run of two programs over one link takes three rounds", () => {
    expect(planned("--quick", "--only=iptun,wireguard-go", "--link=as-is").rounds).toBe(3);
  });

  it("gives who asks for more than an hour the time", () => {
    const plan = planned("--rounds=20");

    expect(plan.limitSeconds).toBeGreaterThan(estimatedSeconds(plan));
  });

  it("keeps a quick run quick, however many rounds are asked for", () => {
    expect(planned("--quick", "--rounds=50").limitSeconds).toBe(300);
  });

  it("measures everything on the link as it is, TCP both ways and UDP on the others", () => {
    const { tests } = planned();

    expect(tests["as-is"]).toContain("ping-loaded");
    expect(tests["as-is"]).toContain("udp-double");
    expect(tests.off).toEqual(["tcp-1", "tcp-1-back", "tcp-4", "tcp-4-back", "udp-1300", "udp-64"]);
    expect(tests.nic).toEqual(tests.off);
  });

  it("takes longer with more of anything", () => {
    const one = estimatedSeconds(planned("--only=iptun", "--link=nic", "--rounds=1"));

    for (const more of ["--only=iptun,fastd", "--link=nic,off", "--rounds=2", "--seconds=9"]) {
      const words = ["--only=iptun", "--link=nic", "--rounds=1", more];
      expect(estimatedSeconds(planned(...words))).toBeGreaterThan(one);
    }
  });

  function planned(...words: readonly string[]): Plan {
    return planOf(parseArguments(words));
  }
});
