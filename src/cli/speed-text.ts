/**
 * What `iptun speedtest` prints: the figures, what they are of, and what they are not.
 */
import type { SpeedDocument } from "../daemon/control/speed-tests.ts";
import { columns, rateText } from "./layout.ts";

/** One line while it runs. */
export function progressText({ loadMs, bitsPerSecond, lost }: SpeedDocument): string {
  const rate = bitsPerSecond === null ? "" : `, ${rateOf(bitsPerSecond)}`;
  return `${(loadMs / 1_000).toFixed(0)} s${rate}, ${lost} lost\n`;
}

/** The whole result. */
export function speedText(speed: SpeedDocument): string {
  const { peer, bitsPerSecond, innerBitsPerSecond, datagramBytes, outerBytes, innerBytes } = speed;
  if (bitsPerSecond === null || innerBitsPerSecond === null) {
    return `no answer from ${peer} to ${speed.sent} datagrams: nothing is known of the path\n`;
  }
  const rows = [
    ["delivered", `${rateOf(bitsPerSecond)} of IP packets of ${outerBytes} bytes`],
    ["inside", `${rateOf(innerBitsPerSecond)} of inner packets of ${innerBytes} bytes`],
    ["datagrams", countsText(speed)],
    ["size", `${datagramBytes} bytes of UDP payload`],
    ["round trip", roundTripText(speed)],
    ["cpu", `${Math.round(speed.cpu * 100)} % of one processor, in this daemon`],
    ["offloads", speed.offloads.length === 0 ? "none of the socket" : speed.offloads.join(", ")],
  ];
  return `from here to ${columns([[peer]])}${columns(rows, 2)}${NOTES}`;
}

const NOTES = `
The direction is from here to the peer; for the other one, run it there. Each datagram is a probe that the peer's
iptun answers: a lower bound where the processors are the limit, because TCP and UDP inside travel in
super-packets, which cost less. The peer's \`rate\` in the configuration does not hold for probes.
`;

function countsText({ sent, answered, lost }: SpeedDocument): string {
  const share = sent === 0 ? 0 : Math.round((lost / sent) * 10_000) / 100;
  return `${sent} sent, ${answered} answered, ${lost} lost (${share} %)`;
}

function roundTripText(speed: SpeedDocument): string {
  const { idleRoundTripMs, loadedRoundTripMs, mostRoundTripMs } = speed;
  return `${msText(idleRoundTripMs)} before, ${msText(loadedRoundTripMs)} under load, at most ${msText(mostRoundTripMs)}`;
}

function msText(ms: number | null): string {
  return ms === null ? "not known" : `${Math.round(ms * 100) / 100} ms`;
}

/** Three digits are all that such a figure is good for. */
function rateOf(bitsPerSecond: number): string {
  return rateText(Number(bitsPerSecond.toPrecision(3)));
}
