/**
 * Fallbacks: what the addon does on hosts that refuse it something.
 *
 * The poor host is a preloaded library (poor-host.c) that refuses IPv6 sockets, forced buffers and
 * locked memory; the user namespace refuses forced buffers by itself.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Facts, run, runIsolated } from "./isolated.ts";

type HostFacts = Facts<typeof import("./host-scenarios.ts")>;

const { CC = "cc", LD_PRELOAD = "" } = process.env;
const SCENARIOS = new URL("./host-scenarios.ts", import.meta.url);
const directory = mkdtempSync(join(tmpdir(), "iptun-host-"));
let full: HostFacts;
let poor: HostFacts;
let unprivileged: HostFacts;

beforeAll(async () => {
  const preload = await buildPoorHost();
  full = await runIsolated(SCENARIOS);
  poor = await runIsolated(SCENARIOS, { environment: { LD_PRELOAD: preload } });
  unprivileged = await runIsolated(SCENARIOS, { isUserNamespace: true });
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true }));

describe("a host without IPv6", () => {
  it("gets an IPv4 socket for the wildcard, which works, and no other address", () => {
    expect(poor.wildcard).toMatchObject({
      family: 4,
      sent: 1,
      from: "127.0.0.2",
      v6Address: "EAFNOSUPPORT",
    });
  });

  it("differs from one that has it", () => {
    expect(full.wildcard).toMatchObject({
      family: 6,
      sent: 1,
      from: "127.0.0.2",
      v6Address: "opened",
    });
  });

  it("that has it switched off by sysctl carries IPv4 on the wildcard socket", () => {
    expect(full.switchedOff).toMatchObject({ sent: 1, from: "127.0.0.2" });
  });
});

describe("a host without forced buffers", () => {
  it("gives what the limit allows", () => {
    expect(poor.wildcard.receiveBytes).toBe(poor.wildcard.plainBytes);
  });

  it("is what a user namespace is", () => {
    expect(unprivileged.wildcard.receiveBytes).toBe(unprivileged.wildcard.plainBytes);
  });
});

describe("a host without locked memory", () => {
  it("still loads and uses keys", () => {
    expect(poor.keys).toMatchObject({ loaded: 0, sealed: 1, isLocked: false });
  });
});

/** Compiles poor-host.c. Returns the value of LD_PRELOAD, what is preloaded already included. */
async function buildPoorHost(): Promise<string> {
  const source = fileURLToPath(new URL("./poor-host.c", import.meta.url));
  const library = join(directory, "poor-host.so");
  const { ending, errors } = await run(
    CC,
    ["-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source],
    { LD_PRELOAD: "" },
  );
  if (ending !== "code 0") throw new Error(errors);
  return [LD_PRELOAD, library].filter((path) => path !== "").join(":");
}
