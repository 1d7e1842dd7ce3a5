/**
 * The plain twin of cutting against the kernel's software segmentation, in a namespace of its own.
 *
 * The addon is compared with the twin in cut.test.ts; here the twin itself is held to what a real kernel
 * sends. How the packets are made stands in cut-kernel-scenarios.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "./isolated.ts";

let facts: Facts<typeof import("./cut-kernel-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./cut-kernel-scenarios.ts", import.meta.url));
}, 60_000);

describe("the kernel's software segmentation", () => {
  it.each([
    "tcp4",
    "tcp4Flags",
    "tcp4Options",
    "tcp4Tiny",
    "tcp6",
    "tcp6Extensions",
    "udp4",
    "udp4Options",
    "udp6",
    "udp6Extensions",
    "whole",
  ] as const)("cuts %s as the twin does, byte for byte", (name) => {
    expect(facts.kinds[name]).toBe("none");
  });

  it("cuts random sizes, flags and numbers as the twin does", () => {
    expect(facts.anything).toEqual([]);
  });
});
