/** What the watch of the device says and does about each change that somebody made. */
import { describe, expect, it } from "vitest";
import type { DeviceState } from "../../../src/daemon/host/device-state.ts";
import { DeviceWatch } from "../../../src/daemon/host/device-watch.ts";
import { isLack, type Lack, lackOf } from "../../../src/daemon/host/network-plan.ts";
import { REPAIR_PAUSE_MS } from "../../../src/daemon/host/repair-pace.ts";
import { address, prefix } from "../config.ts";
import { memoryLog } from "../log.ts";
import { ManualTimers, settle } from "../timers.ts";

const WHOLE: DeviceState = {
  isUp: true,
  mtu: 1420,
  addresses: ["10.0.0.1/24", "fd00::1/64"],
  routes: ["10.9.0.0/16"],
};

describe("a device that is as configured", () => {
  it("is left alone without a word", async () => {
    const rig = setUp();

    await rig.watch.poll();

    expect([rig.repairs, rig.log.lines]).toEqual([[], []]);
  });
});

describe("what is missing on a link that is up", () => {
  it.each([
    ["routes, after a flap shorter than a poll", { routes: [] }],
    ["an IPv6 address", { addresses: ["10.0.0.1/24"] }],
    ["everything, after a flush", { addresses: [], routes: [] }],
  ])("is put back with one line: %s", async (_name, lost) => {
    const rig = setUp();
    rig.world.state = { ...WHOLE, ...lost };

    await rig.watch.poll();
    await rig.watch.poll();

    expect(rig.world.state).toEqual(WHOLE);
    expect(rig.repairs).toHaveLength(1);
    expect(rig.log.lines).toEqual(["info addresses or routes of iptun0 were gone; put back"]);
  });

  it("is put back at once each time that the time before has helped", async () => {
    const rig = setUp();
    for (let flap = 0; flap < 3; flap++) {
      rig.world.state = { ...WHOLE, routes: [] };
      await rig.watch.poll();
      await rig.watch.poll();
    }

    expect(rig.repairs).toHaveLength(3);
  });

  it("at look after look is put back three times at once, then every 10 s", async () => {
    const rig = setUp();
    for (const nowMs of [0, 2_000, 4_000, 6_000, 12_000]) {
      rig.timers.nowMs = nowMs;
      rig.world.state = { ...WHOLE, routes: [] };
      await rig.watch.poll();
    }

    expect(rig.repairs).toHaveLength(3);
    rig.timers.nowMs = 4_000 + REPAIR_PAUSE_MS;
    await rig.watch.poll();
    expect(rig.repairs).toHaveLength(4);
  });

  it("and was not tried for that is looked at again when the pause is over, without any news", async () => {
    const rig = setUp();
    for (const nowMs of [0, 1_000, 2_000, 6_000, 7_000]) {
      rig.timers.nowMs = nowMs;
      rig.world.state = { ...WHOLE, routes: [] };
      await rig.watch.poll();
    }
    expect(rig.timers.delays()).toEqual([REPAIR_PAUSE_MS - 4_000]);

    await rig.timers.fire(REPAIR_PAUSE_MS - 4_000);

    expect(rig.repairs).toHaveLength(4);
    expect(rig.world.state).toEqual(WHOLE);
  });

  it("and does not come back is tried again after the pause, without any news", async () => {
    const rig = setUp({ complaints: ["File exists"], helps: false });
    rig.world.state = { ...WHOLE, routes: [] };
    await rig.watch.poll();

    await rig.timers.fire(REPAIR_PAUSE_MS);

    expect(rig.repairs).toHaveLength(2);
    await rig.watch.close();
    expect(rig.timers.delays()).toEqual([]);
  });

  it("is seen by who asks while a look is under way, which may have come too early", async () => {
    const rig = setUp();
    let release: (() => void) | undefined;
    rig.world.gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const early = rig.watch.poll();
    await settle();
    rig.world.state = { ...WHOLE, routes: [] };
    const polls = [rig.watch.poll(), rig.watch.poll()];

    release?.();
    await Promise.all([early, ...polls]);

    expect(rig.repairs).toHaveLength(1);
  });

  it("and does not come back is tried three times, then every 10 s, and told once", async () => {
    const rig = setUp({ complaints: ["File exists"], helps: false });
    rig.world.state = { ...WHOLE, routes: [] };

    for (const nowMs of [0, 1_000, 2_000, 1_999 + REPAIR_PAUSE_MS, 2_000 + REPAIR_PAUSE_MS]) {
      rig.timers.nowMs = nowMs;
      await rig.watch.poll();
    }

    expect(rig.repairs).toHaveLength(4);
    expect(rig.log.lines).toEqual([
      "warn cannot put back all addresses and routes of iptun0: File exists",
    ]);
  });

  it("and vanishes again without a complaint is told too", async () => {
    const rig = setUp({ helps: false });
    rig.world.state = { ...WHOLE, addresses: [] };

    await rig.watch.poll();

    expect(rig.log.lines).toEqual([
      "warn cannot put back all addresses and routes of iptun0: they do not stay",
    ]);
  });
});

