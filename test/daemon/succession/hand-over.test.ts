/**
 * A tunnel handed from one control side to another, both over fake engines and one real control socket.
 */
import { describe, expect, it } from "vitest";
import { fetchStatus, postTo } from "../../../src/daemon/control/control-client.ts";
import { API_PATH } from "../../../src/daemon/control/control-paths.ts";
import { EngineLink } from "../../../src/daemon/engine-link.ts";
import { type Giver, HAND_OVER_MS, HandOver } from "../../../src/daemon/succession/hand-over.ts";
import { formatEndpoints, parseEndpoints } from "../../../src/daemon/succession/last-endpoints.ts";
import type { Predecessor, Taken } from "../../../src/daemon/succession/take-over.ts";
import { endpoint } from "../../helpers/address.ts";
import { config, peerConfig, prefix } from "../config.ts";
import { setUp, WHOLE } from "../control-rig.ts";
import { FakeEngine } from "../fake-engine.ts";
import { memoryLog } from "../log.ts";
import { peerSnapshot, tunnelSnapshot } from "../snapshot.ts";
import { ManualTimers, settle } from "../timers.ts";

const AT = endpoint("192.0.2.7", 1194);
const BEGIN = `${API_PATH.handOver}?to=/nowhere`;
/** Of the first hand-over. */
const DONE = `${API_PATH.handOverDone}?of=1`;
const FAILED = `${API_PATH.handOverFailed}?of=1`;

