/** A configuration that is read anew: taken over as a whole or not at all, kept, or taken back by itself. */
import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/config.ts";
import { ConfigError } from "../../../src/config/problem.ts";
import { postTo } from "../../../src/daemon/control/control-client.ts";
import { TRACE_POLL_MS } from "../../../src/daemon/polls.ts";
import { NAMES_WAIT_MS } from "../../../src/daemon/reload/reload-steps.ts";
import type { ReloadAnswer } from "../../../src/daemon/reload/reloader.ts";
import type { Command } from "../../../src/engine/messages.ts";
import { address, config, peerConfig, prefix } from "../config.ts";
import { setUp } from "../control-rig.ts";
import { FakeHost } from "../fake-host.ts";
import { peerSnapshot, tunnelSnapshot } from "../snapshot.ts";
import { settle } from "../timers.ts";

type Rig = ReturnType<typeof setUp>;

const WIDE = peerConfig({ allowedIps: [prefix("10.9.0.0/16"), prefix("10.8.0.0/24")] });
const BAD = new ConfigError("/etc/iptun.toml", [{ line: 3, key: "interface.mtu", text: "is 5" }]);

/** A tunnel that runs; its only peer has the key that the fake engine names "00000007". */
async function started(options: Parameters<typeof setUp>[0] = {}): Promise<Rig> {
  const rig = setUp(options);
  rig.engine.snapshot = tunnelSnapshot({
    peers: [peerSnapshot({ fingerprints: ["00000007"] })],
  });
  await rig.side.start();
  rig.engine.commands.length = 0;
  rig.ip.length = 0;
  rig.log.lines.length = 0;
  return rig;
}

async function reload(rig: Rig, file: Config | Error, query = ""): Promise<ReloadAnswer> {
  rig.world.file = file;
  return (await postTo(rig.socketPath, `/v1/reload${query}`)) as ReloadAnswer;
}

function told({ engine }: Rig): readonly Extract<Command, { kind: "reconfigure" }>[] {
  return engine.commands.filter((command) => command.kind === "reconfigure");
}

