/**
 * What a tunnel changes on its host, against a host in memory: made, put back, undone, also by the next run.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/config.ts";
import type { DeviceState } from "../../../src/daemon/host/device-state.ts";
import { FIREWALL_LOOKS, HostChanges } from "../../../src/daemon/host/host-changes.ts";
import { Journal } from "../../../src/daemon/host/journal.ts";
import { REPAIR_PAUSE_MS } from "../../../src/daemon/host/repair-pace.ts";
import type { Sysctl } from "../../../src/daemon/host/sysctl.ts";
import { ownIdentity } from "../../../src/daemon/process/run-identity.ts";
import { address, config, peerConfig, prefix } from "../config.ts";
import { info } from "../control-rig.ts";
import { FakeHost } from "../fake-host.ts";
import { memoryLog } from "../log.ts";
import { ManualTimers } from "../timers.ts";

const PORT = 1194;
/** A run whose process is gone. */
const DEAD = { ...ownIdentity(), startTicks: 1 };
/** The first that the name "iptun0" gives. */
const NUMBER = 12_299;

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iptun-host-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("another configuration", () => {
  const wanting = (allowed: readonly string[], changes: Partial<Config["interface"]> = {}) =>
    config({
      interface: { stateDir: directory, ...changes },
      peers: [peerConfig({ allowedIps: allowed.map(prefix) })],
    });

  async function change(rig: ReturnType<typeof setUp>, to: Config): Promise<number> {
    const mark = await rig.changes.prepareChange(to);
    await rig.changes.change(to, mark, PORT);
    return mark;
  }

  it("adds and takes away the route of one family, and leaves the other alone", async () => {
    const rig = setUp({ allowed: ["0.0.0.0/0"] });
    const mark = await rig.start();
    const made = rig.host.changes.length;
    expect(await change(rig, wanting(["0.0.0.0/0", "::/0"]))).toBe(mark);
    expect(rig.host.changes.slice(made).every((line) => line.startsWith("-6 "))).toBe(true);
    expect(rig.changes.status().defaultRoute).toEqual({ families: ["IPv4", "IPv6"], mark });
    await change(rig, wanting(["::/0"]));
    expect(rig.changes.status().defaultRoute).toEqual({ families: ["IPv6"], mark });
    expect([rig.host.families["-4"].routes, rig.world.validMark]).toEqual([[], "0"]);
  });

  it("without any leaves nothing on the host, nor in the journal", async () => {
    const rig = setUp();
    const before = rig.state();
    await rig.start();
    expect(await change(rig, wanting(["10.9.0.0/16"]))).toBe(0);
    expect([rig.state(), await readdir(directory)]).toEqual([before, []]);
    expect(rig.changes.status()).toEqual({ defaultRoute: null, firewall: "off" });
    expect(rig.changes.mark).toBe(0);
  });

  it("with another address replaces the firewall's table at once, and the same keeps it", async () => {
    const rig = setUp();
    await rig.start();
    const made = rig.host.changes.length;
    await change(rig, wanting(["0.0.0.0/0", "::/0"]));
    expect(rig.host.changes.slice(made)).toEqual([]);
    await change(rig, wanting(["0.0.0.0/0", "::/0"], { addresses: [address("10.0.7.7/24")] }));
    expect(rig.host.changes.slice(made)).toEqual(["nft set"]);
    expect([...rig.host.tables.values()][0]).toContain("10.0.7.7");
    const firewalls = rig.journal.changes.filter(({ kind }) => kind === "firewall");
    expect(firewalls).toHaveLength(1);
  });

  it("whose table nft refuses leaves the one before, which the end takes away", async () => {
    const rig = setUp();
    const before = rig.state();
    await rig.start();
    rig.host.failures.set("nft add", "Operation not permitted");
    await change(rig, wanting(["0.0.0.0/0", "::/0"], { addresses: [address("10.0.7.7/24")] }));
    expect(rig.changes.status().firewall).toBe("failed");
    rig.host.failures.clear();
    await rig.changes.down();
    expect(rig.state()).toBe(before);
  });

  it("that cannot be had is found before anything is changed", async () => {
    const rig = setUp({ allowed: ["10.9.0.0/16"] });
    await rig.start();
    rig.host.families["-4"].routes.push({ dst: "0.0.0.0/1", dev: "tun9", table: "254" });
    const before = rig.state();
    await expect(rig.changes.prepareChange(wanting(["0.0.0.0/0"]))).rejects.toThrow("0.0.0.0/1");
    expect(rig.state()).toBe(before);
  });

  it("after the end changes nothing", async () => {
    const rig = setUp({ allowed: ["10.9.0.0/16"] });
    await rig.start();
    await rig.changes.down();
    const before = rig.state();
    await rig.changes.change(wanting(["0.0.0.0/0"]), NUMBER, PORT);
    expect(rig.state()).toBe(before);
  });
});

