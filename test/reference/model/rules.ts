/**
 * The numbers of docs/protocol.md, written out a second time, so that a slip in src/core/constants.ts shows.
 *
 * Milliseconds where no other unit is named.
 */

/** Rule 5. */
export const RETRY_WAITS: readonly number[] = [300, 300, 600];
export const RETRY_WAIT = 1_000;
export const RETRY_SLOW_AT = 30_000;
export const RETRY_SLOW_WAIT = 5_000;
export const GIVE_UP = 90_000;
export const ANSWERABLE_INITS = 4;
/** Rule 4. */
export const COOKIE_RESENDS = 3;
export const COOKIE_RIDES = 120_000;
export const COOKIE_SECRET = 120_000;
/** Rule 1. */
export const SEEN_FOR = 600_000;
export const REPEATS = 3;
export const REPEATS_ANYWHERE = 2;
/** Rule 2. */
export const FLOORS_OF_PAIR = 4;
export const FLOORS_OF_GROUP = 1_024;
/** Rule 6. */
export const CONFIRM_AT: readonly number[] = [300, 1_000, 3_000, 7_000];
export const UNHEARD = 15_000;
/** Rule 7. */
export const HALF_OPEN_OF_NODE = 4;
export const HALF_OPEN_OF_PEER = 8;
export const HALF_OPEN_NEWCOMER = 10_000;
export const REORDERED = 10_000;
/** Rule 8. */
export const CROSSING = 10_000;
export const REKEY_INITIATOR = 120_000;
export const REKEY_RESPONDER = 165_000;
/** Rule 10. */
export const REJECT = 180_000;
export const WINDOW = 8_128;
/** Rule 11. */
export const UNANSWERED = 15_000;
export const PASSIVE = 10_000;
/** Rule 12. */
export const PATH_CHALLENGE_GAP = 250;
export const PATH_CHALLENGE_CAUSE = 9;
/** Rule 14. */
export const WAITING_PACKETS = 128;
/** Limits. */
export const STALE = 180_000;
export const WORK_OF_TURN = 20;
export const WORK_OF_ANSWER = 6;
export const DEFERRED = 256;
/** Groups. */
export const GROUP_NEWCOMERS = 100;
export const GROUP_SHARE = 40;
export const GROUP_SHARE_BURST = 60;
export const GROUP_RESERVE = 2;
export const GROUP_RESERVE_BURST = 5;
export const NODE_ADDRESSES = 64;
export const ADDRESS_FRAMES = 5;
export const PROBES = 3;
export const PROBE_WAIT = 333;
export const FIRST_REST = 2_000;
export const LONGEST_REST = 60_000;
