/**
 * A peer's keys as `iptun status` shows them: who uses which, and whether an old one can be removed.
 *
 * With one key there is nothing to tell but its name. What the words mean is decided in core/handshake/key-snapshot.ts, and
 * docs/operations.md has the steps that an operator takes by them.
 */
import type { KeyStatus, PeerStatus } from "../daemon/control/status.ts";
import { ageText, countText } from "./layout.ts";

/** The row of the keys. */
export function keyRow({ name, kind, keys }: PeerStatus): readonly string[] {
  const [first] = keys;
  if (keys.length === 1 && first !== undefined) return ["key", first.fingerprint];
  const isGroup = kind === "group";
  const texts = keys.map(
    (key) => `${key.fingerprint} ${isGroup ? siteText(key) : useText(key, name)}`,
  );
  return ["keys", texts.join(", ")];
}

function useText(key: KeyStatus, peer: string): string {
  switch (key.use) {
    case "first":
      return ownText(key);
    case "in-use":
      return "in use";
    case "peer-starts":
      return `not yet: ${peer} started with it ${agoText(key.peerStartedSeconds)}`;
    case "first-unproven":
      return `not yet: ${peer} was not heard under the first key`;
    case "unknown":
      return `not yet: ${peer} has started no session, so its first key is not known`;
    case "removable":
      return removableText(key);
  }
}

/** The key that this side starts with. */
function ownText({ startedSeconds, peerStartedSeconds }: KeyStatus): string {
  if (startedSeconds !== null && peerStartedSeconds !== null) return "in use by both sides";
  if (startedSeconds !== null) return "in use by this side";
  return peerStartedSeconds !== null ? "in use by the other side" : "not used yet";
}

/** The same of a group's key, with which only sites start. */
function siteText(key: KeyStatus): string {
  const sites = countText(key.sites ?? 0, "site");
  switch (key.use) {
    case "removable":
      return removableText(key);
    case "unknown":
      return "not used yet";
    default:
      return key.use === "in-use"
        ? `in use by ${sites}`
        : `not yet: ${sites} used it last, ${agoText(key.heardSeconds)}`;
  }
}

function removableText({ heardSeconds }: KeyStatus): string {
  if (heardSeconds === null) return "never used: nothing needs it";
  return `unused for ${ageText(heardSeconds)}: safe to remove`;
}

function agoText(seconds: number | null): string {
  return seconds === null ? "before" : `${ageText(seconds)} ago`;
}
