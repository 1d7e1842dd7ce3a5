/**
 * The text of a scrape: names, labels, values and what is left out; one reading a second at most.
 */
import { describe, expect, it } from "vitest";
import { FRESH_MS } from "../../../src/daemon/control/fresh.ts";
import { METRICS } from "../../../src/daemon/web/metric-table.ts";
import { Metrics } from "../../../src/daemon/web/metrics.ts";
import { reading, scrape } from "../reading.ts";
import { peerSnapshot } from "../snapshot.ts";

describe("a scrape", () => {
  it("has a help text, a type and samples for every metric", async () => {
    const text = await scrape();

    for (const { name, type, help } of METRICS) {
      expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}`);
    }
  });

  it.each([
    ['iptun_peer_receive_bytes_total{interface="iptun0",peer="b"} 2'],
    ['iptun_peer_transmit_bytes_total{interface="iptun0",peer="b"} 4'],
    ['iptun_peer_up{interface="iptun0",peer="b"} 1'],
    ['iptun_peer_info{interface="iptun0",peer="b",kind="pair",endpoint="192.0.2.2:1194"} 1'],
    ['iptun_peer_last_handshake_seconds{interface="iptun0",peer="b"} 1699999980'],
    ['iptun_peer_last_receive_seconds{interface="iptun0",peer="b"} 1699999999'],
    ['iptun_peer_round_trip_seconds{interface="iptun0",peer="b"} 0.02013'],
    ['iptun_peer_loss_ratio{interface="iptun0",peer="b",direction="outbound"} 0.02'],
    ['iptun_peer_rate_bytes_per_second{interface="iptun0",peer="b"} 5625000'],
    ['iptun_dropped_packets_total{interface="iptun0",reason="forged"} 3'],
    ['iptun_dropped_packets_total{interface="iptun0",reason="loop"} 0'],
    ['iptun_kernel_errors_total{interface="iptun0",errno="ECONNREFUSED"} 2'],
    ['iptun_engine_timer_lateness_seconds_total{interface="iptun0"} 0.0125'],
    ['iptun_engine_active_seconds_total{interface="iptun0"} 0.1'],
    ["process_cpu_seconds_total 2.5"],
    ["process_resident_memory_bytes 1000"],
  ])("says %s", async (line) => {
    expect((await scrape()).split("\n")).toContain(line);
  });

  it("leaves out what is not known", async () => {
    const quality = { roundTrip: undefined, outboundLoss: undefined, inboundLoss: 0.5 };
    const text = await scrape(peerSnapshot({ quality, pathMtu: undefined, pacing: undefined }));

    for (const name of ["round_trip_seconds", "jitter_seconds", "path_mtu_bytes", "rate_queue"]) {
      expect(text).not.toContain(`iptun_peer_${name}{`);
    }
    expect(text).not.toContain('direction="outbound"');
    expect(text).toContain('direction="inbound"} 0.5');
  });

  it("does not call a group down", async () => {
    const text = await scrape(peerSnapshot({ kind: "group", state: "idle" }));

    expect(text).not.toContain("iptun_peer_up{");
  });

  it("is the same again where nothing has changed", async () => {
    const clock = { nowMs: 0 };
    const metrics = new Metrics(
      async () => reading(),
      () => clock.nowMs,
    );
    const first = await metrics.text();
    clock.nowMs += FRESH_MS;

    expect(await metrics.text()).toBe(first);
  });

  it("has no peer that is gone", async () => {
    const clock = { nowMs: 0 };
    let given = reading();
    const metrics = new Metrics(
      async () => given,
      () => clock.nowMs,
    );
    await metrics.text();
    given = reading(peerSnapshot({ name: "c" }));
    clock.nowMs += FRESH_MS;

    expect(await metrics.text()).not.toContain('peer="b"');
  });
});

describe("readings", () => {
  it("are one a second, however many ask, and one at a time, however long it takes", async () => {
    const clock = { nowMs: 0 };
    const waiting: (() => void)[] = [];
    let readings = 0;
    const read = async () => {
      readings += 1;
      await new Promise<void>((resolve) => waiting.push(resolve));
      return reading();
    };
    const metrics = new Metrics(read, () => clock.nowMs);

    const first = metrics.text();
    await untilThere(waiting);
    clock.nowMs += 10 * FRESH_MS;
    const second = metrics.text();
    waiting.shift()?.();
    await Promise.all([first, second]);
    clock.nowMs += FRESH_MS - 1;
    await metrics.text();
    expect(readings).toBe(1);

    clock.nowMs += 1;
    const third = metrics.text();
    await untilThere(waiting);
    waiting.shift()?.();
    await third;
    expect(readings).toBe(2);
  });

  it("that fail are told, and tried again", async () => {
    const clock = { nowMs: 0 };
    let fails = true;
    const read = async () => {
      if (fails) throw new Error("the tunnel is still starting");
      return reading();
    };
    const metrics = new Metrics(read, () => clock.nowMs);
    await expect(metrics.text()).rejects.toThrow("still starting");
    fails = false;
    clock.nowMs += FRESH_MS;

    expect(await metrics.text()).toContain("iptun_peer_up");
  });
});

async function untilThere(waiting: readonly unknown[]): Promise<void> {
  while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
}
