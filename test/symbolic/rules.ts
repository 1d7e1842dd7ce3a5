/**
 * The rules of docs/protocol.md that the model can break, one flag each, to see that the attack is found.
 *
 * A property that holds in every state shows nothing unless it can fail. Six variants are the known
 * attacks which the protocol was built against (attacks.ts); the others are there so that each property has one
 * variant at least that breaks it.
 */

/** True: as the protocol has it. */
export interface Rules {
  /** Rules 1 and 9: an INIT or RESP under the own node id is dropped. */
  readonly refusesOwnNode: boolean;
  /** §3: INIT.mac covers cookie_mac. */
  readonly initMacCoversCookie: boolean;
  /** §3: RESP.mac covers INIT.mac. */
  readonly respMacCoversInit: boolean;
  /** §3: RESP.mac covers receiver_index. */
  readonly respMacCoversIndex: boolean;
  /** Groups: a site drops every INIT. */
  readonly sitesDropInits: boolean;
  /** Rule 2: a floor never falls. */
  readonly floorsNeverFall: boolean;
  /** Groups: a node without a session proves its address whatever its stamp. */
  readonly absentNodesProve: boolean;
  /** Rule 1: INITs that were seen are remembered. */
  readonly remembersInits: boolean;
  /** Rule 10: the window refuses a counter that was there. */
  readonly keepsWindow: boolean;
  /** §2: the Diffie-Hellman of both ephemerals goes into the keys. */
  readonly mixesSharedSecret: boolean;
  /** §2: the PSK goes into the keys. */
  readonly mixesPsk: boolean;
  /** §2: transport keys name the handshake hash. */
  readonly keysNameTranscript: boolean;
  /** Rule 1: an INIT draws its answer again a few times at most. */
  readonly boundsRepeats: boolean;
  /** §3: a cookie is bound to the source's address. */
  readonly cookieNamesSource: boolean;
  /** Groups: a group's sub-keys and prologue differ from a pair's. */
  readonly scopesDiffer: boolean;
  /** Rule 8: of two sessions that crossed, the smaller initiator's is current. */
  readonly settlesCrossing: boolean;
  /** §2: a RESP's Noise ciphertext must open. */
  readonly opensResp: boolean;
  /** §2: each handshake has an ephemeral of its own. */
  readonly freshEphemerals: boolean;
}

export const PROTOCOL: Rules = {
  refusesOwnNode: true,
  initMacCoversCookie: true,
  respMacCoversInit: true,
  respMacCoversIndex: true,
  sitesDropInits: true,
  floorsNeverFall: true,
  absentNodesProve: true,
  remembersInits: true,
  keepsWindow: true,
  mixesSharedSecret: true,
  mixesPsk: true,
  keysNameTranscript: true,
  boundsRepeats: true,
  cookieNamesSource: true,
  scopesDiffer: true,
  settlesCrossing: true,
  opensResp: true,
  freshEphemerals: true,
};

/** The protocol with some rules taken out. */
export function without(...broken: (keyof Rules)[]): Rules {
  return { ...PROTOCOL, ...Object.fromEntries(broken.map((rule) => [rule, false])) };
}
