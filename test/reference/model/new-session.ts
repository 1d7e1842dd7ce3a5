/** A session as its handshake makes it. */
import type { RespSent } from "./records.ts";
import type { Peer, Session, Way } from "./state.ts";

/** `born`: when the INIT left (initiator) or came (responder); `path`: where the INIT or the RESP went. */
export function newSession(
  peer: Peer,
  wire: RespSent,
  isInitiator: boolean,
  born: number,
  path: Way,
): Session {
  const { init, nodeId } = wire;
  return {
    peer,
    wire,
    isInitiator,
    born,
    stamp: init.stamp,
    node: isInitiator ? nodeId : init.nodeId,
    initiator: init.nodeId,
    paths: [path],
    isConfirmed: false,
    isEnded: false,
    heardAt: undefined,
    nextCounter: 0,
    seen: new Set(),
    highest: -1,
    addressFrames: 0,
  };
}
