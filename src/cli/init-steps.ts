/**
 * What a person does after `iptun init`: which host has which addresses, and the commands until the tunnel runs.
 *
 * They can be pasted, so paths are quoted where a shell needs it. Every other value was checked by the configuration's
 * rules, which leave nothing that a shell would take for its own. The file that holds the key goes towards the host
 * that can be reached: only that one has a name for scp.
 */
import { printable } from "../config/shown.ts";
import { formatAddress, formatPrefix } from "../core/prefix.ts";
import { addressText } from "../daemon/host/network-plan.ts";
import type { InitValues, Site } from "./init-values.ts";
import { columns } from "./layout.ts";

/** Where the other host's file goes: what init takes on this host. */
const DIRECTORY = "/etc/iptun";

/** Where init leaves its files. */
export interface InitPaths {
  readonly config: string;
  readonly key: string;
  /** The other host's; undefined: standard output. */
  readonly peer: string | undefined;
}

/** Who has which addresses, and what to do on each host. */
export function stepsText(
  { interface: device, here, there }: InitValues,
  paths: InitPaths,
): string {
  const target = `${DIRECTORY}/${device}.toml`;
  const isFetched = paths.peer === undefined || here.endpoint !== undefined;
  const onHere = hostLines(
    here,
    "",
    leavingCommands(there, paths, target, isFetched),
    paths.config,
  );
  const onThere = hostLines(
    there,
    arrivalText(paths, target),
    isFetched ? fetchCommands(here, paths, target) : [],
    target,
  );
  const [address] = here.addresses.map(({ bytes }) => formatAddress(bytes));
  const lines = [
    "",
    ...columns([siteRow(here), siteRow(there)])
      .trimEnd()
      .split("\n"),
    "",
    "Next, as root:",
    ...(isFetched ? [...onThere, ...onHere] : [...onHere, ...onThere]),
    `  Then, on ${there.name}:`,
    `    ping ${address}`,
  ];
  return `${lines.join("\n")}\n`;
}

function siteRow({ name, addresses, networks }: Site): readonly string[] {
  const behind =
    networks.length > 0 ? `and behind it ${networks.map(formatPrefix).join(", ")}` : "";
  return [name, addresses.map(addressText).join(", "), behind];
}

/** What to type on a host until its tunnel runs. */
function hostLines(
  site: Site,
  remark: string,
  commands: readonly string[],
  file: string,
): readonly string[] {
  const word = shellWord(file);
  const all = [
    ...commands,
    ...forwardCommands(site),
    `iptun check --config ${word}`,
    `iptun --config ${word}`,
  ];
  return [`  On ${site.name}${remark}:`, ...all.map((line) => `    ${line}`)];
}

function arrivalText({ peer }: InitPaths, target: string): string {
  return peer === undefined ? `, where what was printed is ${target} with mode 0600` : "";
}

/** Taken from this host, which can be reached. */
function fetchCommands({ endpoint }: Site, { peer }: InitPaths, target: string): readonly string[] {
  if (endpoint === undefined || peer === undefined) return [];
  const source = `root@${scpHost(endpoint.host)}:${peer}`;
  return [`mkdir -p ${DIRECTORY}`, `scp -p ${shellWord(source)} ${shellWord(target)}`];
}

/** The other host's file has no business here once it was copied. */
function leavingCommands(
  { name, endpoint }: Site,
  { peer }: InitPaths,
  target: string,
  isFetched: boolean,
): readonly string[] {
  if (peer === undefined) return [];
  const remove = `rm ${shellWord(peer)}`;
  if (isFetched) return [remove];
  const host = endpoint?.host ?? name;
  const copy = `scp -p ${shellWord(peer)} ${shellWord(`root@${scpHost(host)}:${target}`)}`;
  return [`ssh root@${host} mkdir -p ${DIRECTORY}`, copy, remove];
}

/** A host in front of networks passes on what is not its own. */
function forwardCommands({ networks }: Site): readonly string[] {
  const switches = [
    ...(networks.some(({ family }) => family === 4) ? ["net.ipv4.ip_forward=1"] : []),
    ...(networks.some(({ family }) => family === 6) ? ["net.ipv6.conf.all.forwarding=1"] : []),
  ];
  return switches.length === 0 ? [] : [`sysctl -w ${switches.join(" ")}`];
}

function scpHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** A path as one word of a shell's command line. */
function shellWord(text: string): string {
  const plain = printable(text);
  return /^[\w@%+=:,./-]+$/.test(plain) ? plain : `'${plain.replaceAll("'", "'\\''")}'`;
}