describe("a tunnel that is handed over", () => {
  it("pauses, sends both descriptors, and tells where its peers are", async () => {
    const rig = await running();

    const answer = await postTo(rig.socketPath, BEGIN);

    expect(rig.engine.commands.map(({ kind }) => kind)).toEqual(["snapshot", "pause"]);
    expect(rig.ip).toContain("descriptors 20 21 to /nowhere");
    expect(answer).toEqual({
      endpoints: formatEndpoints([{ peer: "b", endpoint: AT }]),
      changes: [],
      before: null,
      isUdpGiven: false,
      number: 1,
    });
  });

  it("is let go when the other process has it: keys wiped, device and routes left", async () => {
    const rig = await running();
    await postTo(rig.socketPath, BEGIN);
    rig.ip.length = 0;

    await postTo(rig.socketPath, DONE);
    await rig.side.handedOver;
    await rig.side.stop();

    expect(rig.engine.commands.at(-1)).toEqual({ kind: "let-go" });
    expect(rig.ip).toEqual([]);
    expect(rig.kept.endpoints).toEqual([]);
    await expect(fetchStatus(rig.socketPath)).rejects.toMatchObject({ exitCode: 3 });
  });

  it("goes on after two seconds without a word, and is not given away later", async () => {
    const rig = await running();
    await postTo(rig.socketPath, BEGIN);

    await rig.timers.fire(HAND_OVER_MS);

    expect(rig.engine.commands.at(-1)).toEqual({ kind: "resume" });
    expect(rig.log.lines.join()).toContain("did not: this one goes on");
    await expect(postTo(rig.socketPath, DONE)).rejects.toThrow("came too late");
    await expect(postTo(rig.socketPath, BEGIN)).resolves.toBeDefined();
  });

  it("is neither paused nor given away by an engine that answers after the time", async () => {
    const rig = await running();
    rig.engine.answers = false;
    const begun = expect(postTo(rig.socketPath, BEGIN)).rejects.toThrow("took too long");
    while (rig.engine.commands.length === 0) await settle();
    const [asked] = rig.engine.commands;
    rig.engine.answers = true;

    await rig.timers.fire(HAND_OVER_MS);
    if (asked !== undefined) rig.engine.post(asked);
    await begun;

    expect(rig.engine.commands.map(({ kind }) => kind)).toEqual(["snapshot", "resume", "snapshot"]);
    expect(rig.ip).not.toContain("descriptors 20 21 to /nowhere");
  });

  it("keeps the hand-over that began after a late one", async () => {
    const rig = await running();
    rig.engine.answers = false;
    const late = expect(postTo(rig.socketPath, BEGIN)).rejects.toThrow("took too long");
    while (rig.engine.commands.length === 0) await settle();
    const [asked] = rig.engine.commands;
    rig.engine.answers = true;
    await rig.timers.fire(HAND_OVER_MS);
    const begun = postTo(rig.socketPath, BEGIN);
    while (!rig.timers.delays().includes(HAND_OVER_MS)) await settle();

    if (asked !== undefined) rig.engine.post(asked);
    await late;
    await begun;

    expect(rig.engine.commands.filter(({ kind }) => kind === "resume")).toHaveLength(1);
    const second = `${API_PATH.handOverDone}?of=2`;
    await expect(postTo(rig.socketPath, second)).resolves.toEqual({ ok: true });
  });

  it.each([DONE, FAILED, `${API_PATH.handOverDone}?of=01`])(
    "is of the process that has it now, whatever one says that had it before: %s",
    async (path) => {
      const rig = await running();
      await postTo(rig.socketPath, BEGIN);
      await rig.timers.fire(HAND_OVER_MS);
      await postTo(rig.socketPath, BEGIN);
      rig.engine.commands.length = 0;

      await expect(postTo(rig.socketPath, path)).rejects.toThrow("came too late");

      expect(rig.engine.commands).toEqual([]);
      const second = `${API_PATH.handOverDone}?of=2`;
      await expect(postTo(rig.socketPath, second)).resolves.toEqual({ ok: true });
    },
  );

  it("goes on at once where the other process says that it cannot", async () => {
    const rig = await running();
    const waiting = rig.timers.delays();
    await postTo(rig.socketPath, BEGIN);

    await postTo(rig.socketPath, FAILED);

    expect(rig.engine.commands.at(-1)).toEqual({ kind: "resume" });
    expect(rig.timers.delays()).toEqual(waiting);
    await expect(postTo(rig.socketPath, BEGIN)).resolves.toBeDefined();
  });

  it.each([DONE, FAILED])(
    "sets its descriptors again where %s comes too late, for they may have been used since",
    async (path) => {
      const rig = await running();
      await postTo(rig.socketPath, BEGIN);
      await rig.timers.fire(HAND_OVER_MS);
      rig.engine.commands.length = 0;

      await expect(postTo(rig.socketPath, path)).rejects.toThrow("came too late");

      expect(rig.engine.commands).toEqual([{ kind: "resume" }]);
    },
  );

  it("is not gone before its descriptors were sent, whoever says so", async () => {
    const rig = await running();
    rig.engine.answers = false;
    const begun = postTo(rig.socketPath, BEGIN);
    while (rig.engine.commands.length === 0) await settle();

    await expect(postTo(rig.socketPath, DONE)).rejects.toThrow("came too late");

    rig.engine.answers = true;
    for (const command of [...rig.engine.commands]) rig.engine.post(command);
    await begun;
    expect(rig.engine.commands.filter(({ kind }) => kind === "resume")).toEqual([]);
    await expect(postTo(rig.socketPath, DONE)).resolves.toEqual({ ok: true });
  });

  it("is not given away while the host is still being changed for it", async () => {
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isHeld = false;
    const rig = setUp({
      run: async () => {
        // What `ip` is asked before is the look at the device.
        isHeld = rig.engine.start !== undefined;
        if (isHeld) await gate;
        return { exitCode: 0, stdout: "", stderr: "", startError: undefined };
      },
    });
    const started = rig.side.start();
    while (!isHeld) await settle();

    await expect(postTo(rig.socketPath, BEGIN)).rejects.toThrow(
      "503: not handed over: the tunnel is still starting: try again",
    );

    release();
    await started;
    expect(rig.engine.commands.filter(({ kind }) => kind === "pause")).toEqual([]);
    await expect(postTo(rig.socketPath, BEGIN)).resolves.toBeDefined();
  });

  it("is given to one process at a time, and never twice", async () => {
    const rig = await running();
    await postTo(rig.socketPath, BEGIN);

    await expect(postTo(rig.socketPath, BEGIN)).rejects.toThrow("under way already");
    await expect(postTo(rig.socketPath, API_PATH.handOver)).rejects.toThrow("needs ?to=PATH");
    for (const path of [API_PATH.handOverDone, API_PATH.handOverFailed]) {
      await expect(postTo(rig.socketPath, path)).rejects.toThrow("400: hand-over needs ?of=NUMBER");
    }
    await expect(postTo(rig.socketPath, DONE)).resolves.toEqual({ ok: true });
  });

  it("goes on where the descriptors cannot be sent", async () => {
    const rig = await running(-2);

    await expect(postTo(rig.socketPath, BEGIN)).rejects.toThrow(
      "cannot send to /nowhere: errno -2",
    );

    expect(rig.engine.commands.at(-1)).toEqual({ kind: "resume" });
  });
});

