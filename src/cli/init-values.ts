/**
 * The values of `iptun init` taken apart and compared, by the rules of the configuration.
 *
 * Also for a part of them: what is missing is compared with nothing, so that an answer is checked when it is
 * given. A problem is laid to the value that comes last in the order of the questions.
 */
import type { InterfaceAddress } from "../config/config.ts";
import type { ParsedHostPort } from "../config/host-port.ts";
import { networkOf } from "../config/network-of.ts";
import type { ConfigProblem } from "../config/problem.ts";
import { deviceNameFault, parseInterfaceAddress } from "../config/resolve-interface.ts";
import { PEER_NAME_FAULT, parseAllowed, parseEndpoint, peerName } from "../config/resolve-peer.ts";
import { shown } from "../config/shown.ts";
import type { Prefix } from "../core/prefix.ts";
import { containsAddress, formatAddress, formatPrefix, prefixesOverlap } from "../core/prefix.ts";
import { addressText } from "../daemon/host/network-plan.ts";
import { flagOf, type InitAnswers, type InitField } from "./init-options.ts";
import { hostAddressFault } from "./inner-addresses.ts";

/** One of the two hosts. */
export interface Site {
  readonly name: string;
  /** Where the other one reaches it; undefined: nowhere. */
  readonly endpoint: ParsedHostPort | undefined;
  readonly addresses: readonly InterfaceAddress[];
  readonly networks: readonly Prefix[];
}

/** What the answers say; faulty and missing values are empty. */
export interface InitValues {
  readonly interface: string;
  readonly here: Site;
  readonly there: Site;
}

type Report = (field: InitField, text: string) => void;

/** Reads the answers; the problems' keys are options. */
export function readValues(answers: InitAnswers): {
  readonly values: InitValues;
  readonly problems: readonly ConfigProblem[];
} {
  const problems: ConfigProblem[] = [];
  const report: Report = (field, text) => problems.push({ key: flagOf(field), text });
  const { interface: device = "" } = answers;
  const nameFault = answers.interface === undefined ? undefined : deviceNameFault(device);
  if (nameFault !== undefined) report("interface", `${shown(device)} ${nameFault}`);
  const values: InitValues = {
    interface: device,
    here: readSite(answers, HERE, report),
    there: readSite(answers, THERE, report),
  };
  compareHosts(values, report);
  compareAddresses(values, report);
  const inner = innerRanges(values);
  for (const one of [...outerRanges(values), ...inner]) compareWithEndpoints(one, values, report);
  for (const one of inner) compareWithNetworks(one, values, report);
  return { values, problems };
}

/** The fields of a host. */
const HERE = {
  name: "name",
  endpoint: "endpoint",
  addresses: "address",
  networks: "networks",
} as const satisfies Record<keyof Site, InitField>;
const THERE = {
  name: "peer",
  endpoint: "peerEndpoint",
  addresses: "peerAddress",
  networks: "peerNetworks",
} as const satisfies Record<keyof Site, InitField>;

function readSite(answers: InitAnswers, fields: typeof HERE | typeof THERE, report: Report): Site {
  const name = answers[fields.name];
  if (name !== undefined && peerName(name, 0) === undefined) {
    report(fields.name, `${shown(name)} ${PEER_NAME_FAULT}`);
  }
  const endpoint = answers[fields.endpoint];
  const addresses = answers[fields.addresses];
  if (addresses !== undefined && entriesOf(addresses).length === 0) {
    const expected = 'expected addresses with prefix length, such as "10.77.0.1/24,fd77::1/64"';
    report(fields.addresses, `has no address; ${expected}`);
  }
  return {
    name: name ?? "",
    endpoint: endpoint === undefined ? undefined : readEndpoint(endpoint, fields.endpoint, report),
    addresses: readList(answers, fields.addresses, report, parseHostAddress, addressText),
    networks: readList(answers, fields.networks, report, parseNetwork, formatPrefix),
  };
}

function readEndpoint(text: string, field: InitField, report: Report): ParsedHostPort | undefined {
  const parsed = parseEndpoint(text);
  if (!("fault" in parsed)) return parsed;
  report(field, `${shown(text)} ${parsed.fault}`);
  return undefined;
}

type Parse<T> = (text: string) => { readonly value: T } | { readonly fault: string };

