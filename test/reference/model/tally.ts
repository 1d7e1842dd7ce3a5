/**
 * How often the interesting states were reached: a schedule that never gets there proves nothing.
 */

/** Every state that is counted, with what it means. */
export const STATES = {
  crossing: "two handshakes crossed and the smaller node id decided",
  lateCrossing: "opposite handshakes that did not cross, because the older session was heard",
  endedAtOnce: "a session confirmed behind two better ones",
  challenged: "an INIT was asked to prove its address",
  cookieAccepted: "an INIT brought a valid cookie",
  cookieOfBefore: "a cookie of the secret before was accepted",
  cookieTooOld: "a cookie was of no secret any more",
  cookieOfElsewhere: "a cookie was of another address, or of another host",
  resendsSpent: "a CHALLENGE was not answered, because its attempt had answered three",
  floorPassed: "a stamp above the floor made a cookie needless",
  floorEscape: "a stamp below the floor, and a cookie",
  floorForgotten: "a fifth node took the place of the floor confirmed longest ago",
  oldStamp: "an INIT older than one that waits came out of order",
  overtaken: "an INIT older than one that has waited for long had to prove its address",
  ownInit: "an own INIT came back",
  siteInit: "an INIT to a site",
  repeatedResp: "the same INIT drew its RESP again",
  repeatedChallenge: "the same INIT drew a CHALLENGE again",
  repeatsSpent: "the same INIT drew nothing any more",
  otherPath: "a session was confirmed from an address that its RESP went to later",
  deferred: "an INIT was put off to a later turn",
  deferredFull: "an INIT was dropped because 256 were put off already",
  sourceLimited: "an INIT or data was refused for its source",
  lane: "an INIT passed an empty source bucket by its lane",
  budget: "an INIT beyond its peer's budget",
  halfOpenOfNode: "a fifth half-open session of a node displaced the oldest",
  halfOpenOfPeer: "a ninth half-open session of a peer displaced another",
  newcomerExpired: "a half-open session of an unknown node ended after 10 s",
  olderHalfOpenEnded: "a confirmed session ended half-open ones with lower stamps",
  oldRespUsed: "a RESP to another than the newest INIT was used",
  lateResp: "a RESP to no pending INIT",
  lateChallenge: "a CHALLENGE to no pending INIT, or to another version of it",
  respOfOtherVersion: "a RESP to an INIT that had been sent again with a cookie",
  slowRetry: "a retry after 30 s",
  gaveUp: "an attempt ended after 90 s",
  alternated: "a retry went to another than the endpoint in use",
  rekeyInitiator: "the initiator renewed at 120 s",
  rekeyResponder: "the responder renewed at 165 s",
  rekeyUnderLoss: "a renewal took more than one INIT",
  unanswered: "data unanswered for 15 s started a handshake",
  unheard: "a session not heard for 15 s after its RESP was started anew",
  confirmRepeated: "the confirming keepalive was repeated",
  passiveKeepalive: "a passive keepalive was sent",
  configuredKeepalive: "a configured keepalive was sent",
  keepaliveStarted: "a configured keepalive started a handshake",
  expired: "a confirmed session ended at 180 s",
  previousUsed: "data on the session before the current one",
  replayedData: "data that was seen before",
  edge: "data at the far edge of the replay window was taken",
  behindEdge: "data behind the replay window was refused",
  forged: "data that did not open",
  closed: "a close frame ended a session",
  waited: "a packet waited for a session",
  waitingFull: "a packet that waited was dropped for a newer one",
  flushed: "packets that had waited were sent",
  learned: "an endpoint was learned",
  roamedOn: "an endpoint moved at once (roaming on)",
  roamedValidated: "an endpoint moved because a path challenge was answered",
  roamedConfirming: "an endpoint moved because a session was confirmed from where its RESP went",
  roamedConfigured: "an endpoint moved to a configured address (roaming off)",
  roamedByResp: "a RESP chose a configured address",
  roamRefusedOff: "an endpoint stayed (roaming off)",
  roamRefusedLow: "data from elsewhere that was not the highest moved nothing",
  roamRefusedAddress: "an address that nobody can have was refused",
  lateRespKept: "a late RESP did not take back a move",
  pathChallenged: "a path challenge was sent",
  pathChallengeHeld: "a path challenge was held back for 250 ms, or for want of a cause as long",
  staleAnswer: "an answer to a path challenge that counted no more",
  strayAnswer: "an answer to a path challenge from another address",
  localFollowed: "the own address followed the one that was addressed",
  localReleased: "an own address went away, and the kernel chose again",
  stale: "an endpoint was forgotten after 180 s",
  claimed: "a node brought an address",
  contested: "a node claimed an address of another",
  contestKept: "the holder of a claimed address answered and kept it",
  contestMoved: "the holder of a claimed address was silent, and it moved",
  contestRested: "a claim during the holder's rest",
  takenBack: "a node took back what it had lost while silent",
  addressMadeRoom: "a 65th address took the place of the first",
  addressesFrame: "a site told its addresses in place of a keepalive",
  innerRefused: "an inner source that is not the peer's",
  marked: "a congestion mark went over to a packet",
  markRefused: "a congestion mark on a packet that takes none",
  runOpened: "several datagrams came as one run",
  batchMixed: "data and handshakes came in one batch",
} as const;

export type State = keyof typeof STATES;

/** States that thousands of schedules may not reach. */
export const RARE: ReadonlySet<State> = new Set([
  "deferredFull",
  "respOfOtherVersion",
  "lateRespKept",
]);

/** States that hundreds of schedules may not reach. */
export const SELDOM: ReadonlySet<State> = new Set(["endedAtOnce", "staleAnswer"]);

/** How often each state was reached. */
export class Tally {
  readonly counts = new Map<State, number>();

  note(state: State, count = 1): void {
    this.counts.set(state, this.of(state) + count);
  }

  of(state: State): number {
    return this.counts.get(state) ?? 0;
  }

  add(counts: Iterable<readonly [State, number]>): void {
    for (const [state, count] of counts) this.note(state, count);
  }
}