describe("a hand-over whose tunnel stops meanwhile", () => {
  it.each(["begun", "not begun"])("gives it to nobody: %s before", async (when) => {
    const orders: string[] = [];
    const timers = new ManualTimers();
    const handOver = new HandOver(giver(orders, timers));
    const ask = async (path: string, query = "") => {
      const resource = handOver.resources().find((one) => one.path === path);
      if (resource === undefined || !("answer" in resource)) throw new Error(`no ${path}`);
      return await resource.answer(new URLSearchParams(query));
    };
    if (when === "begun") await ask(API_PATH.handOver, "to=/nowhere");

    expect(handOver.close()).toBe(false);

    orders.length = 0;
    await expect(ask(API_PATH.handOverDone, "of=1")).rejects.toThrow("came too late");
    await expect(ask(API_PATH.handOver, "to=/nowhere")).rejects.toThrow("it is stopping");
    expect([orders, timers.delays()]).toEqual([[], []]);
  });
});

describe("a hand-over and a reload", () => {
  const wider = config({
    peers: [peerConfig({ allowedIps: [prefix("10.9.0.0/16"), prefix("10.8.0.0/24")] })],
  });

  it("refuse each other: the hand-over while the reload is under way", async () => {
    const rig = await running();
    rig.engine.answers = false;
    const reloaded = postTo(rig.socketPath, "/v1/reload");
    while (rig.engine.commands.length === 0) await settle();

    await expect(postTo(rig.socketPath, BEGIN)).rejects.toThrow(
      "503: not handed over: a reload is under way: try again",
    );

    rig.engine.answers = true;
    for (const command of [...rig.engine.commands]) rig.engine.post(command);
    await reloaded;
    await expect(postTo(rig.socketPath, BEGIN)).resolves.toBeDefined();
  });

  it("refuse each other: the hand-over until the reload is confirmed", async () => {
    const rig = await running();
    rig.world.file = wider;
    await postTo(rig.socketPath, "/v1/reload?confirm=60");

    await expect(postTo(rig.socketPath, BEGIN)).rejects.toThrow(
      "503: not handed over: a reload waits to be confirmed (60 s left): run 'iptun confirm' first",
    );

    expect(rig.engine.commands.filter(({ kind }) => kind === "pause")).toEqual([]);
    await postTo(rig.socketPath, "/v1/confirm");
    await expect(postTo(rig.socketPath, BEGIN)).resolves.toBeDefined();
  });

  it("refuse each other: the reload from the hand-over's begin until it is given up", async () => {
    const rig = await running();
    rig.world.file = wider;
    await postTo(rig.socketPath, BEGIN);
    rig.ip.length = 0;

    expect(await postTo(rig.socketPath, "/v1/reload")).toEqual({
      outcome: "refused",
      reasons: ["another process takes the tunnel over: reload that one, or try again"],
    });

    expect(rig.ip).toEqual([]);
    await rig.timers.fire(HAND_OVER_MS);
    expect(await postTo(rig.socketPath, "/v1/reload")).toMatchObject({ outcome: "applied" });
  });
});

