/**
 * What a running daemon may do: CAP_NET_ADMIN and nothing else, in every thread, whoever starts it.
 *
 * The kernel is asked (/proc/PID), not the daemon.
 */
import { chmodSync, readFileSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeKey } from "../../scripts/netns/daemon.ts";
import { type Host, type Lab, openLab, withLab } from "../../scripts/netns/lab.ts";
import { threadFields } from "../../scripts/netns/proc.ts";
import { finish, pause, until } from "../../scripts/netns/process.ts";
import { sideDaemon, startPair, TUN } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";

const NET_ADMIN_ALONE = "0000000000001000";
/** Milliseconds from the process's start at which SIGTERM comes: before, in and after the exec. */
const SIGNAL_AT_MS = [30, 45, 60, 75, 90, 105, 120, 135, 150, 180, 210, 240];
const CAPS = (names: string) => [
  ...["--bounding-set", `-all,${names}`],
  ...["--inh-caps", `-all,${names}`],
  ...["--ambient-caps", `-all,${names}`],
];

let lab: Lab;
let keyFile: string;

beforeAll(async () => {
  lab = openLab();
  keyFile = await makeKey(lab.dir);
});
afterAll(() => lab.close());

describe("a running daemon", () => {
  it.each([
    ["root", []],
    [
      "setpriv with more capabilities",
      ["setpriv", ...CAPS("+net_admin,+sys_admin,+dac_override,+setpcap")],
    ],
    [
      "setpriv with these alone, and no_new_privs",
      ["setpriv", "--no-new-privs", ...CAPS("+net_admin")],
    ],
  ])("started by %s has CAP_NET_ADMIN alone in all its threads", async (_who, wrapper) => {
    await withLab(async (own) => {
      const { left } = await startPair(own, { left: { wrapper }, right: { wrapper } });
      const sets = ["CapInh", "CapPrm", "CapEff", "CapBnd"];

      const fields = threadFields(left.child.pid, [...sets, "NoNewPrivs"]);

      expect(fields["CapEff"]?.length).toBeGreaterThan(7);
      for (const name of sets) {
        expect(new Set(fields[name]), name).toEqual(new Set([NET_ADMIN_ALONE]));
      }
      expect(new Set(fields["NoNewPrivs"])).toEqual(new Set(["1"]));
      expect((await ping(left.host, "10.77.0.2", 5)).received).toBeGreaterThanOrEqual(4);
      expect((await left.stop()).code).toBe(0);
    });
  });

  it("leaves no core and cannot be looked into by a process that is its equal", async () => {
    const host = lab.addHost(`dump${lab.hosts.length}`);
    const daemon = sideDaemon(host, "right", keyFile);
    await daemon.start();
    const equal = ["setpriv", "--no-new-privs", ...CAPS("+net_admin")];
    const other = host.start([...equal, "sleep", "60"]);
    await until("sleep", 5_000, () => (exeOf(other.pid)?.endsWith("sleep") ? true : undefined));
    const look = (pid: number) => host.run([...equal, "readlink", `/proc/${pid}/exe`]);

    expect((await look(other.pid)).code).toBe(0);
    expect((await look(daemon.child.pid)).code).toBe(1);
    expect(readFileSync(`/proc/${daemon.child.pid}/limits`, "latin1")).toMatch(
      /Max core file size +0 +0 /,
    );
    await daemon.stop();
  });

  it("keeps the environment that it was given, but for what loads code", async () => {
    const host = lab.addHost(`given${lab.hosts.length}`);
    const wrapper = ["env", "NODE_OPTIONS=--no-warnings", "KEPT=yes"];
    const daemon = sideDaemon(host, "right", keyFile, { wrapper });
    await daemon.start();
    const { pid } = daemon.child;

    const environment = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
    expect(environment).toContain("KEPT=yes");
    expect(environment.filter((entry) => entry.startsWith("NODE_OPTIONS="))).toEqual([]);
    await daemon.stop();
  });

  it("ends on a SIGTERM that comes at any moment of its start", async () => {
    const host = lab.addHost(`signal${lab.hosts.length}`);
    for (const atMs of SIGNAL_AT_MS) {
      const daemon = sideDaemon(host, "right", keyFile);
      const child = daemon.spawn();
      await pause(atMs);

      const { code, signal } = await child.stop("SIGTERM", 10_000);

      expect([0, "SIGTERM"], `after ${atMs} ms`).toContain(code ?? signal);
      expect(host.hasDevice(TUN)).toBe(false);
    }
  });

  it("binds to its device again without CAP_NET_RAW when the device comes back", async () => {
    const host = lab.addHost(`modem${lab.hosts.length}`);
    const modem = () => {
      host.ip("link", "add", "modem0", "type", "veth", "peer", "name", "far0");
      host.ip("link", "set", "modem0", "up");
      return `${/^(\d+):/.exec(host.ip("-o", "link", "show", "modem0"))?.[1]}`;
    };
    const before = modem();
    const daemon = sideDaemon(host, "right", keyFile, { settings: { outerDevice: "modem0" } });
    await daemon.start();
    expect(await boundTo(host)).toContain("%modem0:");
    host.ip("link", "del", "modem0");

    const after = modem();

    expect(after).not.toBe(before);
    await until("binding", 10_000, async () =>
      (await boundTo(host)).includes("%modem0:") ? true : undefined,
    );
    await daemon.stop();
  });
});

describe("a configuration that only CAP_DAC_OVERRIDE opens", () => {
  it("passes the check, which keeps that, and is refused by the tunnel with one line", async () => {
    const host = lab.addHost(`closed${lab.hosts.length}`);
    const daemon = sideDaemon(host, "right", keyFile);
    chmodSync(daemon.configFile, 0);

    const { code, stderr } = await finish(daemon.spawn());

    expect(await daemon.check()).toMatchObject({ code: 0 });
    expect(stderr).toMatch(/^[^\n]*cannot be read: permission denied[^\n]*\n$/);
    expect(code).toBe(78);
  });
});

function exeOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** The UDP socket's local side, "address%device:port". */
async function boundTo(host: Host): Promise<string> {
  return await host.output(["ss", "-Hlun"]);
}
