/**
 * The control side over a fake engine, a fake `ip` and manual timers: events, polls, stop.
 */
import { stat } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { dropCounters } from "../../src/core/drop-reason.ts";
import { mapAddress } from "../../src/core/prefix.ts";
import { fetchStatus } from "../../src/daemon/control/control-client.ts";
import { SAMPLE_MS } from "../../src/daemon/control/history.ts";
import { INTERFACE_POLL_MS, QUIET_POLL_MS } from "../../src/daemon/host/link-watch.ts";
import { GATHER_NEWS_MS, NEWS_PAUSE_MS } from "../../src/daemon/host/network-news.ts";
import { DROP_SUMMARY_MS } from "../../src/daemon/log/drop-summary.ts";
import { TRACE_POLL_MS } from "../../src/daemon/polls.ts";
import { config } from "./config.ts";
import { attached, info, setUp, UP, WHOLE, withHost } from "./control-rig.ts";
import { tunnelSnapshot } from "./snapshot.ts";
import { settle } from "./timers.ts";
import { fetchText, freePort } from "./web.ts";

describe("the status", () => {
  it("is served on the control socket", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.timers.nowMs = 61_000;

    const status = await fetchStatus(rig.socketPath);

    expect(status).toMatchObject({ pid: 42, uptimeSeconds: 61, interface: { name: "iptun0" } });
  });

  it("is refused while starting", async () => {
    const rig = setUp();

    await expect(rig.side.status()).rejects.toThrow("still starting");
  });
});

it("the history is fed once a second", async () => {
  const rig = setUp();
  await rig.side.start();
  rig.engine.sample = { names: ["b"], figures: Float64Array.of(0, 0, 20, 0, 0) };
  await rig.timers.fire(SAMPLE_MS);
  rig.engine.sample = { names: ["b"], figures: Float64Array.of(500, 70, 20, 0, 0) };
  await rig.timers.fire(SAMPLE_MS);

  const status = await rig.side.status();

  expect(status.peers[0]?.rates).toEqual({
    inboundBytesPerSecond: 500,
    outboundBytesPerSecond: 70,
  });
});

describe("metrics", () => {
  it("are served on the control socket", async () => {
    const rig = setUp();
    await rig.side.start();

    const answer = await fetchText(rig.socketPath, "/v1/metrics");

    expect(answer).toContain('iptun_peer_up{interface="iptun0",peer="b"} 1\n');
    expect(answer).toContain('iptun_engine_active_seconds_total{interface="iptun0"} 0.1\n');
  });

  it("are served over TCP until the stop where the configuration says so", async () => {
    const port = await freePort();
    const listen = { host: "127.0.0.1", port };
    const rig = setUp({ config: config({ metrics: { listen, hasPage: false } }) });
    await rig.side.start();
    const url = `http://127.0.0.1:${port}/metrics`;

    expect(await (await fetch(url)).text()).toContain("iptun_peer_up");

    await rig.side.stop();
    await expect(fetch(url)).rejects.toThrow();
  });

  it("that cannot be served over TCP do not keep the tunnel from starting", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const listen = { host: "127.0.0.1", port };
    const rig = setUp({ config: config({ metrics: { listen, hasPage: false } }) });

    await rig.side.start();

    expect(rig.log.lines.join("\n")).toMatch(/^warn cannot serve metrics on 127/m);
    expect(await fetchStatus(rig.socketPath)).toMatchObject({ pid: 42 });
    await new Promise((resolve) => taken.close(resolve));
  });
});

