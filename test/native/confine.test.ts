/**
 * Privileges, exec and descriptors, asked of the kernel in a process of its own.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "./isolated.ts";

const SCENARIOS = new URL("./confine-scenarios.ts", import.meta.url);
const NET_ADMIN_ALONE = "0000000000001000";
let facts: Facts<typeof import("./confine-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(SCENARIOS);
}, 60_000);

describe("privilegesDrop", () => {
  it("leaves the thread CAP_NET_ADMIN alone, and no program more", () => {
    const { before, status, after } = facts.drop;
    expect(before).toMatchObject({ noNew: "0" });
    expect(before.effective).not.toBe(NET_ADMIN_ALONE);
    expect(status).toBe(0);
    expect(after).toEqual({
      effective: NET_ADMIN_ALONE,
      bounding: NET_ADMIN_ALONE,
      noNew: "1",
    });
  });

  it("refuses a bit that no set of its size has", () => {
    expect(facts.drop.badBits).toEqual(["EINVAL", "EINVAL"]);
  });
});

describe("udpBindDevice without CAP_NET_RAW", () => {
  it("binds a bound socket to another device, and it keeps its port", () => {
    expect(facts.rebind.status).toEqual([0, 0]);
    expect(facts.rebind.isBound).toEqual([true, true]);
  });

  it("says that a device is not there", () => {
    expect(facts.rebind.gone).toEqual(["ENODEV", "ENODEV"]);
  });
});

describe("processExec", () => {
  it("makes the process another program with its descriptors, words and id", () => {
    expect(facts.exec).toEqual({
      isSameProcess: true,
      rest: ["two words", "open", "closed"],
      ending: "code 0",
    });
  });

  it("comes back where it cannot", () => {
    expect(facts.badExec).toEqual({
      missing: "ENOENT",
      openPath: "EINVAL",
      openArgument: "EINVAL",
      noArgument: "EINVAL",
      tooMany: "EINVAL",
    });
  });
});

describe("processLock", () => {
  it("forbids core files", () => {
    expect(facts.lock).toEqual({ status: 0, core: ["0", "0"] });
  });
});
