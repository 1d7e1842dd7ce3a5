/**
 * One `[[peer]]` table's texts taken apart: name, keys, endpoint, prefixes.
 *
 * What compares peers with each other is in `compare-peers.ts`. Every value keeps the path it came from,
 * for the messages there.
 */

import type { PeerKind } from "../core/options.ts";
import { formatPrefix, type Prefix, parsePrefix } from "../core/prefix.ts";
import { type ParsedHostPort, parseHostPort, unicastFault } from "./host-port.ts";
import { type KeyContext, readKeys, type SourcedKey } from "./key-source.ts";
import type { Path } from "./locate.ts";
import type { PeerSettings } from "./schema.ts";
import type { Report } from "./settings.ts";
import { looksSecret, shown } from "./shown.ts";

/** A prefix and where it was given. */
export interface SourcedPrefix {
  readonly prefix: Prefix;
  readonly path: Path;
}

/** An endpoint and where it was given. */
export interface SourcedEndpoint {
  readonly endpoint: ParsedHostPort;
  readonly path: Path;
}

/** A peer taken apart, faulty values left out. */
export interface ResolvedPeer {
  readonly name: string;
  readonly path: Path;
  readonly kind: PeerKind;
  readonly keys: readonly SourcedKey[];
  readonly endpoints: readonly SourcedEndpoint[];
  readonly prefixes: readonly SourcedPrefix[];
  readonly rateBitsPerSecond: number | undefined;
  /** Whether the file names prefixes at all, right or wrong. */
  readonly hasPrefixes: boolean;
  readonly settings: PeerSettings;
}

const PEER_NAME = /^[\p{L}\p{N}][\p{L}\p{N}._@-]{0,31}$/u;
/** The clause that follows a name that `peerName` refuses. */
export const PEER_NAME_FAULT =
  'cannot name a peer; expected 1 to 32 letters, digits, ".", "_", "@" or "-"';
const ENDPOINT_EXPECTED =
  'expected "host:port", such as "vpn.example.org:1194", "192.0.2.1:1194" or "[2001:db8::1]:1194"';

const RATE = /^(\d{1,6}(?:\.\d{1,3})?)([kmg]bit)$/;
const RATE_UNITS: Readonly<Record<string, number>> = { kbit: 1e3, mbit: 1e6, gbit: 1e9 };
/** Where one packet of usual size takes a fifth of a second, and where no such link is. */
const LEAST_RATE = 64e3;
const MOST_RATE = 100e9;
const RATE_EXPECTED = 'expected bits a second from "64kbit" to "100gbit", such as "45mbit"';

/** The name of the peer at an index, or undefined where the file's name cannot be used. */
export function peerName(name: unknown, index: number): string | undefined {
  if (name === undefined) return `peer${index + 1}`;
  const isUsable = typeof name === "string" && PEER_NAME.test(name) && !looksSecret(name);
  return isUsable ? name : undefined;
}

/** Takes one peer apart. `areRoutesOn`: a default route among a group's prefixes is refused. */
export function resolvePeer(
  settings: PeerSettings,
  index: number,
  areRoutesOn: boolean,
  context: KeyContext,
): ResolvedPeer {
  const path: Path = ["peer", index];
  const name = peerName(settings.name, index);
  if (name === undefined) {
    context.report([...path, "name"], `${shown(settings.name)} ${PEER_NAME_FAULT}`);
  }
  const keys = readKeys(settings, path, context);
  checkKind(settings, keys, path, context);
  return {
    name: name ?? `#${index + 1}`,
    path,
    kind: kindOf(settings, keys),
    keys,
    endpoints: resolveEndpoints(settings.endpoint, [...path, "endpoint"], context.report),
    prefixes: resolvePrefixes(settings, path, areRoutesOn, context.report),
    rateBitsPerSecond: resolveRate(settings.rate, [...path, "rate"], context.report),
    hasPrefixes: !isEmpty(context.given([...path, "allowed_ips"])),
    settings,
  };
}

/** Bits of a second, by the units of tc(8); undefined: none is given, or it is faulty. */
function resolveRate(text: string, path: Path, report: Report): number | undefined {
  if (text === "") return undefined;
  const [, number = "", unit = ""] = RATE.exec(text) ?? [];
  const bits = Number(number) * (RATE_UNITS[unit] ?? Number.NaN);
  if (bits >= LEAST_RATE && bits <= MOST_RATE) return bits;
  report(path, `is ${shown(text)}; ${RATE_EXPECTED}`);
  return undefined;
}