describe("names", () => {
  it("are resolved after the start and handed to the engine", async () => {
    const rig = setUp({ config: withHost("vpn.example.org"), answers: [["192.0.2.2"]] });

    await rig.side.start();
    await settle();

    expect(rig.asked).toEqual(["vpn.example.org 0"]);
    expect(rig.engine.commands).toMatchObject([
      {
        kind: "apply",
        changes: [{ kind: "set-endpoints", name: "b", endpoints: [{ port: 1194 }] }],
      },
    ]);
  });

  it("that do not resolve are told and tried again", async () => {
    const rig = setUp({ config: withHost("vpn.example.org"), answers: [new Error("EAI_AGAIN")] });

    await rig.side.start();
    await settle();

    expect(rig.log.lines).toContain(
      "warn cannot resolve vpn.example.org of peer b: EAI_AGAIN; next try in 1 s",
    );
    expect(rig.timers.delays()).toContain(1_000);
  });

  it("are asked for again when the peer does not answer", async () => {
    const rig = setUp({
      config: withHost("vpn.example.org"),
      answers: [["192.0.2.2"], ["192.0.2.3"]],
    });
    await rig.side.start();
    await settle();
    rig.timers.nowMs += 30_000;

    rig.engine.report({ kind: "events", events: [{ kind: "unanswered", peer: "b", seconds: 30 }] });
    await settle();

    expect(rig.asked).toHaveLength(2);
  });

  it.each([
    [
      "a bound IPv6 address",
      Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Array<number>(12).fill(1)),
      6,
    ],
    ["every address", new Uint8Array(16), 0],
  ])("are asked for in the families of %s", async (_name, address, family) => {
    const base = withHost("vpn.example.org");
    const rig = setUp({
      config: { ...base, interface: { ...base.interface, listen: { address, port: 1194 } } },
    });

    await rig.side.start();

    expect(rig.asked).toEqual([`vpn.example.org ${family}`]);
  });
});

describe("events", () => {
  it("are logged and acknowledged", async () => {
    const rig = setUp();
    await rig.side.start();

    rig.engine.report({ kind: "events", events: [{ kind: "down", peer: "b", reason: "closed" }] });

    expect(rig.log.lines.at(-1)).toBe("info peer b is down: closed by the other side");
    expect(rig.engine.commands.at(-1)).toEqual({ kind: "acknowledge" });
  });
});

describe("a refused run", () => {
  it("is told once", async () => {
    const rig = setUp();
    await rig.side.start();
    const remote = mapAddress(Uint8Array.of(192, 0, 2, 1));

    rig.engine.report({ kind: "gso-refused", remote, errno: "EIO" });
    rig.engine.report({ kind: "gso-refused", remote, errno: "EIO" });

    expect(rig.log.lines.slice(-2)).toEqual([
      "info datagrams to 192.0.2.1 go one by one for now: the path takes no runs (EIO)",
      "debug datagrams to 192.0.2.1 go one by one for now: the path takes no runs (EIO)",
    ]);
  });
});

describe("the poll of interfaces", () => {
  it("tells the engine of new own addresses, and only of those", async () => {
    const rig = setUp();
    await rig.side.start();
    await rig.timers.fire(INTERFACE_POLL_MS);
    const before = rig.engine.commands.length;

    rig.world.interfaces = { ...UP, eth0: [info("192.0.2.9")] };
    await rig.timers.fire(INTERFACE_POLL_MS);
    await rig.timers.fire(INTERFACE_POLL_MS);

    expect(before).toBe(0);
    expect(rig.engine.commands).toMatchObject([
      { kind: "apply", changes: [{ kind: "own-links" }] },
    ]);
  });

  it("comes with the kernel's news, and tells the engine of them also where no address changed", async () => {
    const rig = setUp({ hasNews: true });
    await rig.side.start();
    expect(rig.timers.delays()).toContain(QUIET_POLL_MS);
    rig.world.tell?.({ isOwn: true, isOther: false });
    await rig.timers.fire(GATHER_NEWS_MS);
    expect(rig.engine.commands).toEqual([]);
    rig.timers.nowMs += NEWS_PAUSE_MS;

    rig.world.tell?.({ isOwn: false, isOther: true });
    await rig.timers.fire(GATHER_NEWS_MS);

    expect(rig.engine.commands).toMatchObject([
      { kind: "apply", changes: [{ kind: "own-links" }] },
    ]);
    await rig.side.stop();
    expect(rig.world.tell).toBeUndefined();
  });

  it("reports a link that is down once, and puts back what it lost when it is up again", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.world.state = { ...WHOLE, isUp: false, mtu: 1300, routes: [] };
    await rig.timers.fire(INTERFACE_POLL_MS);
    await rig.timers.fire(INTERFACE_POLL_MS);
    const status = await rig.side.status();

    rig.world.state = { ...rig.world.state, isUp: true };
    await rig.timers.fire(INTERFACE_POLL_MS);

    expect(rig.log.lines.filter((line) => line.includes("link"))).toEqual([
      "warn link iptun0 is down: packets are dropped until it is up",
      "info link iptun0 is up again",
    ]);
    expect(status.interface).toMatchObject({ isLinkUp: false, mtu: 1300 });
    expect(rig.ip.at(-1)).toBe(
      "-force -batch - < link set dev iptun0 mtu 1420, route add 10.9.0.0/16 dev iptun0",
    );
  });

  it("looks after a device without addresses too", async () => {
    const rig = setUp({ config: config({ interface: { addresses: [] } }) });
    await rig.side.start();
    rig.world.state = { ...WHOLE, addresses: [], routes: [] };

    await rig.timers.fire(INTERFACE_POLL_MS);

    expect(rig.ip.at(-1)).toBe("-force -batch - < route add 10.9.0.0/16 dev iptun0");
  });

  it("leaves the status to engine and configuration where the device has lost its name", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.world.state = undefined;

    expect((await rig.side.status()).interface).toMatchObject({ isLinkUp: true, mtu: 1420 });
  });

  it("takes the engine's word for a link that is down", async () => {
    const rig = setUp();
    await rig.side.start();

    rig.engine.report({ kind: "link", isUp: false });

    expect(rig.log.lines.at(-1)).toContain("link iptun0 is down");
  });
});