describe("a reload", () => {
  it("applies the difference to device, engine and status, and says it", async () => {
    const rig = await started();
    const answer = await reload(rig, config({ peers: [WIDE] }));
    const line = "peer b: allowed_ips + 10.8.0.0/24";
    expect(answer).toMatchObject({ outcome: "applied", changes: [line], confirmSeconds: null });
    expect(rig.ip).toContain("-batch - < route add 10.8.0.0/24 dev iptun0");
    const [request, commit] = told(rig);
    expect(request).toMatchObject({ mark: 0, keys: "keep" });
    expect(request?.changes).toEqual([
      {
        kind: "update-peer",
        peer: {
          ...{ name: "b", failoverMs: 2_000, hasConfiguredEndpoint: true, keepaliveSeconds: 0 },
          ...{ allowedIps: WIDE.allowedIps, roaming: "validated", rateBitsPerSecond: undefined },
          ...{ keys: undefined, endpoints: undefined },
        },
      },
    ]);
    expect(commit).toMatchObject({ changes: [], keys: "wipe" });
    expect((await rig.side.status()).peers[0]?.allowedIps).toEqual(["10.9.0.0/16", "10.8.0.0/24"]);
    expect(rig.log.lines).toContain(`info reload: ${line}`);
  });

  it("of a file that says what is changes nothing", async () => {
    const rig = await started();
    expect(await reload(rig, config())).toMatchObject({ outcome: "applied", changes: [] });
    expect([told(rig), rig.ip]).toEqual([[], []]);
  });

  it("hands new keys to the engine, and names those that it takes back", async () => {
    const rig = await started();
    const peers = [peerConfig({ keys: [new Uint8Array(32).fill(8)] })];
    await reload(rig, config({ peers }), "?confirm=60");
    const [request] = told(rig);
    const [change] = request?.changes ?? [];
    expect(change?.kind === "update-peer" && change.peer.keys).toEqual([
      new Uint8Array(32).fill(8),
    ]);
    await rig.timers.fire(60_000);
    const [back] = told(rig)[1]?.changes ?? [];
    expect(back?.kind === "update-peer" && back.peer.keys).toEqual([{ fingerprint: "00000007" }]);
    expect(told(rig)[1]?.keys).toBe("wipe");
  });

  it("changes peers, settings and log level, and the look at packets with it", async () => {
    const rig = await started();
    const after = config({
      interface: { addresses: [address("10.0.0.9/24")], copyDscp: true, mtu: 1_300 },
      peers: [peerConfig({ name: "c", endpoints: [{ host: "c.example", port: 1 }] })],
      log: { level: "debug", format: "text" },
    });
    expect(await reload(rig, after)).toMatchObject({ outcome: "applied" });
    expect(told(rig)[0]?.changes.map(({ kind }) => kind)).toEqual([
      ...["remove-peer", "set-inner-addresses", "set-mtu", "set-copy-dscp", "set-tracing"],
      "add-peer",
    ]);
    expect(rig.asked).toEqual(["c.example 0"]);
    expect(rig.log.lines).toContain("configured debug text");
    const traces = async () => {
      rig.engine.commands.length = 0;
      await rig.timers.fire(TRACE_POLL_MS);
      return rig.engine.commands.filter(({ kind }) => kind === "trace").length;
    };
    expect(await traces()).toBe(1);
    await reload(rig, config());
    expect(await traces()).toBe(0);
  });

  it("of a bad file changes nothing and tells every problem", async () => {
    const rig = await started();
    expect(await reload(rig, BAD)).toMatchObject({
      ...{ outcome: "bad-configuration", file: BAD.file, text: BAD.message },
      problems: [{ line: 3, key: "interface.mtu", text: "is 5" }],
    });
    expect([told(rig), rig.ip]).toEqual([[], []]);
  });

  it("that needs a restart changes nothing, whatever else it would change", async () => {
    const rig = await started();
    const answer = await reload(rig, config({ interface: { device: "eth0" }, peers: [WIDE] }));
    expect(answer).toEqual({
      outcome: "refused",
      reasons: ["interface.device none -> eth0: needs a restart"],
    });
    expect([told(rig), rig.ip]).toEqual([[], []]);
  });

  it("that the kernel refuses is taken back, and the engine hears nothing of it", async () => {
    let isRefusing = false;
    const ip = (args: readonly string[]) => {
      if (isRefusing && args.join(" ") === "-batch -") {
        isRefusing = false;
        const stderr = "RTNETLINK answers: File exists\nCommand failed -:1\n";
        return { exitCode: 1, stderr };
      }
      return { exitCode: args[0] === "-j" ? 1 : 0 };
    };
    const rig = await started({ ip });
    isRefusing = true;
    await expect(reload(rig, config({ peers: [WIDE] }))).rejects.toThrow(
      "'ip route add 10.8.0.0/24 dev iptun0' failed: File exists",
    );
    expect(rig.ip.at(-1)).toBe("-force -batch - < route del 10.8.0.0/24 dev iptun0");
    expect(told(rig)).toEqual([]);
    expect((await rig.side.status()).peers[0]?.allowedIps).toEqual(["10.9.0.0/16"]);
    expect(await reload(rig, config({ peers: [WIDE] }))).toMatchObject({ outcome: "applied" });
  });

  it("that the engine refuses takes the device back", async () => {
    const rig = await started();
    rig.engine.refusals.push("the kernel refuses mark 9: EPERM");
    const after = config({ interface: { fwmark: 9 }, peers: [WIDE] });
    await expect(reload(rig, after)).rejects.toThrow("the kernel refuses mark 9: EPERM");
    expect(told(rig).map(({ mark }) => mark)).toEqual([9]);
    expect(rig.ip.at(-1)).toContain("route del 10.8.0.0/24");
    expect((await rig.side.status()).peers[0]?.allowedIps).toEqual(["10.9.0.0/16"]);
  });

  it("that needs a name for its default route waits for it a while, and is taken back", async () => {
    const host = new FakeHost();
    const rig = await started({ run: host.run, answers: [] });
    const before = host.state();
    const peer = { endpoints: [{ host: "b.example", port: 1 }], allowedIps: [prefix("0.0.0.0/0")] };
    const answer = reload(rig, config({ peers: [peerConfig(peer)] }));
    const failure = expect(answer).rejects.toThrow(
      "peer b has no address yet, and the default route",
    );
    while (!rig.timers.delays().includes(NAMES_WAIT_MS)) await settle();
    await rig.timers.fire(NAMES_WAIT_MS);
    await failure;
    expect(host.state()).toBe(before);
    expect(told(rig).map(({ mark, keys }) => [mark > 0, keys])).toEqual([
      [true, "keep"],
      [false, "wipe"],
    ]);
    expect((await rig.side.status()).peers[0]?.allowedIps).toEqual(["10.9.0.0/16"]);
  });

  it("sets a default route with a mark for the socket, and takes it away again", async () => {
    const host = new FakeHost();
    const rig = await started({ run: host.run });
    const before = host.state();
    const everything = peerConfig({ allowedIps: [prefix("0.0.0.0/0")] });
    await reload(rig, config({ peers: [everything] }));
    const { defaultRoute, firewall } = (await rig.side.status()).interface;
    expect([defaultRoute?.families, firewall]).toEqual([["IPv4"], "on"]);
    expect(told(rig)[0]?.mark).toBe(defaultRoute?.mark);
    await reload(rig, config());
    expect((await rig.side.status()).interface.defaultRoute).toBeNull();
    expect([host.state(), told(rig).at(-1)?.mark]).toEqual([before, 0]);
  });

  it("takes the default route away before the socket's mark, and back after it", async () => {
    const host = new FakeHost();
    const everything = peerConfig({ allowedIps: [prefix("0.0.0.0/0")] });
    const rig = await started({ run: host.run, config: config({ peers: [everything] }) });
    const before = host.state();
    const mark = (await rig.side.status()).interface.defaultRoute?.mark;
    const seen: unknown[] = [];
    host.onChange = (line) => {
      if (line.startsWith("rule")) seen.push([line.slice(0, 8), told(rig).map((one) => one.mark)]);
    };
    await reload(rig, config(), "?confirm=60");
    await rig.timers.fire(60_000);
    while (!rig.log.lines.join().includes("ROLLED BACK")) await settle();
    expect(seen).toEqual([
      ...[1, 2].map(() => ["rule del", []]),
      ...[1, 2].map(() => ["rule add", [0, mark]]),
    ]);
    expect(host.state()).toBe(before);
  });

  it("that cannot have its default route is taken back whole", async () => {
    const host = new FakeHost();
    const rig = await started({ run: host.run });
    const before = host.state();
    host.failures.set("rule add", "RTNETLINK answers: Operation not permitted");
    const everything = peerConfig({ allowedIps: [prefix("0.0.0.0/0")] });
    await expect(reload(rig, config({ peers: [everything] }))).rejects.toThrow("not permitted");
    expect(host.state()).toBe(before);
    expect(told(rig).at(-1)).toMatchObject({ mark: 0, keys: "wipe" });
    expect((await rig.side.status()).peers[0]?.allowedIps).toEqual(["10.9.0.0/16"]);
  });
});

