/**
 * The start of the control side, and stops that come in the middle of it.
 */
import { stat } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { START_WAIT_MS } from "../../src/daemon/control-side.ts";
import { FIRST_RETRY_MS } from "../../src/daemon/names/resolver.ts";
import { config, peerConfig, prefix } from "./config.ts";
import { attached, setUp } from "./control-rig.ts";
import { FakeHost } from "./fake-host.ts";
import { FEATURES } from "./snapshot.ts";
import { settle } from "./timers.ts";

describe("starting", () => {
  it("opens the engine, configures the device and says so", async () => {
    const rig = setUp();

    await rig.side.start();

    expect(rig.engine.start?.tun).toEqual({ name: "iptun0", mtu: 1420 });
    expect(rig.ip.at(-1)).toContain("addr add 10.0.0.1/24 dev iptun0");
    expect(rig.log.lines).toContain(
      "info iptun0 is up, listening on UDP port 1194; offloads: tso, gso, gro; not in this kernel: uso",
    );
  });

  it("asks for the offloads of the configuration and says which are switched off", async () => {
    const off = { tso: false, uso: false, gso: false, gro: false };
    const rig = setUp({ config: config({ offload: off }) });
    rig.engine.features = { ...FEATURES, offloads: [] };

    await rig.side.start();

    expect(rig.engine.start?.offloads).toEqual(off);
    expect(rig.log.lines).toContain(
      "info iptun0 is up, listening on UDP port 1194; offloads: none; switched off: tso, uso, gso, gro",
    );
  });

  it.each([
    ["tso", ["tso"] as const, 500],
    ["no tso", ["uso", "gso", "gro"] as const, 2000],
  ])(
    "with %s makes the device's queue fit what comes out of it",
    async (_name, offloads, packets) => {
      const rig = setUp();
      rig.engine.features = { ...FEATURES, offloads };

      await rig.side.start();

      expect(rig.ip.at(-1)).toContain(`link set dev iptun0 mtu 1420 txqueuelen ${packets} up`);
    },
  );

  it("gives the engine the mark, and sets the default route when the peer's name is known", async () => {
    const host = new FakeHost();
    const peer = peerConfig({
      endpoints: [{ host: "vpn.example.org", port: 1194 }],
      allowedIps: [prefix("0.0.0.0/0")],
    });
    const other = peerConfig({ name: "c", endpoints: [{ host: "c.example", port: 1194 }] });
    const rig = setUp({
      config: config({ peers: [peer, other] }),
      answers: [new Error("EAI_AGAIN"), new Error("EAI_AGAIN"), ["192.0.2.2"], new Error("no")],
      run: host.run,
    });
    const start = rig.side.start();
    while (rig.log.lines.length < 2) await settle();
    const before = [...host.changes];
    expect(rig.log.lines).toContain(
      "warn cannot resolve vpn.example.org of peer b: EAI_AGAIN; next try in 1 s; the default route waits for it",
    );
    expect(rig.log.lines).toContain(
      "warn cannot resolve c.example of peer c: EAI_AGAIN; next try in 1 s",
    );

    await rig.timers.fire(FIRST_RETRY_MS);
    await start;

    expect(rig.engine.start?.udp.mark).toBe(12_299);
    expect(before.filter((line) => line.includes("default"))).toEqual([]);
    expect(host.changes).toContain("-4 route add default dev iptun0 table 12299");
    const { interface: device } = await rig.side.status();
    expect(device).toMatchObject({ defaultRoute: { families: ["IPv4"], mark: 12_299 } });
    await rig.side.stop();
    expect(host.families["-4"].routes.filter(({ dst }) => dst === "default")).toEqual([]);
    expect([rig.world.validMark, host.tables.size]).toEqual(["0", 0]);
  });

  it("whose peer's name is not known ends at a stop", async () => {
    const peer = peerConfig({
      endpoints: [{ host: "vpn.example.org", port: 1194 }],
      allowedIps: [prefix("::/0")],
    });
    const host = new FakeHost();
    const rig = setUp({ config: config({ peers: [peer] }), answers: [], run: host.run });
    const start = rig.side.start();
    while (rig.log.lines.length < 1) await settle();

    await rig.side.stop();
    await start;

    expect(host.changes.filter((line) => line.includes("default"))).toEqual([]);
    expect(rig.log.lines.some((line) => line.includes("is up, listening"))).toBe(false);
  });

  it("gives the keys to the engine and keeps none", async () => {
    const key = new Uint8Array(32).fill(7);
    const rig = setUp({ config: config({ peers: [peerConfig({ keys: [key] })] }) });

    await rig.side.start();

    expect(rig.engine.start?.peers[0]?.keys).toEqual([new Uint8Array(32).fill(7)]);
    expect(key).toEqual(new Uint8Array(32));
  });

  it("warns where the node id is not kept", async () => {
    const rig = setUp({ nodeId: { id: new Uint8Array(16), warning: "node id is not kept" } });

    await rig.side.start();

    expect(rig.log.lines).toContain("warn node id is not kept");
  });

  it("fails with the engine's line, and stops without waiting for it", async () => {
    const rig = setUp();
    rig.engine.answers = false;
    const start = rig.side.start();
    await rig.untilSpawned();

    rig.engine.report({ kind: "fatal", message: "no device", exitCode: 4, detail: undefined });

    await expect(start).rejects.toMatchObject({ message: "no device", exitCode: 4 });
    await rig.side.stop();
    await expect(stat(rig.socketPath)).rejects.toThrow("ENOENT");
  });

  it("fails where the device cannot be configured", async () => {
    const rig = setUp({
      ip: (args) =>
        args[0] === "-batch"
          ? { exitCode: 2, stderr: "RTNETLINK answers: File exists\nCommand failed -:4\n" }
          : { exitCode: 1 },
    });

    await expect(rig.side.start()).rejects.toThrow(
      "'ip route add 10.9.0.0/16 dev iptun0' failed: File exists",
    );
  });

  it("installs no route where routes are off", async () => {
    const rig = setUp({ config: config({ interface: { routes: false } }) });

    await rig.side.start();

    expect(rig.ip.at(-1)).not.toContain("route add");
  });

  it("that was stopped meanwhile configures nothing", async () => {
    const rig = setUp();
    rig.engine.answers = false;
    const start = rig.side.start();
    await rig.untilSpawned();

    const stop = rig.side.stop();
    rig.engine.report({ kind: "ready", features: FEATURES });
    rig.engine.report({ kind: "stopped" });
    await Promise.all([start, stop]);

    expect(rig.ip.some((call) => call.includes("addr add"))).toBe(false);
    expect(rig.timers.delays()).toEqual([]);
  });

  it.each([
    ["before the control socket is open", () => undefined],
    ["while the device's state is read", (call: string) => call.startsWith("-j addr")],
    ["while the node id is loaded", (call: string) => call === "node id"],
    ["while the device is configured", (call: string) => call.startsWith("-batch")],
  ])("that is stopped %s leaves nothing behind", async (_name, isMoment) => {
    let stop: Promise<void> | undefined;
    const stopAt = (call: string) => {
      if (isMoment(call)) stop ??= rig.side.stop();
    };
    const rig = setUp({ ip: attached, stopAt });
    const start = rig.side.start();
    if (isMoment("") === undefined) stop = rig.side.stop();

    await start;
    await stop;

    const added = rig.ip.some((call) => call.includes("addr add"));
    expect(rig.ip.some((call) => call.includes("addr del"))).toBe(added);
    expect(rig.timers.delays()).toEqual([]);
    await expect(stat(rig.socketPath)).rejects.toThrow("ENOENT");
  });

  it("that hangs is waited for half a second", async () => {
    const rig = setUp();
    rig.engine.answers = false;
    void rig.side.start();
    await rig.untilSpawned();
    const stop = rig.side.stop();
    rig.engine.report({ kind: "stopped" });

    await rig.timers.fire(START_WAIT_MS);
    await stop;
    rig.forget();

    await expect(stat(rig.socketPath)).rejects.toThrow("ENOENT");
  });

  it("whose engine fails while it is stopped does not blame the stop", async () => {
    const rig = setUp();
    rig.engine.answers = false;
    const start = rig.side.start().catch(() => undefined);
    await rig.untilSpawned();
    const stop = rig.side.stop();

    rig.engine.report({ kind: "fatal", message: "no socket", exitCode: 1, detail: undefined });
    await Promise.all([start, stop]);

    expect(rig.log.lines).toEqual(["warn the engine failed before it was stopped: no socket"]);
  });
});