describe("the changes", () => {
  it("are made in order, and undone to the last the other way round", async () => {
    const rig = setUp();
    const before = rig.state();
    await rig.start();
    const made = [...rig.host.changes];

    expect(made).toEqual([
      "nft set",
      ...["-4", "-6"].flatMap((family) => [
        `${family} route add default dev iptun0 table ${NUMBER}`,
        `${family} rule add priority 32764 from all lookup main suppress_prefixlength 0`,
        `${family} rule add not from all fwmark ${NUMBER} lookup ${NUMBER} priority 32765`,
      ]),
    ]);
    expect(rig.world.validMark).toBe("1");
    expect(rig.changes.status()).toEqual({
      defaultRoute: { families: ["IPv4", "IPv6"], mark: NUMBER },
      firewall: "on",
    });
    await rig.changes.down();
    expect(rig.host.changes.slice(made.length)).toEqual(
      made.toReversed().map((line) => line.replace(" add ", " del ").replace("set", "remove")),
    );
    expect(rig.state()).toBe(before);
    expect(await readdir(directory)).toEqual([]);
    expect(rig.log.lines).toEqual([]);
  });

  it("are each in the journal before they are made", async () => {
    const rig = setUp();
    const seen: (readonly string[])[] = [];
    const look = () => {
      const state = new Journal(directory, "iptun0").read();
      seen.push(state.kind === "left" ? state.changes.map(({ kind }) => kind) : [state.kind]);
    };
    rig.host.onChange = look;
    rig.world.onWrite = look;
    await rig.start();

    const three = ["firewall", "src-valid-mark", "default-route"];
    expect(seen).toEqual([
      ["firewall"],
      ["firewall", "src-valid-mark"],
      ...[three, three, three],
      ...Array.from({ length: 3 }, () => [...three, "default-route"]),
    ]);
  });

  it("are none where no default route is asked for", async () => {
    const rig = setUp({ allowed: ["10.9.0.0/16"] });
    await rig.start();
    await rig.changes.poll();
    await rig.changes.down();

    expect([rig.host.changes, await readdir(directory), rig.world.validMark]).toEqual([
      [],
      [],
      "0",
    ]);
    expect(rig.changes.status()).toEqual({ defaultRoute: null, firewall: "off" });
  });

  it("of IPv6 alone leave the switch of IPv4", async () => {
    const rig = setUp({ allowed: ["::/0"] });
    await rig.start();

    expect(rig.host.changes.filter((line) => line.startsWith("-4"))).toEqual([]);
    expect(rig.world.validMark).toBe("0");
  });

  it("leave a switch that is on, also at the end", async () => {
    const rig = setUp();
    rig.world.validMark = "1";
    await rig.start();
    await rig.changes.down();

    expect(rig.world.validMark).toBe("1");
  });

  it("take the mark that is configured, with the table of its number", async () => {
    const rig = setUp({ interface: { fwmark: 51_820 } });

    expect(await rig.start()).toBe(51_820);
    expect(rig.host.changes).toContain("-6 route add default dev iptun0 table 51820");
  });

  it("are those of the family that the host has", async () => {
    const rig = setUp();
    rig.host.hasIpv6 = false;
    await rig.start();

    expect(rig.changes.status().defaultRoute?.families).toEqual(["IPv4"]);
    expect(rig.log.lines).toEqual(["warn this host has no IPv6: no default route for it"]);
  });

  it.each([
    ["the route", "-6 route add default", "Network is unreachable"],
    ["a rule", "suppress_prefixlength", 'Error: argument "suppress_prefixlength" is wrong: x'],
    ["the last rule", "not from all", "RTNETLINK answers: No buffer space available"],
  ])("are all undone where %s is refused", async (_, part, answer) => {
    const rig = setUp();
    const before = rig.state();
    rig.host.failures.set(part.replace(/^-6 /, ""), answer);

    await expect(rig.start()).rejects.toThrow(/^'ip (route|rule) add .*' failed: /);
    rig.host.failures.clear();
    await rig.changes.down();

    expect(rig.state()).toBe(before);
    expect(await readdir(directory)).toEqual([]);
  });

  it("are not begun where the journal cannot be written", async () => {
    const rig = setUp();
    rmSync(directory, { recursive: true });
    writeFileSync(directory, "");

    await expect(rig.start()).rejects.toThrow("cannot write");
    expect([rig.host.changes, rig.world.validMark]).toEqual([[], "0"]);
  });

  it("stop where a stop comes, and are undone", async () => {
    const rig = setUp();
    const before = rig.state();
    let stopped: Promise<void> | undefined;
    rig.host.onChange = (line) => {
      if (line.startsWith("rule add not")) stopped ??= rig.changes.down();
    };
    await rig.start();
    await stopped;

    expect(rig.host.changes.some((line) => line.startsWith("-6"))).toBe(false);
    expect(rig.state()).toBe(before);
    await rig.changes.poll();
    await rig.changes.up(PORT);
    expect(rig.state()).toBe(before);
  });

  it("that cannot be undone stay in the journal and are told", async () => {
    const rig = setUp();
    await rig.start();
    rig.host.failures.set("rule del not", "RTNETLINK answers: Operation not permitted");
    await rig.changes.down();

    expect(rig.log.lines).toEqual(Array(2).fill("warn undoing: Operation not permitted"));
    expect(rig.journal.changes.map(({ kind }) => kind)).toEqual(["default-route", "default-route"]);
  });
});

