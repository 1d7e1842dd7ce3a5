/**
 * A bad path and a patient attacker on it: loss, reorder and duplicates; a whole session replayed.
 */
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { makeKey } from "../../scripts/netns/daemon.ts";
import { type Lab, withLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import { type Relay, relayedHosts } from "../../scripts/netns/relay.ts";
import { delivered } from "../../scripts/netns/status.ts";
import { ADDRESSES, bringUp, type Pair, sideDaemon } from "../../scripts/netns/topology.ts";
import { ping, transferFile } from "../../scripts/netns/traffic.ts";

const { right } = ADDRESSES;
const INIT = 1;
const DATA = 4;

describe("over a relay", () => {
  it("that loses 2 %, doubles 5 % and reorders, TCP gets through and nothing arrives twice", async () => {
    await withLab(async (lab) => {
      const { pair, relay } = await relayedPair(lab);
      const disturbance = { loss: 0.02, delayMs: 5, jitterMs: 10, duplicate: 0.05, seed: 7 };

      await relay.order({ kind: "disturb", disturbance });
      const content = randomBytes(500_000);
      const file = join(lab.dir, "content");
      writeFileSync(file, content);
      const { left: sender, right: receiver } = pair;
      const arrived = await transferFile(sender.host, receiver.host, right.inner4, file);
      const result = await ping(pair.left.host, right.inner4, 100, 0.02);

      expect(arrived.sha256).toBe(createHash("sha256").update(content).digest("hex"));
      expect(result.received).toBeGreaterThan(80);
      expect(result.output).not.toContain("DUP!");
    });
  });

  it("that replays the whole session: nothing is delivered, no Diffie-Hellman computed", async () => {
    await withLab(async (lab) => {
      const { pair, relay } = await relayedPair(lab);
      await ping(pair.left.host, right.inner4, 100, 0.01);
      await pause(300);

      await expectNothingFromReplay(relay, pair.right);
    });
  });

  it("that replays the whole session after a restart: nothing is delivered", async () => {
    await withLab(async (lab) => {
      const { pair, relay } = await relayedPair(lab);
      await ping(pair.left.host, right.inner4, 100, 0.01);
      await pair.left.stop("SIGKILL");
      await pair.right.stop("SIGKILL");

      await pair.right.start();

      await expectNothingFromReplay(relay, pair.right);
    });
  });
});

/** Replays all that went to `daemon` and checks what it did of it. */
async function expectNothingFromReplay(relay: Relay, daemon: Daemon): Promise<void> {
  const before = await daemon.status();
  const { backward, recordedForward } = await relay.order({ kind: "report" });
  expect(recordedForward[DATA]).toBeGreaterThan(100);
  expect(recordedForward[INIT]).toBeGreaterThan(0);

  await relay.order({ kind: "open", isOpen: false });
  await relay.order({ kind: "replay", direction: "forward" });
  await pause(500);

  const after = await daemon.status();
  expect(delivered(after)).toBe(delivered(before));
  expect(after.handshakeComputations).toBe(before.handshakeComputations);
  expect(after.peers[0]?.endpoint).toBe(before.peers[0]?.endpoint);
  const replies = (await relay.order({ kind: "report" })).backward - backward;
  expect(replies).toBeLessThanOrEqual(4 * (recordedForward[INIT] ?? 0));
}

/** A tunnel through a relay; the right site learns the relay's address. */
async function relayedPair(lab: Lab): Promise<{ readonly pair: Pair; readonly relay: Relay }> {
  const hosts = await relayedHosts(lab);
  const keyFile = await makeKey(lab.dir);
  const pair: Pair = {
    left: sideDaemon(hosts.left, "left", keyFile),
    right: sideDaemon(hosts.right, "right", keyFile),
    keyFile,
  };
  await Promise.all([pair.left.start(), pair.right.start()]);
  await bringUp(pair);
  return { pair, relay: hosts.relay };
}
