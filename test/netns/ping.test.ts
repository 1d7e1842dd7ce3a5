/**
 * `iptun ping` between real daemons: no inner address answers, and in the end nobody does.
 */
import { expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { startPair } from "../../scripts/netns/topology.ts";
import type { PingSum } from "../../src/cli/ping-text.ts";
import { figure } from "../helpers/figure.ts";
import { slowness } from "../helpers/slowness.ts";

it("a peer that answers no echo requests is pinged from both sides, until it is gone", async () => {
  await withLab(async (lab) => {
    const { left, right } = await startPair(lab);
    for (const { host } of [left, right]) host.sysctl("net.ipv4.icmp_echo_ignore_all", "1");
    const [there, back] = [left.settings.peers[0]?.name, right.settings.peers[0]?.name];

    const row = await left.command(["ping", there ?? "", "-c", "10", "-i", "0.2", "--json"]);
    const sum = JSON.parse(row.stdout) as PingSum;
    const other = await right.command(["ping", back ?? "", "-c", "1"]);
    figure(
      "ping",
      "10 probes",
      `${sum.minMs}/${sum.averageMs}/${sum.maxMs} ms`,
      "least below 5 ms",
    );
    expect(sum.answered).toBe(10);
    expect(sum.minMs ?? Number.NaN).toBeLessThan(5 * slowness());
    expect(other.stdout).toMatch(/^64 bytes from .* time=[\d.]+ ms$/m);
    expect([row.code, other.code]).toEqual([0, 0]);

    await right.stop("SIGKILL");
    const silent = await left.command(["ping", there ?? "", "-c", "1"]);
    expect(silent.stdout).toContain("seq=1: no answer within 2 s\n");
    expect(silent.stdout).toContain("1 sent, 0 answered, 100 % lost\n");
    expect(silent.code).toBe(1);
  });
});
