/**
 * What somebody without the key gets: nothing, and one line in the log.
 */
import { describe, expect, it } from "vitest";
import { readDatagrams, startCapture } from "../../scripts/netns/capture.ts";
import { makeKey } from "../../scripts/netns/daemon.ts";
import { withLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import { delivered, drops } from "../../scripts/netns/status.ts";
import { ADDRESSES, makePair, PORT } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";
import { IS_FULL } from "../helpers/figure.ts";

/** A minute and a half in a full run, so that the second line a minute would show. */
const WATCHED_MS = IS_FULL ? 90_000 : 6_000;
const { left, right } = ADDRESSES;

describe("a wrong key", () => {
  it.each(["left", "right"] as const)(
    "on the %s passes nothing and draws no answer",
    async (side) => {
      await withLab(async (lab) => {
        const wrongKey = await makeKey(lab.dir, "wrong.key");
        const pair = await makePair(lab, { [side]: { keyFile: wrongKey } });
        const capture = await startCapture(pair.right.host, "eth0", { filter: "udp" });
        await Promise.all([pair.left.start(), pair.right.start()]);

        const knocking = ping(pair.left.host, right.inner4, 10, WATCHED_MS / 10_000);
        const answering = ping(pair.right.host, left.inner4, 10, WATCHED_MS / 10_000);
        const results = await Promise.all([knocking, answering]);

        expect(results.map(({ received }) => received)).toEqual([0, 0]);
        await capture.stop();
        const fromRight = ({ source }: { source: Uint8Array }) => source.join(".") === right.outer4;
        const datagrams = readDatagrams(capture.file);
        expect(datagrams.length).toBeGreaterThan(3);
        expect(datagrams.filter(fromRight)).toEqual([]);
        const status = await pair.right.status();
        expect(delivered(status)).toBe(0);
        expect(drops(status, "unknown_hint") + drops(status, "bad_mac")).toBeGreaterThan(3);
        expect(status.handshakeComputations).toBe(0);
        const minutes = Math.ceil(WATCHED_MS / 60_000);
        const lines = pair.right.logLines(left.outer4);
        expect(lines.length).toBeGreaterThanOrEqual(1);
        expect(lines.length).toBeLessThanOrEqual(minutes);
      });
    },
  );
});

describe("junk", () => {
  it("of every first byte and length up to 1,500 draws no answer", async () => {
    await withLab(async (lab) => {
      const pair = await makePair(lab);
      await pair.right.start();
      const sender = await startSender(pair.left.host);
      const junk = Array.from({ length: 1500 }, (_, length) => new Uint8Array(length).fill(length));

      await sender.send(right.outer4, PORT, junk);
      await pause(300);

      const { sent, answers } = await sender.report();
      expect([sent, answers]).toEqual([1500, 0]);
      const status = await pair.right.status();
      // The kernel's own greetings on the new device (IPv6 router solicitations) are not inbound.
      const inbound = Object.entries(status.drops).filter(
        ([reason]) => reason !== "no_peer" && reason !== "multicast",
      );
      expect(inbound.reduce((sum, [, count]) => sum + count, 0)).toBe(1500);
    });
  });
});
