/**
 * The unit file that is shipped: its exposure as systemd scores it, and the daemon at work inside its walls.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { threadFields } from "../../scripts/netns/proc.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, makePair, startDaemons } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { directive, UNIT, unitWalls } from "./unit-walls.ts";

/** Tenths. */
const WORST_EXPOSURE = 20;
const BUSY_MS = 45_000;

describe("the unit", () => {
  it("is exposed by 2.0 at most", () => {
    const offline = ["security", "--offline=true", "--no-pager", `--threshold=${WORST_EXPOSURE}`];
    const text = execFileSync("systemd-analyze", [...offline, UNIT], { encoding: "utf8" });
    const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
    expect(exposure * 10).toBeLessThanOrEqual(WORST_EXPOSURE);
  });

  it("gives the daemon the folders that it uses by itself", () => {
    expect(directive("RuntimeDirectory")).toEqual(["iptun"]);
    expect(directive("StateDirectory")).toEqual(["iptun"]);
  });

  it("tries again for ever, but not with a configuration that is wrong", () => {
    expect(directive("Restart")).toEqual(["on-failure"]);
    expect(directive("RestartPreventExitStatus")).toEqual(["78"]);
    // Else systemd gives up after a few starts in a short time.
    expect(directive("StartLimitIntervalSec")).toEqual(["0"]);
  });
});

it("the walls hold: no file outside, no namespace, no mount, no set-user-ID, no device", async () => {
  await withLab(async (lab) => {
    const { left } = await makePair(lab);
    const walls = unitWalls(lab.dir, join(lab.dir, "left/iptun"));
    const tries = [
      "touch /etc/iptun-test",
      "unshare --net true",
      "mount -t tmpfs none /tmp",
      "chmod u+s /tmp/own",
      "ls /dev/kmsg",
    ];
    const script = tries.map((one) => `${one} && echo 'passed: ${one}'`).join("\n");

    const { stdout } = await left.host.run([
      ...walls,
      ...["sh", "-c", `touch /tmp/own && echo works\n${script}\ntrue`],
    ]);

    expect(stdout).toBe("works\n");
  });
});

it("the daemon runs inside the unit's walls, and packets pass", async () => {
  await withLab(async (lab) => {
    const { left, right, keyFile } = await makePair(lab, {
      left: { wrapper: unitWalls(lab.dir, join(lab.dir, "left/iptun")) },
    });
    await startDaemons({ left, right, keyFile });
    const { pid } = left.child;

    const fields = threadFields(pid, ["CapPrm", "CapEff", "NoNewPrivs", "Seccomp"]);
    // A busy machine may keep a reply for longer than a ping waits.
    await until("replies to four of five pings of each family", BUSY_MS, async () => {
      const { inner4, inner6 } = ADDRESSES.right;
      const pings = [inner4, inner6].map((to) => ping(left.host, to, 5));
      const received = (await Promise.all(pings)).map((result) => result.received);
      return Math.min(...received) >= 4 ? true : undefined;
    });
    const mounts = readFileSync(`/proc/${pid}/mounts`, "latin1");

    expect(Object.values(fields).map((values) => [...new Set(values)])).toEqual([
      ...[["0000000000001000"], ["0000000000001000"], ["1"], ["2"]],
    ]);
    expect(mounts).toMatch(/^\S+ \/ \S+ ro,/m);
    expect(mounts).toMatch(/^\S+ \/proc\/sys proc ro,/m);
    // Whatever was refused is in the log: addresses, routes, MTU and state are there.
    expect(left.logLines(" warn ")).toEqual([]);
    expect(readFileSync(join(lab.dir, "left/iptun/state/iptun0.id")).length).toBeGreaterThan(0);
    expect((await left.stop()).code).toBe(0);
  });
});
