/**
 * A service manager's view of a real daemon: ready with addresses and routes, how many peers are up, alive, stopping.
 */
import { join } from "node:path";
import { expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { ADDRESSES, bringUp, makePair, TUN } from "../../scripts/netns/topology.ts";
import { buildNotifyReceiver } from "../helpers/notify-receiver.ts";

/** A machine that does twenty other things starts a Node.js process in as many seconds. */
const BUSY_MS = 45_000;

it("READY=1 comes with addresses and routes; then STATUS, WATCHDOG and STOPPING", async () => {
  await withLab(async (lab) => {
    const path = join(lab.dir, "notify");
    const variables = [`NOTIFY_SOCKET=${path}`, "WATCHDOG_USEC=1000000"];
    const { left, right } = await makePair(lab, { left: { wrapper: ["env", ...variables] } });
    const manager = left.host.start([buildNotifyReceiver(lab.dir), path]);
    await manager.waitForOutput(/^ready$/m);

    await right.start();
    left.spawn();
    await manager.waitForOutput(/^READY=1$/m, BUSY_MS);
    const { inner4, inner6 } = ADDRESSES.left;
    const addresses = left.host.ip("-o", "addr", "show", "dev", TUN);
    expect([addresses.includes(`${inner4}/24`), addresses.includes(`${inner6}/64`)]).toEqual([
      true,
      true,
    ]);
    await bringUp({ left, right, keyFile: "" });
    await manager.waitForOutput(/^STATUS=1 of 1 peers up$/m);
    await manager.waitForOutput(/^WATCHDOG=1\n(.*\n)*?WATCHDOG=1$/m);
    await right.stop();
    await manager.waitForOutput(/^STATUS=1 of 1 peers up\n(.*\n)*?STATUS=0 of 1 peers up$/m);
    expect((await left.stop()).code).toBe(0);
    await manager.waitForOutput(/^STOPPING=1\n$/m);
  });
});
