/**
 * `iptun init` in a directory of its own, by flags, and what it left there.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { runCli } from "../../src/cli/program.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { formatPrefix } from "../../src/core/prefix.ts";
import { hostPortText } from "../../src/daemon/control/status.ts";
import { addressText } from "../../src/daemon/host/network-plan.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { FakeTerminal } from "./fake-terminal.ts";

/** Enough for two hosts: an endpoint here, names, inner addresses. */
export const FLAGS = [
  ...["--name", "hub", "--peer", "branch", "--endpoint", "203.0.113.5:1194"],
  ...["--address", "10.77.0.1/24,fd77::1/64"],
];

/** One run. */
export interface Made {
  readonly code: number;
  readonly terminal: FakeTerminal;
  readonly files: ConfigFiles;
}

/** Runs init with `iptun0.toml` of a new directory as this host's configuration. */
export async function init(
  args: readonly string[],
  files = new ConfigFiles(),
  terminal = new FakeTerminal(),
): Promise<Made> {
  const out = ["--out", files.path("iptun0.toml")];
  return { code: await runCli(["init", ...out, ...args], terminal), terminal, files };
}

/** A refusal's lines, without what each begins with. */
export async function refusal(...args: readonly string[]): Promise<readonly string[]> {
  const { code, terminal, files } = await init(args);
  if (code === 0 || readdirSync(files.directory).length > 0) throw new Error("not refused");
  return terminal.stderr
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^iptun(?: init)?: /, "").replaceAll(`${files.directory}/`, ""));
}

/** What a configuration says of the tunnel, by the program's own loader. */
export function loaded(files: ConfigFiles, name: string) {
  const config = loadConfig(files.path(name));
  return { ...plain(config), key: Buffer.from(config.peers[0]?.keys[0] ?? []).toString("base64") };
}

function plain({ interface: device, peers }: Config) {
  const [peer] = peers;
  return {
    name: device.name,
    addresses: device.addresses.map(addressText),
    port: device.listen.port,
    peer: peer?.name,
    endpoints: peer?.endpoints.map(hostPortText),
    allowedIps: peer?.allowedIps.map(formatPrefix),
    keepalive: peer?.keepaliveSeconds,
  };
}

/** Names of the files with their modes. */
export function modes(files: ConfigFiles): Readonly<Record<string, number>> {
  return Object.fromEntries(
    readdirSync(files.directory).map((name) => [name, statSync(files.path(name)).mode & 0o7777]),
  );
}

/** Texts of every file, by name. */
export function texts(files: ConfigFiles): Readonly<Record<string, string>> {
  return Object.fromEntries(
    readdirSync(files.directory).map((name) => [name, readFileSync(files.path(name), "utf8")]),
  );
}