describe("before any change a start ends with one line where", () => {
  const cases: readonly InTheWay[] = [
    {
      what: "another tunnel has the default route",
      arrange: (host) => otherTunnel(host, 51_820),
      line: /^another tunnel has the default route of IPv6 \(ip rule 32000, table 51820\): end that one, or set routes = false$/,
    },
    {
      what: "a route takes half of everything",
      arrange: ({ families }) =>
        families["-4"].routes.push({ dst: "0.0.0.0/1", dev: "tun0", table: "254" }),
      line: /^the route 0\.0\.0\.0\/1 dev tun0 would take IPv4 past the tunnel: end what has set it \(another tunnel\?\), or set routes = false$/,
    },
    {
      what: "there is no place for the rules",
      arrange: ({ families }) =>
        families["-4"].rules.push({ priority: 1, src: "all", table: "254" }),
      line: /^the rules of IPv4 leave no room for two before them \(ip rule\)/,
    },
    {
      what: "the table of the mark has routes",
      arrange: ({ families }) =>
        families["-6"].routes.push({ dst: "fd05::/16", dev: "eth0", table: "77" }),
      line: /^interface\.fwmark: 77 is also the number of the default route's table, and a table of this number is in use; set another, or none$/,
      device: { fwmark: 77 },
    },
    {
      what: "a rule leads into the table of the mark",
      arrange: ({ families }) =>
        families["-4"].rules.push({ priority: 9, src: "10.0.0.1", table: "77" }),
      line: /^interface\.fwmark: 77 is also/,
      device: { fwmark: 77 },
    },
    {
      what: "no number is free",
      arrange: ({ families }) => {
        const mark = { fwmark: "0x0", fwmask: "0xf00" };
        families["-4"].rules.push({ priority: 9, src: "all", ...mark, table: "7" });
      },
      line: /^no number is free as mark and routing table/,
    },
    {
      what: "ip prints no rules",
      arrange: ({ families }) => {
        families["-4"].rules = [];
        families["-6"].rules = [];
      },
      line: /^this ip is too old/,
    },
  ];

  it.each(cases)("$what", async ({ arrange, line, device = {} }) => {
    const rig = setUp({ interface: device });
    arrange(rig.host);

    await expect(rig.start()).rejects.toThrow(line);
    expect([rig.host.changes, await readdir(directory)]).toEqual([[], []]);
  });

  it("but not where another tunnel has left a rule, whose table is empty", async () => {
    const rig = setUp();
    otherTunnel(rig.host, 51_820);
    rig.host.families["-6"].routes = [];
    await rig.start();

    expect(rig.changes.status().defaultRoute?.families).toEqual(["IPv4", "IPv6"]);
  });

  it("but takes the next number where the first names a table with routes", async () => {
    const rig = setUp();
    rig.host.families["-4"].routes.push({ dst: "10.0.0.0/8", dev: "eth0", table: String(NUMBER) });

    expect(await rig.start()).toBe(NUMBER + 1);
  });
});

