/**
 * Why a peer cannot be probed or tested, in words.
 */
import type { SpeedRefusal } from "../../core/options.ts";

/** The reason as the end of a line. */
export function refusalText(refusal: SpeedRefusal, peer: string): string {
  switch (refusal) {
    case "no-peer":
      return `no peer is named ${JSON.stringify(peer)}`;
    case "group":
      return `${peer} is a group: name one of its nodes, as iptun status shows them`;
    case "no-endpoint":
      return "no session, and no address to start one with";
    case "no-session":
      return "no session: a handshake is under way";
    case "busy":
      return "a speed test runs: one at a time";
    case "too-long":
      return `the path to ${peer} does not carry datagrams of this size: iptun status has its MTU`;
  }
}
