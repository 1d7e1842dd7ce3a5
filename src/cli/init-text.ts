/**
 * One host's configuration as `iptun init` writes it: TOML that says in comments what each value is.
 *
 * The values were checked by the configuration's rules, so no name in a comment can end it. What has a good default
 * is left out.
 */
import { formatAddress, formatPrefix } from "../core/prefix.ts";
import { hostPortText } from "../daemon/control/status.ts";
import { addressText } from "../daemon/host/network-plan.ts";
import type { Site } from "./init-values.ts";

/** Seconds between keepalives of a host that cannot be called; RFC 4787 §4.3 asks 120 of a NAT, and some keep 30. */
const NAT_KEEPALIVE_SECONDS = 25;

/** The pre-shared key in a configuration. */
export type KeyEntry =
  | { readonly key: string }
  /** Relative to the configuration. */
  | { readonly keyFile: string };

/** The configuration of `own` towards `other`; `schema`: path of the JSON Schema on that host, for editors. */
export function configText(
  device: string,
  own: Site,
  other: Site,
  key: KeyEntry,
  schema?: string,
): string {
  return [
    ...(schema === undefined ? [] : [`#:schema ${schema}`]),
    `# iptun on ${own.name}: the tunnel to ${other.name}. config.example.toml explains every key.`,
    ...("key" in key ? ["# Complete, with the key inside: keep it at mode 0600."] : []),
    "",
    "[interface]",
    `name = ${tomlText(device)}`,
    `# Inner addresses of ${own.name}.`,
    `address = ${tomlTexts(own.addresses.map(addressText))}`,
    ...listenLines(own, other),
    "",
    "[[peer]]",
    `name = ${tomlText(other.name)}`,
    "# The pre-shared key: whoever has it can be either host.",
    "key" in key ? `key = ${tomlText(key.key)}` : `key_file = ${tomlText(key.keyFile)}`,
    ...endpointLines(own, other),
    `# Inner addresses of ${other.name}${other.networks.length > 0 ? ", and the networks behind it" : ""}.`,
    `allowed_ips = ${tomlTexts(allowedIps(other))}`,
    ...keepaliveLines(own, other),
    "",
  ].join("\n");
}

function listenLines({ endpoint }: Site, other: Site): readonly string[] {
  if (endpoint === undefined) {
    return ["# Any free port: this host calls.", 'listen = "[::]:0"'];
  }
  const reached = `${other.name} reaches it at ${hostPortText(endpoint)}`;
  return [
    `# Where to receive: ${reached}. Open the port (UDP) in the firewall.`,
    `listen = "[::]:${endpoint.port}"`,
  ];
}

function endpointLines(own: Site, other: Site): readonly string[] {
  if (other.endpoint === undefined) {
    return [`# No endpoint: ${other.name} calls ${own.name}, from wherever it is.`];
  }
  return [
    `# Where ${other.name} is reached.`,
    `endpoint = ${tomlText(hostPortText(other.endpoint))}`,
  ];
}

function keepaliveLines(own: Site, other: Site): readonly string[] {
  if (own.endpoint !== undefined) return [];
  return [
    `# Seconds: ${other.name} cannot call, so the way back through a NAT is kept open.`,
    `keepalive = ${NAT_KEEPALIVE_SECONDS}`,
  ];
}

function allowedIps({ addresses, networks }: Site): readonly string[] {
  const hosts = addresses.map(({ bytes }) => `${formatAddress(bytes)}/${bytes.length * 8}`);
  return [...new Set([...hosts, ...networks.map(formatPrefix)])];
}

/** JSON's strings are TOML's, but for DEL. */
function tomlText(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}

function tomlTexts(texts: readonly string[]): string {
  return `[${texts.map(tomlText).join(", ")}]`;
}