describe("the firewall", () => {
  it("can be had without a default route, and done without with one", async () => {
    const on = setUp({ allowed: ["10.9.0.0/16"], interface: { firewall: true } });
    await on.start();
    expect([...on.host.tables.values()].join()).toContain("ip daddr { 10.0.0.1 }");
    expect([...on.host.tables.values()].join()).not.toContain("mark");
    await on.changes.down();

    const off = setUp({ interface: { firewall: false } });
    await off.start();
    const text = [...off.host.tables.values()].join();
    expect(text).toContain(`udp dport ${PORT} meta mark set ${NUMBER}`);
    expect([text.includes("daddr {"), off.changes.status().firewall]).toEqual([false, "off"]);
  });

  it("leaves out what other devices have too, and addresses that every device may have", async () => {
    const addresses = [...config().interface.addresses, address("fe80::1/64")];
    const rig = setUp({ interface: { addresses } });
    rig.world.interfaces = { eth0: [info("fd00::1%eth0")], iptun0: [info("10.0.0.1")] };
    await rig.start();

    const text = [...rig.host.tables.values()].join();
    expect(text).toContain("ip daddr { 10.0.0.1 }");
    expect(text).not.toContain("ip6");
    expect(rig.log.lines).toEqual([
      "warn fd00::1 is an address of eth0 too: packets to it from elsewhere are let in",
    ]);
  });

  it("without nft is one warning, and the tunnel runs", async () => {
    const rig = setUp();
    rig.host.hasNft = false;
    await rig.start();

    expect(rig.log.lines).toEqual([
      "warn no firewall (nft is not installed): forged packets to the inner addresses are let in, and where rp_filter is 1 the peers' datagrams are dropped",
    ]);
    expect(rig.changes.status()).toMatchObject({
      firewall: "failed",
      defaultRoute: { mark: NUMBER },
    });
    expect(rig.journal.changes.map(({ kind }) => kind)).not.toContain("firewall");
  });

  it("that is taken away comes back within some looks", async () => {
    const rig = setUp();
    await rig.start();
    rig.host.tables.clear();
    for (let look = 0; look < FIREWALL_LOOKS; look++) await rig.changes.poll();

    expect(rig.host.tables.size).toBe(1);
    expect(rig.log.lines).toEqual(["info the firewall's table was taken away; put back"]);
  });
});