function readList<T>(
  answers: InitAnswers,
  field: InitField,
  report: Report,
  parse: Parse<T>,
  format: (value: T) => string,
): readonly T[] {
  const values = new Map<string, T>();
  for (const text of entriesOf(answers[field] ?? "")) {
    const parsed = parse(text);
    if ("fault" in parsed) {
      report(field, `${shown(text)} ${parsed.fault}`);
      continue;
    }
    const identity = format(parsed.value);
    if (values.has(identity)) report(field, `${shown(text)} is listed twice; remove one`);
    values.set(identity, parsed.value);
  }
  return [...values.values()];
}

function entriesOf(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((one) => one !== "");
}

function parseHostAddress(
  text: string,
): { readonly value: InterfaceAddress } | { readonly fault: string } {
  const value = parseInterfaceAddress(text);
  if ("fault" in value) return value;
  const fault = hostAddressFault(value);
  return fault === undefined ? { value } : { fault };
}

function parseNetwork(text: string): { readonly value: Prefix } | { readonly fault: string } {
  const parsed = parseAllowed(text);
  return "fault" in parsed ? parsed : { value: parsed.prefix };
}

function compareHosts({ here, there }: InitValues, report: Report): void {
  if (here.name !== "" && here.name === there.name) {
    report("peer", `${shown(here.name)} is this host's name; expected another`);
  }
  const same = here.endpoint;
  if (same?.host === there.endpoint?.host && same?.port === there.endpoint?.port) {
    if (same !== undefined) report("peerEndpoint", "is this host's --endpoint; expected another");
  }
  for (const one of there.networks.map(formatPrefix)) {
    if (!here.networks.some((other) => formatPrefix(other) === one)) continue;
    const expected = "expected each network behind one host; remove one";
    report("peerNetworks", `${shown(one)} is in --networks too; ${expected}`);
  }
}

function compareAddresses({ here, there }: InitValues, report: Report): void {
  if (here.addresses.length === 0 || there.addresses.length === 0) return;
  for (const one of there.addresses) {
    if (here.addresses.every((other) => Buffer.compare(one.bytes, other.bytes) !== 0)) continue;
    report("peerAddress", `${shown(addressText(one))} is this host's too; expected another`);
  }
  for (const family of [4, 6]) {
    const [has, hasOther] = [here, there].map((site) =>
      site.addresses.some((one) => one.family === family),
    );
    if (has === hasOther) continue;
    const lack = `${has === true ? "has no" : "has an"} IPv${family} address`;
    const other = `--address has ${has === true ? "one" : "none"}`;
    report("peerAddress", `${lack}, and ${other}; expected the same families`);
  }
}

/** A prefix that leads into the tunnel on one side, and what it came from. */
interface Range {
  readonly field: InitField;
  readonly prefix: Prefix;
}

/** The networks behind both, without default routes, which leave the tunnel's own datagrams alone. */
function outerRanges({ here, there }: InitValues): readonly Range[] {
  return [
    ...here.networks.map((prefix): Range => ({ field: "networks", prefix })),
    ...there.networks.map((prefix): Range => ({ field: "peerNetworks", prefix })),
  ].filter(({ prefix }) => prefix.length > 0);
}

/** The networks that the inner addresses stand in, each once. */
function innerRanges({ here, there }: InitValues): readonly Range[] {
  const ranges = new Map<string, Range>();
  const add = (field: InitField) => (address: InterfaceAddress) => {
    const prefix = networkOf(address);
    const text = formatPrefix(prefix);
    if (!ranges.has(text)) ranges.set(text, { field, prefix });
  };
  here.addresses.forEach(add("address"));
  there.addresses.forEach(add("peerAddress"));
  return [...ranges.values()];
}

function compareWithEndpoints({ field, prefix }: Range, values: InitValues, report: Report): void {
  for (const [site, flag] of [
    [values.here, "--endpoint"],
    [values.there, "--peer-endpoint"],
  ] as const) {
    const address = site.endpoint?.address;
    if (address === undefined || !containsAddress(prefix, address)) continue;
    const where = `${flag} (${formatAddress(address)}) lies inside ${formatPrefix(prefix)}`;
    const why = "so the tunnel's datagrams would go into the tunnel";
    report(field, `${where}, ${why}; expected a network without it`);
  }
}

/** A network around the inner addresses is right: they have the longer prefix. */
function compareWithNetworks({ field, prefix }: Range, values: InitValues, report: Report): void {
  for (const [site, flag] of [
    [values.here, "--networks"],
    [values.there, "--peer-networks"],
  ] as const) {
    for (const network of site.networks) {
      if (network.length < prefix.length || !prefixesOverlap(network, prefix)) continue;
      const what = `${formatPrefix(prefix)} takes in ${formatPrefix(network)} of ${flag}`;
      report(field, `${what}; expected a range of its own for the tunnel`);
    }
  }
}
