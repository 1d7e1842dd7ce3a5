/**
 * Hooks of a real daemon: scripts that write down what they were told, one that hangs, one that takes its time at the end.
 */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { addAddress, withLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, makePair, startDaemons, TUN } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";

/** The whole stop may take 900 ms, and a busy machine needs some of its own. */
const STOP_MS = 2_000;

it("scripts run at their events, and one that hangs holds up neither packets nor the stop", async () => {
  await withLab(async (lab) => {
    const told = join(lab.dir, "told");
    const script = (name: string, text: string) => {
      const file = join(lab.dir, name);
      writeFileSync(file, `#!/bin/sh\n${text}\n`);
      chmodSync(file, 0o700);
      return file;
    };
    const write = script(
      "write",
      `echo "$1: $IPTUN_EVENT $IPTUN_INTERFACE $IPTUN_PEER $IPTUN_ENDPOINT $IPTUN_REASON" >> ${told}`,
    );
    const down = script("down", `ip link show dev ${TUN} > ${told}.down; sleep 60`);
    const hang = script(
      "hang",
      `echo $$ > ${told}.hang; trap '' TERM; ${write} "$1"; sleep 60 & wait; wait`,
    );
    const hooks = {
      ...{ peer_up: [write, "on"], peer_down: [write, "off"], endpoint_changed: [write, "moved"] },
      ...{ up: [hang, "a b"], down: [down], hook_timeout_seconds: 60 },
    };
    const pair = await makePair(lab, { left: { settings: { hooks, logLevel: "debug" } } });
    await startDaemons(pair);
    const { left, right } = pair;
    const has = (line: string) =>
      until(line, 10_000, () =>
        existsSync(told) && lines(told).includes(line) ? true : undefined,
      );

    await has(`a b: up ${TUN}   `);
    await has(`on: peer_up ${TUN} right 192.0.2.2:1194 `);
    right.host.ip("addr", "del", `${ADDRESSES.right.outer4}/24`, "dev", "eth0");
    addAddress(right.host, "eth0", "192.0.2.7/24");
    await until("the hook of another address", 15_000, async () => {
      await ping(right.host, ADDRESSES.left.inner4, 1);
      return (
        lines(told).includes(`moved: endpoint_changed ${TUN} right 192.0.2.7:1194 `) || undefined
      );
    });
    const { received } = await ping(left.host, ADDRESSES.right.inner4, 20);
    expect(received).toBeGreaterThanOrEqual(18);
    await right.stop();
    await has(`off: peer_down ${TUN} right  closed`);

    const before = performance.now();
    const { code } = await left.stop();

    expect(code).toBe(0);
    expect(performance.now() - before).toBeLessThan(STOP_MS);
    // The device was there when `down` ran.
    expect(readFileSync(`${told}.down`, "latin1")).toContain(TUN);
    expect(left.logLines("hook down: ended after 400 ms")).toHaveLength(1);
    const hanging = Number(readFileSync(`${told}.hang`, "latin1"));
    expect(existsSync(`/proc/${hanging}`)).toBe(false);
  });
});

function lines(file: string): readonly string[] {
  return readFileSync(file, "latin1").split("\n");
}