describe("a tunnel that is taken over", () => {
  const taken: Taken = {
    number: 1,
    inherited: { tun: 30, udp: 31, isUdpGiven: false },
    endpoints: [{ peer: "b", endpoint: AT }],
    changes: [],
    before: null,
    control: undefined,
  };

  it("begins with what was handed over, and touches nothing of the host that is there", async () => {
    const steps: string[] = [];
    const rig = setUp({ predecessor: predecessor(taken, steps), ip: wholeDevice });

    await rig.side.start();

    expect(steps).toEqual(["take", "done"]);
    expect(rig.engine.start?.isStandby).toBe(true);
    expect(rig.engine.commands[0]).toEqual({
      kind: "begin",
      inherited: { tun: 30, udp: 31, isUdpGiven: false },
      endpoints: taken.endpoints,
      mark: 0,
    });
    expect(rig.ip.filter((line) => line.startsWith("-force"))).toEqual([]);
    await expect(fetchStatus(rig.socketPath)).resolves.toMatchObject({ pid: 42 });
  });

  it.each([
    ["the other process ends the wait", "begin", "let-go"],
    ["the engine cannot", "fatal", undefined],
  ])("is given back where %s, by an engine that has ended", async (_what, how, last) => {
    const steps: string[] = [];
    const late = new Error("the daemon answered 503: no hand-over is under way: it came too late");
    const rig = setUp({
      predecessor: { ...predecessor(taken, steps), done: () => Promise.reject(late) },
      ip: wholeDevice,
    });
    if (how === "fatal") {
      rig.engine.readyReport = { kind: "fatal", message: late.message, exitCode: 1, detail: "" };
    }

    await expect(rig.side.start()).rejects.toThrow("came too late");

    expect(steps).toEqual(["take", "failed"]);
    const commands = rig.engine.commands.map(({ kind }) => kind);
    expect(commands).toEqual(last === undefined ? ["begin"] : ["begin", last]);
  });

  it("fails with what the other process says, and leaves its control socket alone", async () => {
    const other = setUp();
    await other.side.start();
    const error = new Error("the daemon answered 503: a hand-over is under way already");
    const refused: Predecessor = { ...predecessor(taken, []), take: () => Promise.reject(error) };
    const rig = setUp({ predecessor: refused });

    await expect(rig.side.start()).rejects.toThrow("under way already");
    await rig.side.stop();

    await expect(fetchStatus(other.socketPath)).resolves.toMatchObject({ pid: 42 });
    await other.side.stop();
  });
});

describe("the next run", () => {
  it("is told where the peers were at the stop", async () => {
    const rig = await running();

    await rig.side.stop();

    expect(rig.kept.endpoints).toEqual([{ peer: "b", endpoint: AT }]);
    const next = setUp({ config: withPeer(), endpoints: rig.kept.endpoints });
    await next.side.start();
    expect(next.engine.start?.peers[0]?.lastEndpoint).toEqual(AT);
  });

  it("takes the device that was kept for it as it is", async () => {
    const rig = setUp({
      startedWith: { tun: 3, udp: 4, control: undefined, isUdpGiven: false },
      ip: wholeDevice,
    });

    await rig.side.start();
    await settle();

    expect(rig.engine.start?.inherited).toMatchObject({ tun: 3, udp: 4 });
    expect(rig.ip.filter((line) => / addr add /.test(line))).toEqual([]);
    expect(parseEndpoints(formatEndpoints([]))).toEqual([]);
  });
});

async function running(sendResult = 0) {
  const rig = setUp({ config: withPeer(), sendResult });
  rig.engine.snapshot = {
    ...tunnelSnapshot(),
    peers: [peerSnapshot({ name: "b", state: "up", endpoint: AT })],
  };
  await rig.side.start();
  rig.engine.commands.length = 0;
  return rig;
}

/** A tunnel with an engine that does as it is told, and writes that down. */
function giver(orders: string[], timers: ManualTimers): Giver {
  const engine = new FakeEngine();
  const nothing = () => undefined;
  const listener = { event: nothing, link: nothing, runRefused: nothing, ended: nothing };
  return {
    engine: () => ({
      link: new EngineLink(engine, listener),
      features: engine.features,
    }),
    obstacle: nothing,
    host: () => ({ changes: [], before: null, isUdpGiven: false }),
    givenSocket: nothing,
    send: () => orders.push("send"),
    errnoName: String,
    leaveSocket: () => orders.push("leave"),
    startTimer: timers.start,
    log: memoryLog(),
  };
}

function withPeer() {
  return config({ peers: [peerConfig({ name: "b" })] });
}

function predecessor(taken: Taken, steps: string[]): Predecessor {
  return {
    take: async () => {
      steps.push("take");
      return taken;
    },
    done: async () => {
      steps.push("done");
    },
    failed: async () => {
      steps.push("failed");
    },
  };
}

/** An `ip` that knows a device with everything on it. */
function wholeDevice(args: readonly string[]) {
  const addresses = WHOLE.addresses.map((address) => {
    const [local, prefixlen] = address.split("/");
    return { local, prefixlen: Number(prefixlen) };
  });
  if (args[1] === "addr") {
    return { stdout: JSON.stringify([{ flags: ["UP"], mtu: WHOLE.mtu, addr_info: addresses }]) };
  }
  return { stdout: JSON.stringify(WHOLE.routes.map((dst) => ({ dst }))) };
}