describe("a look", () => {
  it("that finds all as it was changes nothing", async () => {
    const rig = setUp();
    await rig.start();
    const { length } = rig.host.changes;
    for (let look = 0; look < FIREWALL_LOOKS; look++) await rig.changes.poll();

    expect([rig.host.changes.length, rig.log.lines]).toEqual([length, []]);
  });

  it("puts back the rules and routes that are gone, with one line", async () => {
    const rig = setUp();
    await rig.start();
    const whole = rig.state();
    flush(rig.host, "-6");
    await Promise.all([rig.changes.poll(), rig.changes.poll()]);

    expect(rig.state()).toBe(whole);
    expect(rig.log.lines).toEqual(["info the default route of IPv6 was taken away; put back"]);
  });

  it("leaves the routes of a link that is down, and puts them back when it is up", async () => {
    const rig = setUp();
    await rig.start();
    const whole = rig.state();
    rig.world.device = { ...UP, isUp: false };
    for (const family of ["-4", "-6"] as const) rig.host.families[family].routes = [];
    await rig.changes.poll();
    const down = rig.state();
    rig.world.device = UP;
    await rig.changes.poll();

    expect(down).not.toBe(whole);
    expect(rig.state()).toBe(whole);
  });

  it("that does not help is tried three times, then after a pause, and told once", async () => {
    const rig = setUp();
    await rig.start();
    flush(rig.host, "-4");
    rig.host.failures.set("add", "RTNETLINK answers: File exists");
    const { length } = rig.host.changes;
    for (let look = 0; look < 9; look++) await rig.changes.poll();
    const tries = (rig.host.changes.length - length) / 3;
    await rig.timers.fire(REPAIR_PAUSE_MS);

    expect([tries, (rig.host.changes.length - length) / 3]).toEqual([3, 4]);
    expect(rig.log.lines).toEqual([
      "warn cannot put back the default route of IPv4: File exists; File exists; File exists",
    ]);
  });

  it("is not looked for any more after the end, whatever was to be tried again", async () => {
    const rig = setUp();
    await rig.start();
    flush(rig.host, "-4");
    rig.host.failures.set("add", "RTNETLINK answers: File exists");
    await rig.changes.poll();

    await rig.changes.down();

    expect(rig.timers.delays()).toEqual([]);
  });

  it("that is answered with nothing is no reason to add anything", async () => {
    const rig = setUp();
    await rig.start();
    const { length } = rig.host.changes;
    rig.host.families["-4"].rules = [];
    await rig.changes.poll();

    expect(rig.host.changes.length).toBe(length);
  });
});

describe("the next run", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "undoes what one has left that was killed before its change %d, and takes its number",
    async (nth) => {
      const killed = setUp({ identity: DEAD });
      const before = killed.state();
      let left = nth - 1;
      const die = () => {
        left -= 1;
        if (left < 0) throw new Error("killed");
      };
      killed.host.onChange = die;
      killed.world.onWrite = die;
      await killed.start().catch(() => undefined);
      killed.host.onChange = () => undefined;
      killed.world.onWrite = () => undefined;

      const next = setUp({ host: killed.host, world: killed.world });
      await next.changes.recover();

      expect(next.state()).toBe(before);
      expect(await readdir(directory)).toEqual([]);
      expect(next.log.lines).toEqual(["info undid what a killed run had left on this host"]);
      expect(await next.changes.prepare()).toBe(NUMBER);
    },
  );

  it("does so also where it wants no default route any more", async () => {
    const killed = setUp({ identity: DEAD });
    const before = killed.state();
    await killed.start();
    const next = setUp({ host: killed.host, world: killed.world, allowed: ["10.9.0.0/16"] });
    await next.start();

    expect(next.state()).toBe(before);
  });

  it("takes up the number of the killed one, where that was not the first", async () => {
    const killed = setUp({ identity: DEAD });
    const taken = { dst: "10.0.0.0/8", dev: "eth0", table: String(NUMBER) };
    killed.host.families["-4"].routes.push(taken);
    await killed.start();
    killed.host.families["-4"].routes.shift();
    const next = setUp({ host: killed.host, world: killed.world });

    expect(await next.start()).toBe(NUMBER + 1);
  });

  it("tries again what could not be undone, and goes on", async () => {
    const killed = setUp({ identity: DEAD });
    const before = killed.state();
    await killed.start();
    killed.host.failures.set("nft add", "Error: Operation not permitted");
    const next = setUp({ host: killed.host, world: killed.world, allowed: ["10.9.0.0/16"] });
    await next.start();
    expect(next.log.lines).toEqual([
      "warn undoing what a killed run had left: nft: Operation not permitted",
    ]);
    expect(next.state()).not.toBe(before);
    killed.host.failures.clear();
    await next.changes.down();

    expect(next.state()).toBe(before);
    expect(await readdir(directory)).toEqual([]);
  });

  it("leaves a host alone that was booted since", async () => {
    const killed = setUp({ identity: { ...DEAD, boot: "another" } });
    await killed.start();
    const next = setUp({ host: new FakeHost() });
    await next.changes.recover();

    expect([next.host.changes, await readdir(directory)]).toEqual([[], []]);
    expect(next.log.lines).toEqual([
      `debug ${directory}/iptun0.journal is of another boot: nothing to undo here`,
    ]);
  });

  it("does not take over from one that lives", async () => {
    const running = setUp({ identity: ownIdentity() });
    await running.start();
    const state = running.state();
    const next = setUp({ host: running.host, world: running.world });
    const unconcerned = setUp({ allowed: ["10.9.0.0/16"] });

    await expect(next.changes.recover()).rejects.toThrow(
      `already running: process ${process.pid} keeps ${directory}/iptun0.journal; end it, or set another interface.state_dir`,
    );
    await unconcerned.changes.recover();
    expect(running.state()).toBe(state);
  });

  it("says what it cannot read, and goes on", async () => {
    writeFileSync(join(directory, "iptun0.journal"), "{", { mode: 0o600 });
    const rig = setUp();
    await rig.start();
    await rig.changes.down();

    expect(rig.log.lines).toEqual([
      `warn ${directory}/iptun0.journal does not hold what iptun has written: if a killed run has left rules, they are not undone; see 'ip rule' and 'nft list tables', and remove the file`,
    ]);
    expect(await readdir(directory)).toEqual([]);
  });
});

