/**
 * `iptun status`: asks a running daemon over its control socket, and prints a summary or everything.
 */
import { fetchStatus } from "../daemon/control/control-client.ts";
import type { StatusDocument } from "../daemon/control/status.ts";
import { DaemonError } from "../daemon/failure.ts";
import { chooseSocket } from "./daemon-choice.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { paintOf } from "./paint.ts";
import { summaryText } from "./status-summary.ts";
import { peerBlock, statusText } from "./status-text.ts";
import type { Terminal } from "./terminal.ts";

/** What is asked for. */
export interface StatusRequest {
  readonly interface: string | undefined;
  /** Only this one. */
  readonly peer: string | undefined;
  readonly isJson: boolean;
  readonly isVerbose: boolean;
}

/** Prints the status of the named or only interface. */
export async function status(request: StatusRequest, terminal: Terminal): Promise<void> {
  const document = await fetchStatus(await chooseSocket(request.interface));
  const chosen = request.peer === undefined ? document : withPeer(document, request.peer);
  await terminal.out(textOf(chosen, request, terminal));
}

function textOf(
  document: StatusDocument,
  { peer, isJson, isVerbose }: StatusRequest,
  terminal: Terminal,
): string {
  if (isJson) return `${JSON.stringify(document, undefined, 2)}\n`;
  if (peer !== undefined) return document.peers.map(peerBlock).join("");
  if (isVerbose) return statusText(document);
  const { columns, hasColour } = terminal.looks();
  return summaryText(document, { width: columns, paint: paintOf(hasColour) });
}

function withPeer(document: StatusDocument, name: string): StatusDocument {
  const peers = document.peers.filter((peer) => peer.name === name);
  if (peers.length > 0) return { ...document, peers };
  throw new DaemonError(`no peer is named ${JSON.stringify(name)}`, EXIT_CODE.USAGE);
}
