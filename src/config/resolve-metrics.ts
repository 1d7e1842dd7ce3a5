/**
 * The `[metrics]` table: where metrics and the status page are served over TCP, or nowhere.
 *
 * What is served there asks for no password, so an address that another host can reach has to be asked for by name.
 * The trap: a host name could resolve to any address, so only addresses are taken.
 */
import type { Config } from "./config.ts";
import { type ParsedHostPort, parseHostPort, unicastFault } from "./host-port.ts";
import type { Settings } from "./schema.ts";
import type { Report } from "./settings.ts";
import { shown } from "./shown.ts";

const EXPECTED = 'expected "address:port", such as "127.0.0.1:9586" or "[::1]:9586"';

/** The listener; undefined: none is wanted, or what was given is reported. */
export function resolveMetrics(settings: Settings["metrics"], report: Report): Config["metrics"] {
  const { listen, page } = settings;
  if (listen === "") {
    const remedy = "give it an address such as";
    const text = `is true, but metrics.listen is empty; ${remedy} "127.0.0.1:9586"`;
    if (page) report(["metrics", "page"], text);
    return undefined;
  }
  const parsed = parseHostPort(listen);
  const fault = "fault" in parsed ? parsed.fault : listenFault(parsed, settings);
  if (fault !== undefined) report(["metrics", "listen"], `${shown(listen)} ${fault}; ${EXPECTED}`);
  if ("fault" in parsed || fault !== undefined) return undefined;
  return { listen: { host: parsed.host, port: parsed.port }, hasPage: page };
}

function listenFault(
  { address, port }: ParsedHostPort,
  settings: Settings["metrics"],
): string | undefined {
  if (address === undefined) return "has a host name";
  if (port === 0) return "has port 0";
  if (isLoopback(address)) return undefined;
  const isAny = address.every((byte) => byte === 0);
  const fault = isAny ? undefined : unicastFault(address);
  if (fault !== undefined) return fault;
  return settings.dangerous_non_loopback
    ? undefined
    : "can be reached from other hosts, for which dangerous_non_loopback must be true";
}

/** 127.0.0.0/8 and ::1. */
function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127;
  return address.every((byte, at) => byte === (at === 15 ? 1 : 0));
}
