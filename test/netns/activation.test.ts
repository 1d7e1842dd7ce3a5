/**
 * Socket activation of a real daemon: descriptors 3 (control socket) and 4 (UDP) come from systemd's own tool, and a
 * keeper has them while no daemon runs, as a manager with socket units does.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Lab, withLab } from "../../scripts/netns/lab.ts";
import { ROOT, until } from "../../scripts/netns/process.ts";
import { ADDRESSES, bringUp, hostPort, makePair, PORT, TUN } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { fetchStatus } from "../../src/daemon/control/control-client.ts";

/** A machine that does twenty other things starts a Node.js process in as many seconds. */
const BUSY_MS = 45_000;
/** Not what is configured: a unit says where to listen. */
const UNIT_PORT = PORT + 1;

const ACTIVATE = "systemd-socket-activate";
const IPTUN = [process.execPath, join(ROOT, "dist/main.js")];
const KEEPER = [process.execPath, "--import", "tsx", join(ROOT, "scripts/netns/keeper-agent.ts")];

it("a daemon that a question to its control socket starts answers it, and later ones, by the unit's sockets", async () => {
  await withLab(async (lab) => {
    const { left, right } = await activatedPair(lab);
    right.spawn();
    const [first] = await Promise.all([asked(right), left.start()]);
    expect(first.interface).toMatchObject({ name: TUN, listenPort: UNIT_PORT });
    await bringUp({ left, right, keyFile: "" });
    expect((await ping(left.host, ADDRESSES.right.inner4, 3)).received).toBeGreaterThan(0);
    expect((await right.command(["ping", "left", "-c", "1"])).code).toBe(0);

    // Ended: the keeper has the sockets, and whoever asks waits for the next daemon.
    right.child.signal("SIGUSR1");
    await right.child.waitForOutput(/ stopped$/m, BUSY_MS);
    expect(existsSync(right.socketPath)).toBe(true);
    const waiting = asked(right);
    right.child.signal("SIGUSR2");
    const second = await waiting;

    // What it has kept (device and UDP socket) came together with the unit's sockets.
    expect(second.interface.listenPort).toBe(UNIT_PORT);
    await untilPinged(left);
    expect(right.log).not.toMatch(/ (warn|error) /);

    // Nobody asks meanwhile. What the unit has opened goes along to a process that takes over.
    const third = right.command(["run", "--replace", "--config", right.configFile]);
    await right.child.waitForOutput(/ stopped$[\s\S]* stopped$/m, BUSY_MS);
    const { pid, interface: device } = await asked(right);
    expect(device.listenPort).toBe(UNIT_PORT);
    await untilPinged(left);
    process.kill(pid, "SIGTERM");
    expect(await third).toMatchObject({ code: 0 });
    expect(existsSync(right.socketPath)).toBe(true);
    expect((await right.stop()).code).toBe(0);
  });
});

describe("a daemon that is given what it cannot use ends with one line", () => {
  // By the first each is set off: the others are there by then.
  it.each([
    ["a listening TCP socket", ["-l", "2000"], /descriptor 3 \(LISTEN_FDS\) is none of/],
    ["two UDP sockets", ["--datagram", "-l", "2000", "-l", "2001"], /3 and 4 .* are of one kind/],
    [
      "a Unix socket of another kind",
      ["--datagram", "-l", "2000", ACTIVATE, "--seqpacket", "-l", "@iptun-activation-test"],
      /descriptor 4 \(LISTEN_FDS\) is none of/,
    ],
  ])("%s", async (_what, sockets, line) => {
    await withLab(async (lab) => {
      const environment = ["env", `RUNTIME_DIRECTORY=${join(lab.dir, "left/iptun/run")}`];
      const { left } = await makePair(lab, {
        left: { program: [ACTIVATE, ...sockets, ...environment, ...IPTUN] },
      });
      const child = left.spawn();
      await child.waitForOutput(/Listening on .* as 3\.$/m);
      const protocol = sockets.includes("--datagram") ? "udp" : "tcp";
      const knock = `: >/dev/${protocol}/127.0.0.1/2000 && echo >/dev/${protocol}/127.0.0.1/2000`;
      await until("activation", BUSY_MS, async () => {
        await left.host.run(["bash", "-c", knock]);
        return left.log.includes("Execing env") ? true : undefined;
      });

      const { code, stderr } = await child.ended;

      const own = stderr.split("\n").filter((text) => / error /.test(text));
      expect(own).toEqual([expect.stringMatching(line)]);
      expect(code).toBe(1);
    });
  });
});

/** A pair, not started, whose right side has a socket unit for each socket. */
async function activatedPair(lab: Lab) {
  const runtime = join(lab.dir, "right/iptun/run");
  const program = [
    ...[ACTIVATE, "-l", join(runtime, `${TUN}.sock`)],
    ...[ACTIVATE, "--datagram", "-l", String(UNIT_PORT)],
    ...["env", `RUNTIME_DIRECTORY=${runtime}`, "NO_COLOR=1"],
    ...[...KEEPER, ...IPTUN],
  ];
  return await makePair(lab, {
    left: { endpoint: hostPort(ADDRESSES.right.outer4, UNIT_PORT) },
    right: { program },
  });
}

/** The answer to a question for the status, which may be put before there is a daemon. */
async function asked(daemon: Daemon) {
  await until("control socket", BUSY_MS, () => existsSync(daemon.socketPath) || undefined);
  return await fetchStatus(daemon.socketPath, BUSY_MS);
}

async function untilPinged(daemon: Daemon): Promise<void> {
  await until("answer to a ping", BUSY_MS, async () => {
    const { received } = await ping(daemon.host, ADDRESSES.right.inner4, 1);
    return received > 0 ? true : undefined;
  });
}
