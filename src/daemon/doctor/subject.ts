/**
 * The tunnel that is asked about, from its configuration, its status document, or both: what the host is looked at for.
 *
 * The configuration says what is meant and the document what is there; where only the document is known, the former is
 * read out of it. No keys.
 */
import type { Config, HostPort } from "../../config/config.ts";
import { parseHostPort } from "../../config/host-port.ts";
import type { PeerKind } from "../../core/options.ts";
import { formatPrefix } from "../../core/prefix.ts";
import type { PeerStatus, StatusDocument } from "../control/status.ts";
import { hostOf } from "./words.ts";

export interface SubjectPeer {
  readonly name: string;
  readonly kind: PeerKind;
  /** As configured. */
  readonly endpoints: readonly HostPort[];
  /** Address in use; undefined: none is, or nothing runs. */
  readonly address: string | undefined;
  readonly port: number | undefined;
  /** As "10.0.0.0/8". */
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds: number;
}

export interface Subject {
  readonly device: string;
  /** 0: any, and nothing runs that could tell. */
  readonly listenPort: number;
  /** Bytes of the largest inner packet where it is fixed; undefined: found out by itself, or not known. */
  readonly fixedMtu: number | undefined;
  /** Mark of the outer datagrams; 0: none. */
  readonly mark: number;
  readonly peers: readonly SubjectPeer[];
}

/** undefined: neither is known, so there is no tunnel to ask about. */
export function subjectOf(
  config: Config | undefined,
  status: StatusDocument | undefined,
): Subject | undefined {
  if (config !== undefined) return fromConfig(config, status);
  if (status === undefined) return undefined;
  const { name, listenPort, defaultRoute } = status.interface;
  return {
    device: name,
    listenPort,
    fixedMtu: undefined,
    mark: defaultRoute?.mark ?? 0,
    peers: status.peers.filter(({ kind }) => kind !== "node").map(fromStatus),
  };
}

function fromConfig(config: Config, status: StatusDocument | undefined): Subject {
  const { name, mtu, listen, fwmark } = config.interface;
  return {
    device: name,
    listenPort: status?.interface.listenPort ?? listen.port,
    fixedMtu: mtu === "auto" ? undefined : mtu,
    mark: status?.interface.defaultRoute?.mark ?? fwmark,
    peers: config.peers.map((peer) => {
      const used = status?.peers.find((one) => one.name === peer.name)?.endpoint ?? undefined;
      return {
        name: peer.name,
        kind: peer.kind,
        endpoints: peer.endpoints,
        ...usedEndpoint(used),
        allowedIps: peer.allowedIps.map(formatPrefix),
        keepaliveSeconds: peer.keepaliveSeconds,
      };
    }),
  };
}

function fromStatus(peer: PeerStatus): SubjectPeer {
  return {
    name: peer.name,
    kind: peer.kind === "node" ? "pair" : peer.kind,
    endpoints: peer.configuredEndpoints.flatMap((text) => {
      const parsed = parseHostPort(text);
      return "fault" in parsed ? [] : [parsed];
    }),
    ...usedEndpoint(peer.endpoint ?? undefined),
    allowedIps: peer.allowedIps,
    keepaliveSeconds: peer.keepaliveSeconds,
  };
}

function usedEndpoint(text: string | undefined): Pick<SubjectPeer, "address" | "port"> {
  if (text === undefined) return { address: undefined, port: undefined };
  return { address: hostOf(text), port: Number(text.slice(text.lastIndexOf(":") + 1)) };
}
