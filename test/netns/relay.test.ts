/**
 * A bad path and a patient attacker on it: loss, reorder and duplicates; a whole session replayed.
 */
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readPackets, startCapture } from "../../scripts/netns/capture.ts";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Lab, withLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import { type Relay, relayedPair } from "../../scripts/netns/relay.ts";
import { delivered } from "../../scripts/netns/status.ts";
import { ADDRESSES, type Pair, TUN } from "../../scripts/netns/topology.ts";
import { ping, transferFile } from "../../scripts/netns/traffic.ts";
import { figure } from "../helpers/figure.ts";

const { right } = ADDRESSES;
const REORDERED_BYTES = 500_000;
const LOSSY_BYTES = 200_000;
const REORDERING = { loss: 0, delayMs: 5, jitterMs: 50, duplicate: 0.1, seed: 7 };
/** One way, or the test would wait for TCP's back-off, which doubles. */
const LOSSY = { ...REORDERING, loss: 0.3, lossy: "forward" } as const;
const INIT = 1;
const DATA = 4;

describe("over a relay", () => {
  it("R3 that doubles 10 % and reorders by 50 ms, then loses 30 % too: TCP survives, nothing arrives twice", async () => {
    await withLab(async (lab) => {
      const { pair, relay } = await relayedPair(lab);
      const { left, right: receiver } = pair;
      const capture = await startCapture(receiver.host, TUN, {
        filter: `dst host ${right.inner4}`,
      });

      await relay.order({ kind: "disturb", disturbance: REORDERING });
      const reordered = await carry(pair, lab, REORDERED_BYTES);
      await relay.order({ kind: "disturb", disturbance: LOSSY });
      const lossy = await carry(pair, lab, LOSSY_BYTES);
      const pings = await ping(left.host, right.inner4, 200, 0.01);
      await capture.stop();

      const packets = readPackets(capture.file).map((packet) => packet.toString("base64"));
      const repeated = packets.length - new Set(packets).size;
      const measured = `${reordered} and ${lossy}; ${pings.received} of 200 pings; ${repeated} of ${packets.length} packets twice on the TUN`;
      figure(
        "R3",
        "TCP over a reordering relay, then with 30 % loss",
        measured,
        "arrives, 0 twice",
      );
      expect(pings.received).toBeGreaterThan(90);
      expect(pings.output).not.toContain("DUP!");
      expect(packets.length).toBeGreaterThan(200);
      expect(repeated).toBe(0);
    });
  });

  it("that replays the whole session, and again after a restart: nothing is delivered, no Diffie-Hellman computed", async () => {
    await withLab(async (lab) => {
      const { pair, relay } = await relayedPair(lab);
      await ping(pair.left.host, right.inner4, 100, 0.01);
      await pause(300);

      await expectNothingFromReplay(relay, pair.right);

      await pair.left.stop("SIGKILL");
      await pair.right.stop("SIGKILL");
      await pair.right.start();
      await expectNothingFromReplay(relay, pair.right);
    });
  });
});

/** Carries a file from left to right, whole; returns how much it was and how long it took. */
async function carry({ left, right: receiver }: Pair, lab: Lab, bytes: number): Promise<string> {
  const content = randomBytes(bytes);
  const file = join(lab.dir, "content");
  writeFileSync(file, content);
  const arrived = await transferFile(left.host, receiver.host, right.inner4, file);
  expect(arrived.sha256).toBe(createHash("sha256").update(content).digest("hex"));
  return `${bytes} B in ${arrived.seconds.toFixed(1)} s`;
}

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