describe("a changed MTU", () => {
  it("is set back and told", async () => {
    const rig = setUp();
    rig.world.state = { ...WHOLE, mtu: 1300 };

    await rig.watch.poll();

    expect(rig.log.lines).toEqual(["info MTU of iptun0 was 1300; set back to 1420"]);
  });

  it("below 1280 has cost IPv6 addresses, which come back with it", async () => {
    const rig = setUp();
    rig.world.state = { ...WHOLE, mtu: 1000, addresses: ["10.0.0.1/24"] };

    await rig.watch.poll();

    expect(rig.repairs.map(({ mtu, addresses }) => [mtu?.wanted, addresses.length])).toEqual([
      [1420, 1],
    ]);
    expect(rig.log.lines).toEqual([
      "info MTU of iptun0 was 1000; set back to 1420",
      "info addresses or routes of iptun0 were gone; put back",
    ]);
  });
});

describe("a link that is down", () => {
  it("is told once and left down", async () => {
    const rig = setUp();
    rig.world.state = { ...WHOLE, isUp: false, routes: [] };

    await rig.watch.poll();
    await rig.watch.poll();

    expect(rig.repairs).toEqual([]);
    expect(rig.log.lines).toEqual(["warn link iptun0 is down: packets are dropped until it is up"]);
  });

  it("is told by the engine first, and repaired at once when the engine says it is up", async () => {
    const rig = setUp();
    rig.watch.linkReported(false);
    rig.world.state = { ...WHOLE, routes: [] };

    rig.watch.linkReported(true);
    await settle();

    expect(rig.log.lines).toEqual([
      "warn link iptun0 is down: packets are dropped until it is up",
      "info link iptun0 is up again",
      "info addresses or routes of iptun0 were gone; put back",
    ]);
  });

  it("is shown as it is at this moment", async () => {
    const rig = setUp();
    rig.world.state = { ...WHOLE, isUp: false, mtu: 1300 };

    expect(await rig.watch.link()).toEqual({ isUp: false, mtu: 1300 });
  });
});

describe("a device without its name", () => {
  it("is told once at the second look, never as down, and once when it is back", async () => {
    const rig = setUp();
    rig.world.state = undefined;
    await rig.watch.poll();
    const first = [...rig.log.lines];
    await rig.watch.poll();
    await rig.watch.poll();

    rig.world.state = WHOLE;
    await rig.watch.poll();

    expect(first).toEqual([]);
    expect(rig.log.lines).toEqual([
      "warn iptun0 was renamed or moved: it is not looked after until it has its name again",
      "info iptun0 has its name again",
    ]);
    expect(await rig.watch.link()).toMatchObject({ isUp: true });
  });
});

describe("a change of ours", () => {
  it("is never taken for somebody else's: no look is taken beside it", async () => {
    const rig = setUp();
    rig.world.state = { ...WHOLE, mtu: 1300 };
    const change = rig.watch.change(async () => {
      await Promise.resolve();
      rig.world.state = WHOLE;
      return ["a complaint"];
    });

    await Promise.all([change, rig.watch.poll()]);

    expect(rig.repairs).toEqual([]);
    expect(rig.log.lines).toEqual(["debug changing iptun0: a complaint"]);
  });
});

describe("a closed watch", () => {
  it("changes nothing, also where its look had begun", async () => {
    const rig = setUp();
    rig.world.state = { ...WHOLE, routes: [] };
    const poll = rig.watch.poll();

    await rig.watch.close();
    await poll;
    await rig.watch.poll();
    rig.watch.linkReported(false);

    expect([rig.repairs, rig.log.lines]).toEqual([[], []]);
  });

  it("changes nothing any more", async () => {
    const rig = setUp();
    await rig.watch.close();
    let isDone = false;

    await rig.watch.change(async () => {
      isDone = true;
      return [];
    });

    expect(isDone).toBe(false);
  });

  it("is closed also where a look failed", async () => {
    const rig = setUp();
    rig.world.fails = true;
    const poll = rig.watch.poll();
    // The look begins.
    await Promise.resolve();

    await rig.watch.close();

    await expect(poll).rejects.toThrow("no look");
  });
});

function setUp({ complaints = [] as string[], helps = true } = {}) {
  const log = memoryLog();
  const timers = new ManualTimers();
  const world: { state: DeviceState | undefined; gate: Promise<void> | undefined; fails: boolean } =
    { state: WHOLE, gate: undefined, fails: false };
  const repairs: Lack[] = [];
  const wanted = {
    device: "iptun0",
    addresses: [address("10.0.0.1/24"), address("fd00::1/64")],
    mtu: 1420,
    routeMtus: new Map<string, number>(),
    routes: [prefix("10.9.0.0/16")],
    hasSuperPackets: false,
  };
  const watch = new DeviceWatch({
    device: "iptun0",
    network: {
      lack: (state) => lackOf(wanted, state),
      repair: async (lack) => {
        expect(isLack(lack)).toBe(true);
        repairs.push(lack);
        if (helps) world.state = WHOLE;
        return complaints;
      },
    },
    look: async () => {
      if (world.fails) throw new Error("no look");
      const { state } = world;
      await world.gate;
      return state;
    },
    log,
    nowMs: () => timers.nowMs,
    startTimer: timers.start,
  });
  return { watch, log, world, timers, repairs };
}
