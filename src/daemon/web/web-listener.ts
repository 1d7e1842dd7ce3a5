/**
 * The HTTP listener of metrics and status page: what is served there asks for no password, so it listens on loopback.
 *
 * A page of any web site that a local user has open can send requests here, so what is asked under a foreign name (DNS
 * rebinding) or by a foreign page is refused, and no header lets one read the answer. The trap: every user of the
 * host can connect, unlike at the control socket; nothing here may change anything.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { HostPort } from "../../config/config.ts";
import { boundedServer } from "../control/bounded-http.ts";
import { answerer, type Resource } from "../control/control-answer.ts";
import { hostPortText } from "../control/status.ts";
import { DaemonError, messageOf } from "../failure.ts";

/** Names of this host at which nobody else can be. */
const LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"];

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cache-control": "no-store",
};

/** Listens and serves the resources; a DaemonError where the address cannot be had. */
export async function openWebListener(
  listen: HostPort,
  resources: readonly Resource[],
): Promise<Server> {
  const answer = answerer(resources);
  const server = boundedServer(async (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const refusal = refusalOf(request, listen);
    if (refusal === undefined) await answer(request, response);
    else refuse(request, response, refusal);
  });
  await new Promise<void>((resolve, reject) => {
    // For ever: a connection that cannot be accepted for want of descriptors is told here, too.
    server.on("error", (cause) => {
      const text = `cannot serve metrics on ${hostPortText(listen)}: ${messageOf(cause)}`;
      reject(new DaemonError(`${text}; change metrics.listen`, 1, { cause }));
    });
    server.listen(listen.port, listen.host, resolve);
  });
  return server;
}

function refuse(request: IncomingMessage, response: ServerResponse, error: string): void {
  response.on("finish", () => request.socket.destroySoon());
  response.writeHead(403, { "content-type": "application/json", connection: "close" });
  response.end(`${JSON.stringify({ error })}\n`);
}

/** Why a request is not answered; undefined: it is. */
function refusalOf({ headers }: IncomingMessage, listen: HostPort): string | undefined {
  if (!isOwnName(headers.host ?? "", listen)) {
    return `ask for ${hostPortText(listen)}: other names could be anybody's`;
  }
  const { "sec-fetch-site": site, "sec-fetch-mode": mode } = headers;
  // A browser tells whose page asks; whoever follows a link sees the page, and the other page does not.
  const isForeign = site === "cross-site" || site === "same-site";
  return isForeign && mode !== "navigate" ? "not for pages of other sites" : undefined;
}

/**
 * Whether the Host header names this listener. Where other hosts may ask, any address does: a foreign page gets
 * here by a name of its own, never by an address.
 */
function isOwnName(host: string, listen: HostPort): boolean {
  const [, name = "", port] = /^(.*?)(?::(\d+))?$/.exec(host.toLowerCase()) ?? [];
  if (Number(port ?? 80) !== listen.port) return false;
  if (LOCAL_NAMES.includes(name)) return true;
  const address = name.replace(/^\[(.*)\]$/, "$1");
  return address === listen.host || (!isLoopback(listen.host) && isIP(address) !== 0);
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
