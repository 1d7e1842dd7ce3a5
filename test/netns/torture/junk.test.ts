/**
 * Row F8 of the fault plan: how much junk of 148 bytes a tunnel takes until half of its traffic is lost; beside it, in
 * the same run, the distribution's wireguard-go.
 *
 *   left ---- 2,000 packets of 1,400 bytes a second ----> right ---- attacker
 *
 * The attacked program has a fifth of a processor: an attacker who shares two processors with what he attacks does not
 * send enough to bring a whole one down. 148 bytes are what a handshake of WireGuard has. The trap: the
 * attacker's rate is what it really sent, and of what it asked for the machine may carry less.
 */
import { expect, it } from "vitest";
import type { Subject } from "../../../scripts/benchmark/subject.ts";
import { iptun } from "../../../scripts/benchmark/subject-iptun.ts";
import { wireguardGo } from "../../../scripts/benchmark/subject-wireguard.ts";
import { withLab } from "../../../scripts/netns/lab.ts";
import { pause } from "../../../scripts/netns/process.ts";
import { addStranger, twoHosts } from "../../../scripts/netns/topology.ts";
import { CpuShare } from "../../attackers/cpu-share.ts";
import { flood, leadAnswersTo } from "../../attackers/flood.ts";
import { percent } from "../../attackers/flood-lab.ts";
import { startSteady, steadyClock } from "../../attackers/steady.ts";
import { figure } from "../../helpers/figure.ts";
import { amount, TORTURE } from "../../helpers/full.ts";

const SHARE = 0.2;
const TRAFFIC = { packetsPerSecond: 2_000, packetBytes: 1_400 };
const JUNK_BYTES = 148;
const SECONDS = amount({ quick: 1, short: 2, full: 10 });
/** Rates that are tried, datagrams a second. */
const RATES = [12_500, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 400_000] as const;
const HALF = 0.5;
const AT_LEAST = 2;

/** What one rate did. */
interface Trial {
  readonly mbit: number;
  readonly loss: number;
}

it.runIf(TORTURE !== undefined)(
  "F8 takes twice the junk of wireguard-go until half of the traffic is lost",
  async () => {
    const other = await trials(wireguardGo);
    const own = await trials(iptun);
    const [theirs, ours] = [breakingPoint(other), breakingPoint(own)];
    figure(
      "F8",
      `junk of ${JUNK_BYTES} bytes for 50 % loss, a fifth of a processor`,
      `iptun ${text(own)}, wireguard-go ${text(other)}: ${(ours / theirs).toFixed(1)} times`,
      "twice wireguard-go",
    );
    expect(Math.min(...other.map(({ loss }) => loss))).toBeLessThan(HALF);
    expect(Math.max(...other.map(({ loss }) => loss))).toBeGreaterThan(HALF);
    expect(ours / theirs).toBeGreaterThanOrEqual(AT_LEAST);
  },
  10 * 60_000,
);

/** Loss at each rate, up to the first that loses half. */
async function trials(subject: Subject): Promise<readonly Trial[]> {
  return await withLab(async (lab) => {
    const hosts = twoHosts(lab);
    const attacker = addStranger(hosts.right);
    leadAnswersTo(hosts.right);
    const { address, processes } = await subject.open(hosts);
    const [, attacked] = processes;
    if (attacked === undefined) throw new Error(`${subject.title} has no process`);
    const share = new CpuShare(attacked.pid, SHARE);
    const found: Trial[] = [];
    for (const rate of RATES) {
      const steady = await startSteady(hosts.left, hosts.right, address, TRAFFIC);
      await pause(500);
      const from = steadyClock();
      const { bytes, seconds } = await flood(attacker, hosts.right, {
        ratePerSecond: rate,
        seconds: SECONDS,
        sources: { kind: "random" },
        content: { least: JUNK_BYTES, most: JUNK_BYTES },
      });
      const result = await steady.stop();
      const { loss } = result.between(from + 0.2, from + SECONDS);
      found.push({ mbit: (bytes * 8) / seconds / 1e6, loss });
      if (loss > HALF) break;
    }
    await share.end(attacked.pid);
    return found;
  });
}

/** Mbit/s at which half is lost, between the trials on both sides of it; the most that was sent where none is. */
function breakingPoint(found: readonly Trial[]): number {
  const after = found.findIndex(({ loss }) => loss >= HALF);
  const most = Math.max(...found.map(({ mbit }) => mbit));
  const [below, above] = [found[after - 1] ?? { mbit: 0, loss: 0 }, found[after]];
  if (above === undefined) return most;
  const share = (HALF - below.loss) / (above.loss - below.loss);
  return below.mbit + share * (above.mbit - below.mbit);
}

function text(found: readonly Trial[]): string {
  const isBroken = found.some(({ loss }) => loss >= HALF);
  const last = found.at(-1);
  const point = `${breakingPoint(found).toFixed(0)} Mbit/s`;
  return isBroken || last === undefined ? point : `> ${point} (loss there ${percent(last.loss)})`;
}