describe("the switch that cannot be set", () => {
  it("is one warning", async () => {
    const rig = setUp();
    rig.world.onWrite = () => {
      throw new Error("EROFS: read-only file system");
    };
    await rig.start();

    expect(rig.log.lines).toEqual([
      "warn cannot set net.ipv4.conf.all.src_valid_mark: EROFS: read-only file system; where rp_filter is 1 the peers' datagrams are dropped: set it by hand",
    ]);
    expect(rig.journal.changes.map(({ kind }) => kind)).not.toContain("src-valid-mark");
  });
});

interface InTheWay {
  readonly what: string;
  readonly arrange: (host: FakeHost) => void;
  readonly line: RegExp;
  readonly device?: Partial<Config["interface"]>;
}

const UP: DeviceState = { isUp: true, mtu: 1420, addresses: [], routes: [] };

interface World {
  validMark: string;
  onWrite: () => void;
  device: DeviceState;
  interfaces: Record<string, ReturnType<typeof info>[]>;
}

interface Options {
  readonly allowed?: readonly string[];
  readonly interface?: Partial<Config["interface"]>;
  readonly identity?: typeof DEAD;
  readonly host?: FakeHost;
  readonly world?: World;
}

function setUp(options: Options = {}) {
  const { allowed = ["0.0.0.0/0", "::/0"], host = new FakeHost(), identity = DEAD } = options;
  const world: World = options.world ?? {
    ...{ validMark: "0", onWrite: () => undefined, device: UP, interfaces: {} },
  };
  const log = memoryLog();
  const timers = new ManualTimers();
  const journal = new Journal(directory, "iptun0", identity);
  const sysctl: Sysctl = {
    read: () => world.validMark,
    write: (_name, value) => {
      world.onWrite();
      world.validMark = value;
    },
  };
  const changes = new HostChanges({
    config: config({
      interface: { stateDir: directory, ...options.interface },
      peers: [peerConfig({ allowedIps: allowed.map(prefix) })],
    }),
    ...{ journal, sysctl, log, runProcess: host.run },
    interfaces: () => world.interfaces,
    look: async () => world.device,
    nowMs: () => timers.nowMs,
    startTimer: timers.start,
  });
  return {
    ...{ host, world, timers, log, journal, changes },
    state: () => `${host.state()} ${world.validMark}`,
    /** The daemon's order; returns the mark. */
    start: async () => {
      await changes.recover();
      const mark = await changes.prepare();
      await changes.up(PORT);
      return mark;
    },
  };
}

/** A tunnel of wg-quick's kind that has the default route of IPv6. */
function otherTunnel({ families }: FakeHost, table: number): void {
  const fwmark = `0x${table.toString(16)}`;
  families["-6"].rules.push({ priority: 32_000, not: null, src: "all", fwmark, table: `${table}` });
  families["-6"].routes.push({ dst: "default", dev: "wg0", table: `${table}` });
}

function flush({ families }: FakeHost, family: "-4" | "-6"): void {
  const own = families[family];
  own.rules = own.rules.filter(({ priority }) => priority === 0 || priority === 32_766);
  own.routes = [];
}
