/**
 * The `[interface]` table's texts taken apart: names, addresses, the listening address.
 *
 * Device names are fewer than the kernel's (net/core/dev.c, `dev_valid_name`): only characters that the
 * daemon hands to ip(8), which would also take a leading "-" for an option; and not "all" and "default",
 * which are sysctl's directories.
 * The MTU is checked in `resolve.ts`, because it depends on the peers.
 */
import { isAbsolute } from "node:path";
import { mapAddress, parsePrefix } from "../core/prefix.ts";
import type { Config, InterfaceAddress } from "./config.ts";
import { parseHostPort, unicastFault } from "./host-port.ts";
import type { Settings } from "./schema.ts";
import type { Report } from "./settings.ts";
import { shown } from "./shown.ts";

/** Bytes of the longest device name (IFNAMSIZ - 1, linux/if.h). */
const MAX_NAME_BYTES = 15;
const NAME_EXPECTED =
  'expected 1 to 15 of a-z, A-Z, 0-9, ".", "_", "@" and "-", no "-" first, and not ".", "..", "all" or "default"';
const DEVICE_NAME = /^(?!-)[A-Za-z0-9._@-]+$/;
const MISLEADING_NAME = /^(?:\.{1,2}|all|default)$/;
const LISTEN_EXPECTED =
  'expected "address:port", such as "[::]:1194", "0.0.0.0:1194" or "192.0.2.1:1194"';

/** The interface, with placeholders for what was reported. */
export function resolveInterface(
  settings: Settings["interface"],
  report: Report,
): Config["interface"] {
  checkDeviceName(settings.name, "name", report);
  if (settings.device !== "") checkDeviceName(settings.device, "device", report);
  if (!isAbsolute(settings.state_dir)) {
    const text = `${shown(settings.state_dir)} is not an absolute path; expected one such as "/var/lib/iptun"`;
    report(["interface", "state_dir"], text);
  }
  return {
    name: settings.name,
    addresses: resolveAddresses(settings.address, report),
    mtu: settings.mtu,
    mtuProbeSeconds: settings.mtu_probe_seconds,
    listen: resolveListen(settings.listen, report),
    device: settings.device,
    routes: settings.routes,
    fwmark: settings.fwmark,
    copyDscp: settings.copy_dscp,
    firewall: settings.firewall,
    stateDir: settings.state_dir,
  };
}

function checkDeviceName(name: string, key: "name" | "device", report: Report): void {
  const fault = deviceNameFault(name);
  if (fault !== undefined) report(["interface", key], `${shown(name)} ${fault}`);
}

/** Why a device cannot have the name, as a clause that follows it; undefined: it can. */
export function deviceNameFault(name: string): string | undefined {
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_NAME_BYTES) {
    return `has ${bytes} bytes; expected at most ${MAX_NAME_BYTES}; shorten it`;
  }
  const isRight = DEVICE_NAME.test(name) && !MISLEADING_NAME.test(name);
  return isRight ? undefined : `cannot name a device; ${NAME_EXPECTED}`;
}

function resolveAddresses(
  texts: Settings["interface"]["address"],
  report: Report,
): readonly InterfaceAddress[] {
  const addresses = new Map<string, InterfaceAddress>();
  for (const [index, text] of texts.entries()) {
    if (text === null) continue;
    const address = parseInterfaceAddress(text);
    const fault = "fault" in address ? address.fault : undefined;
    if (fault !== undefined) report(["interface", "address", index], `${shown(text)} ${fault}`);
    if ("fault" in address) continue;
    const identity = address.bytes.join(".");
    if (addresses.has(identity)) {
      report(["interface", "address", index], `${shown(text)} is listed twice; remove one`);
    }
    addresses.set(identity, address);
  }
  return [...addresses.values()];
}

/** Reads "10.0.0.1/24"; the fault is a clause that follows the text. */
export function parseInterfaceAddress(text: string): InterfaceAddress | { readonly fault: string } {
  if (!text.includes("/")) {
    const alone = text.includes(":") ? 128 : 32;
    const expected = 'expected an address with its prefix length, such as "10.0.0.1/24"';
    return {
      fault: `has no prefix length; ${expected}; write "/${alone}" after it if it stands alone`,
    };
  }
  const parsed = parsePrefix(text);
  if ("fault" in parsed) return parsed;
  const { prefix, address: bytes } = parsed;
  if (prefix.length === 0) {
    return { fault: "has prefix length 0, which would take in every address; expected 1 or more" };
  }
  const fault = unicastFault(bytes);
  if (fault !== undefined) return { fault: `${fault}; expected the address of one host` };
  return { family: prefix.family, bytes, prefixLength: prefix.length };
}

function resolveListen(text: string, report: Report): Config["interface"]["listen"] {
  const fail = (fault: string) => {
    report(["interface", "listen"], `${shown(text)} ${fault}; ${LISTEN_EXPECTED}`);
    return { address: new Uint8Array(16), port: 0 };
  };
  const parsed = parseHostPort(text);
  if ("fault" in parsed) return fail(parsed.fault);
  if (parsed.address === undefined) return fail("has a host name");
  const isAny = parsed.address.every((byte) => byte === 0);
  const fault = isAny ? undefined : unicastFault(parsed.address);
  if (fault !== undefined) return fail(fault);
  return { address: mapAddress(parsed.address), port: parsed.port };
}