describe("drops", () => {
  it("are summed up every 10 s", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.engine.snapshot = tunnelSnapshot({ drops: { ...dropCounters(), forged: 3 } });

    await rig.timers.fire(DROP_SUMMARY_MS);
    await rig.timers.fire(DROP_SUMMARY_MS);

    expect(rig.log.lines.filter((line) => line.includes("dropped"))).toEqual([
      "info dropped 3 packets (forged): data does not open under the session key",
    ]);
  });
});

describe("packet lines", () => {
  it("are fetched every second at debug level, with a count of the rest", async () => {
    const rig = setUp({ config: config({ log: { level: "debug", format: "auto" } }) });
    await rig.side.start();
    rig.engine.answers = false;
    await rig.timers.fire(TRACE_POLL_MS);

    const line = { direction: "inbound", layer: "packet", length: 84, port: 0 } as const;
    const lines = [{ ...line, source: undefined, destination: undefined }];
    rig.engine.report({ kind: "trace", id: 2, lines, suppressed: 5 });
    await settle();

    expect(rig.log.lines.slice(-2)).toEqual([
      "debug inbound packet 84 bytes",
      "debug 5 more packets and datagrams not shown",
    ]);
    rig.engine.answers = true;
  });

  it("are not asked for at other levels", async () => {
    const rig = setUp();

    await rig.side.start();
    await rig.timers.fire(TRACE_POLL_MS);

    expect(rig.engine.commands).not.toContainEqual(expect.objectContaining({ kind: "trace" }));
  });
});

describe("the end", () => {
  it("of the engine is passed on, its detail at debug level", async () => {
    const rig = setUp();
    await rig.side.start();

    rig.engine.report({
      kind: "fatal",
      message: "TUN device iptun0 is gone",
      exitCode: 1,
      detail: "x",
    });

    await expect(rig.side.ended).rejects.toMatchObject({ message: "TUN device iptun0 is gone" });
    expect(rig.log.lines.at(-1)).toBe("debug x");
  });

  it("of a poll that the engine's end refuses is no second failure", async () => {
    const rig = setUp();
    await rig.side.start();
    rig.engine.answers = false;
    await rig.timers.fire(DROP_SUMMARY_MS);

    rig.engine.die("the engine ended with code 1");
    await settle();

    expect(rig.log.lines.at(-1)).toContain("the engine ended with code 1");
  });

  it("by stopping sends the stop, removes the socket and ends all timers", async () => {
    const rig = setUp();
    await rig.side.start();

    await rig.side.stop();

    expect(rig.engine.commands.at(-1)).toEqual({ kind: "stop" });
    expect(rig.timers.delays()).toEqual([]);
    await expect(stat(rig.socketPath)).rejects.toThrow("ENOENT");
  });

  it("takes off what was put on an attached device", async () => {
    const rig = setUp({ ip: attached });
    await rig.side.start();

    await rig.side.stop();

    expect(rig.ip.at(-1)).toMatch(/^-force -batch - < route del 10.9.0.0\/16 dev iptun0/);
  });
});