function kindOf({ learn }: PeerSettings, keys: readonly SourcedKey[]): PeerKind {
  if (learn) return "group";
  return keys.some(({ isGroup }) => isGroup) ? "hub" : "pair";
}

/** A group's key has a hub, which learns, and sites, which know where the hub is. */
function checkKind(
  settings: PeerSettings,
  keys: readonly SourcedKey[],
  path: Path,
  { report, given }: KeyContext,
): void {
  const { learn } = settings;
  const isGroup = kindOf(settings, keys) !== "pair";
  for (const key of keys) {
    if (key.isGroup === isGroup) continue;
    const why = learn ? "with learn = true" : "beside another of a group";
    const fault = `is a pair's key; expected a group's key ${why}; make one with \`iptun keygen --group\``;
    report(key.path, fault);
  }
  const hasEndpoint = given([...path, "endpoint"]) !== undefined;
  if (learn && hasEndpoint) {
    const fault =
      "is given together with learn = true; expected none; sites call their hub; remove it";
    report([...path, "endpoint"], fault);
  }
  if (learn && isEmpty(given([...path, "allowed_ips"]))) {
    const fault = "has learn = true and no allowed_ips; expected the prefixes of all its sites";
    report(path, fault);
  }
  if (isGroup && !learn && !hasEndpoint) {
    const fault =
      "has a group's key and no endpoint; expected the hub's endpoint on a site, or learn = true on the hub";
    report(path, fault);
  }
}

/** Whether a list is missing or has nothing in it; a value of another kind is not empty. */
export function isEmpty(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

function resolveEndpoints(
  given: PeerSettings["endpoint"],
  path: Path,
  report: Report,
): readonly SourcedEndpoint[] {
  const texts = typeof given === "string" ? [given] : (given ?? []);
  const seen = new Set<string>();
  return texts.flatMap((text, index) => {
    const place = typeof given === "string" ? path : [...path, index];
    const parsed = parseEndpoint(text);
    if ("fault" in parsed) {
      report(place, `${shown(text)} ${parsed.fault}`);
      return [];
    }
    if (seen.has(text)) report(place, `${shown(text)} is listed twice; remove one`);
    seen.add(text);
    return [{ endpoint: parsed, path: place }];
  });
}

/** Reads where a peer is reached; the fault is a clause that follows the text. */
export function parseEndpoint(text: string): ParsedHostPort | { readonly fault: string } {
  const parsed = parseHostPort(text);
  const fault = "fault" in parsed ? parsed.fault : endpointFault(parsed);
  return fault === undefined ? parsed : { fault: `${fault}; ${ENDPOINT_EXPECTED}` };
}

function endpointFault(endpoint: ParsedHostPort): string | undefined {
  if (endpoint.port === 0) return "has port 0";
  return endpoint.address === undefined ? undefined : unicastFault(endpoint.address);
}

function resolvePrefixes(
  { allowed_ips: texts, learn }: PeerSettings,
  peer: Path,
  areRoutesOn: boolean,
  report: Report,
): readonly SourcedPrefix[] {
  return texts.flatMap((text, index) => {
    if (text === null) return [];
    const path = [...peer, "allowed_ips", index];
    const parsed = parseAllowed(text);
    if ("fault" in parsed) {
      report(path, `${shown(text)} ${parsed.fault}`);
      return [];
    }
    if (parsed.prefix.length === 0 && learn && areRoutesOn) {
      const expected = "expected the prefixes of its sites; name them, or set routes = false";
      report(path, `${shown(text)} would send all traffic to a group; ${expected} in [interface]`);
    }
    return [{ prefix: parsed.prefix, path }];
  });
}

/** Reads a prefix without host bits; the fault is a clause that follows the text. */
export function parseAllowed(
  text: string,
): { readonly prefix: Prefix } | { readonly fault: string } {
  const alone = `${text.split("/")[0]}/${text.includes(":") ? 128 : 32}`;
  if (!text.includes("/")) {
    const expected = 'expected a prefix, such as "10.0.0.0/24"';
    return { fault: `has no prefix length; ${expected}; write ${shown(alone)} for one address` };
  }
  const parsed = parsePrefix(text);
  if ("fault" in parsed) return parsed;
  if (parsed.hasHostBits) {
    const expected = `expected ${shown(formatPrefix(parsed.prefix))}`;
    return { fault: `has host bits set; ${expected}; write ${shown(alone)} for one address` };
  }
  return parsed;
}