describe("a signal", () => {
  it("reloads, and logs what was wrong", async () => {
    const rig = await started();
    rig.world.file = BAD;
    rig.side.reloadBySignal();
    await settle();
    expect(rig.log.lines.filter((line) => line.startsWith("error"))).toEqual([
      "error reload: /etc/iptun.toml:3: interface.mtu: is 5",
      "error reload: the configuration stays as it was",
    ]);
    rig.world.file = config({ peers: [WIDE] });
    rig.side.reloadBySignal();
    await settle();
    expect(told(rig)).toHaveLength(2);
  });

  it("is too early while the tunnel starts", () => {
    const rig = setUp();
    rig.side.reloadBySignal();
    expect(rig.log.lines).toEqual(["warn not reloaded: the tunnel is still starting"]);
  });

  it("of very many is two readings", async () => {
    const rig = await started();
    rig.world.file = config({ peers: [WIDE] });
    for (let count = 0; count < 100; count += 1) rig.side.reloadBySignal();
    await settle();
    await settle();
    const begun = rig.log.lines.filter((line) => line === "debug reload begins");
    expect(begun.length).toBeLessThanOrEqual(2);
    expect(told(rig)).toHaveLength(2);
  });
});

describe("a reload that waits to be confirmed", () => {
  it("is kept by a confirmation, and its keys before are wiped", async () => {
    const rig = await started();
    const answer = await reload(rig, config({ peers: [WIDE] }), "?confirm=60");
    expect(answer).toMatchObject({ outcome: "applied", confirmSeconds: 60 });
    expect((await rig.side.status()).confirmSecondsLeft).toBe(60);
    expect(told(rig)).toHaveLength(1);
    expect(await postTo(rig.socketPath, "/v1/confirm")).toEqual({ outcome: "confirmed" });
    expect(told(rig)[1]).toMatchObject({ changes: [], keys: "wipe" });
    expect((await rig.side.status()).confirmSecondsLeft).toBeNull();
    expect(rig.timers.delays()).not.toContain(60_000);
    await expect(postTo(rig.socketPath, "/v1/confirm")).rejects.toThrow("nothing waits");
  });

  it("is taken back by itself, loudly, and the next reload works", async () => {
    const rig = await started();
    await reload(rig, config({ peers: [WIDE] }), "?confirm=3");
    await rig.timers.fire(3_000);
    await settle();
    expect(rig.ip.at(-1)).toBe("-batch - < route del 10.8.0.0/24 dev iptun0");
    expect(rig.log.lines.filter((line) => line.startsWith("error"))).toEqual([
      "error NOT CONFIRMED in 3 s: ROLLED BACK to the configuration before; the file still has the other one",
    ]);
    const status = await rig.side.status();
    expect([status.confirmSecondsLeft, status.peers[0]?.allowedIps]).toEqual([
      null,
      ["10.9.0.0/16"],
    ]);
    expect(await reload(rig, config({ peers: [WIDE] }))).toMatchObject({
      changes: ["peer b: allowed_ips + 10.8.0.0/24"],
    });
  });

  it("has others refused meanwhile, with the time that is left", async () => {
    const rig = await started();
    await reload(rig, config({ peers: [WIDE] }), "?confirm=60");
    rig.timers.nowMs += 18_500;
    expect(await reload(rig, config())).toEqual({
      outcome: "refused",
      reasons: ["the configuration waits to be confirmed (42 s left); confirm it, or wait"],
    });
    expect(told(rig)).toHaveLength(1);
  });

  it("ends with the tunnel, without a way back", async () => {
    const rig = await started();
    await reload(rig, config({ peers: [WIDE] }), "?confirm=60");
    await rig.side.stop();
    expect(rig.timers.delays()).not.toContain(60_000);
    expect(told(rig)).toHaveLength(1);
  });

  it.each(["0", "3601", "-1", "x", ""])("needs seconds, which %j are not", async (text) => {
    const rig = await started();
    const answer = reload(rig, config({ peers: [WIDE] }), `?confirm=${text}`);
    await expect(answer).rejects.toThrow("expected whole seconds from 1 to 3600");
    expect(told(rig)).toEqual([]);
  });
});
