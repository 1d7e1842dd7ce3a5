/**
 * What `iptun ping` prints, and the figures in it, in the manner of ping(8).
 */
import type { PingDocument } from "../daemon/control/pings.ts";

/** Of a row of pings; milliseconds, null where nothing was answered. */
export interface PingSum {
  readonly sent: number;
  readonly answered: number;
  /** 0 to 1. */
  readonly loss: number;
  readonly minMs: number | null;
  readonly averageMs: number | null;
  readonly maxMs: number | null;
  /** Standard deviation, which ping(8) calls mdev. */
  readonly deviationMs: number | null;
}

export function sumOf(answers: readonly PingDocument[]): PingSum {
  const times = answers.flatMap(({ roundTripMs }) => (roundTripMs === null ? [] : [roundTripMs]));
  const [sent, answered] = [answers.length, times.length];
  const loss = sent === 0 ? 0 : 1 - answered / sent;
  if (answered === 0) {
    return { sent, answered, loss, minMs: null, averageMs: null, maxMs: null, deviationMs: null };
  }
  const mean = (values: readonly number[]) =>
    values.reduce((total, value) => total + value, 0) / answered;
  const average = mean(times);
  return {
    ...{ sent, answered, loss },
    minMs: rounded(Math.min(...times)),
    averageMs: rounded(average),
    maxMs: rounded(Math.max(...times)),
    deviationMs: rounded(Math.sqrt(mean(times.map((time) => (time - average) ** 2)))),
  };
}

export function beginText(peer: string): string {
  return `PING ${peer} by authenticated probes\n`;
}

export function answerText(answer: PingDocument, sequence: number): string {
  const { peer, bytes, roundTripMs, endpoint, reason } = answer;
  if (roundTripMs === null) return `seq=${sequence}: ${reason}\n`;
  return `${bytes} bytes from ${peer} (${endpoint}): seq=${sequence} time=${rounded(roundTripMs)} ms\n`;
}

export function sumText(peer: string, sum: PingSum): string {
  const { sent, answered, loss, minMs, averageMs, maxMs, deviationMs } = sum;
  const share = Math.round(loss * 1_000) / 10;
  const lines = [`--- ${peer} ---`, `${sent} sent, ${answered} answered, ${share} % lost`];
  if (minMs !== null) {
    const times = [minMs, averageMs, maxMs, deviationMs].join("/");
    lines.push(`round trip min/avg/max/mdev ${times} ms`);
  }
  return `\n${lines.join("\n")}\n`;
}

function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
