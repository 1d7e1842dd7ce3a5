/**
 * The lab of ecn.test.ts: two tunnels between the same two sites, one over IPv4 and one over IPv6, with a router.
 *
 * Which side copies DSCP differs, so that each outer family has a side that does and one that does not. Pings are
 * told apart by the last byte of their data inside the tunnel, and by their length outside.
 */
import { type Capture, type Datagram, startCapture, tosOf } from "../../scripts/netns/capture.ts";
import { Daemon, makeKey } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import { OUTER, type Routed, routedHosts } from "../../scripts/netns/routed.ts";
import { hostPort } from "../../scripts/netns/topology.ts";
import { setFeatures } from "../../scripts/netns/two-lans.ts";
import { innerBytes } from "../helpers/address.ts";

export const SIDES = ["left", "right"] as const;
export const TUNNELS = [
  { outer: "IPv4", family: "four", device: "iptun4", port: 1194, copies: "right", net: 4 },
  { outer: "IPv6", family: "six", device: "iptun6", port: 1196, copies: "left", net: 6 },
] as const;
export const INNERS = [
  ["IPv4", "inner4"],
  ["IPv6", "inner6"],
] as const;
export type Tunnel = (typeof TUNNELS)[number];
export type Side = (typeof SIDES)[number];
export type Inner = (typeof INNERS)[number][1];

/** What a datagram has more than the data of the ping in it: DATA, IP and ICMP header. */
const MORE_THAN_DATA = { inner4: 32 + 20 + 8, inner6: 32 + 40 + 8 } as const;
/** Time for tcpdump to write what it saw. */
const SETTLE_MS = 300;
/** Until a session is up. */
const DEADLINE_SECONDS = 15;

export interface PingOptions {
  readonly tos: number;
  /** The last byte of its data. */
  readonly mark: number;
  /** Of data. */
  readonly bytes: number;
}

export class EcnLab {
  readonly lab: Lab;
  readonly routed: Routed;
  readonly #daemons = new Map<string, Daemon>();

  constructor() {
    this.lab = openLab();
    this.routed = routedHosts(this.lab);
  }

  /** Starts all four daemons and waits for the sessions. */
  async start(): Promise<void> {
    // The router gets datagrams one by one, not pings at the same moment as one: they are told apart by length.
    for (const side of SIDES)
      await setFeatures(this.routed[side], "eth0", { "tx-udp-segmentation": false });
    for (const tunnel of TUNNELS) {
      const keyFile = await makeKey(this.lab.dir, `${tunnel.device}.key`);
      for (const side of SIDES)
        this.#daemons.set(tunnel.device + side, this.#daemon(tunnel, side, keyFile));
    }
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon.start()));
    await this.connect();
  }

  /** Pings through both tunnels until each has answered. */
  async connect(): Promise<void> {
    await Promise.all(
      TUNNELS.map(async (tunnel) => {
        const options = ["-c", "1", "-w", String(DEADLINE_SECONDS)];
        await this.routed.left.output([
          "ping",
          "-n",
          "-q",
          ...options,
          innerAddress(tunnel, "right", "inner4"),
        ]);
      }),
    );
  }

  daemon(tunnel: Tunnel, side: Side): Daemon {
    const daemon = this.#daemons.get(tunnel.device + side);
    if (daemon === undefined) throw new Error(`no daemon of ${tunnel.device} on the ${side}`);
    return daemon;
  }

  /** One ping, answered or not. */
  async ping(
    tunnel: Tunnel,
    from: Side,
    inner: Inner,
    { tos, mark, bytes }: PingOptions,
  ): Promise<void> {
    const header = ["-Q", String(tos), "-p", mark.toString(16), "-s", String(bytes)];
    const target = innerAddress(tunnel, otherSide(from), inner);
    await this.routed[from].run(["ping", "-n", "-q", "-c", "1", "-W", "1", ...header, target]);
  }

  /** Captures the pings that come out of a tunnel on one side. */
  async captureRequests(tunnel: Tunnel, at: Side): Promise<Capture> {
    const from = otherSide(at);
    const [four, six] = [
      innerAddress(tunnel, from, "inner4"),
      innerAddress(tunnel, from, "inner6"),
    ];
    const filter = `(icmp[0] == 8 and src ${four}) or (ip6[40] == 128 and src ${six})`;
    return await startCapture(this.routed[at], tunnel.device, { filter });
  }

  close(): void {
    this.lab.close();
  }

  #daemon(tunnel: Tunnel, side: Side, keyFile: string): Daemon {
    const other = otherSide(side);
    const peer = {
      name: other,
      keyFile,
      allowedIps: [
        `${innerAddress(tunnel, other, "inner4")}/32`,
        `${innerAddress(tunnel, other, "inner6")}/128`,
      ],
    };
    const endpoint = hostPort(OUTER.right[tunnel.family], tunnel.port);
    const settings = {
      device: tunnel.device,
      addresses: [
        `${innerAddress(tunnel, side, "inner4")}/24`,
        `${innerAddress(tunnel, side, "inner6")}/64`,
      ],
      listen: `[::]:${tunnel.port}`,
      copyDscp: tunnel.copies === side,
      // One size of segment for the whole of a test.
      mtu: 1420,
      peers: [side === "left" ? { ...peer, endpoint } : peer],
    };
    return new Daemon(this.routed[side], settings, { subdir: tunnel.device });
  }
}

export function otherSide(side: Side): Side {
  return side === "left" ? "right" : "left";
}

/** Inner address of a site, without prefix length. */
export function innerAddress({ net }: Tunnel, side: Side, inner: Inner): string {
  const host = side === "left" ? 1 : 2;
  return inner === "inner4" ? `10.77.${net}.${host}` : `fd77:${net}::${host}`;
}

/** Ends captures when all was written. */
export async function finish(...captures: readonly Capture[]): Promise<void> {
  await pause(SETTLE_MS);
  await Promise.all(captures.map((capture) => capture.stop()));
}

/** Whether a datagram of a tunnel left one site with a ping of so many bytes of data inside. */
export function holdsPing(
  datagram: Datagram,
  tunnel: Tunnel,
  from: Side,
  inner: Inner,
  bytes: number,
): boolean {
  return isOf(datagram, tunnel, from) && datagram.payload.length === bytes + MORE_THAN_DATA[inner];
}

/** Whether a datagram of a tunnel left one site. */
export function isOf(
  { source, destinationPort, sourcePort }: Datagram,
  { family, port }: Tunnel,
  from: Side,
): boolean {
  const isAddress = Buffer.compare(source, innerBytes(OUTER[from][family])) === 0;
  return isAddress && (destinationPort === port || sourcePort === port);
}

/** Pings of one family by the last byte of their data. */
export function byMark(packets: readonly Buffer[], inner: Inner): ReadonlyMap<number, Buffer> {
  const version = inner === "inner4" ? 4 : 6;
  const own = packets.filter((packet) => packet.readUInt8(0) >> 4 === version);
  return new Map(own.map((packet) => [packet.at(-1) ?? -1, packet]));
}

/** TCP over IPv4 or IPv6, without options or extension headers in front. */
export interface TcpView {
  readonly source: Buffer;
  readonly ecn: number;
  readonly flags: number;
  readonly payloadBytes: number;
  /** Of IP and TCP. */
  readonly headerBytes: number;
}

export function viewTcp(packet: Buffer): TcpView {
  const isIpv4 = packet.readUInt8(0) >> 4 === 4;
  const start = isIpv4 ? 20 : 40;
  const headerBytes = start + (packet.readUInt8(start + 12) >> 4) * 4;
  return {
    source: isIpv4 ? packet.subarray(12, 16) : packet.subarray(8, 24),
    ecn: tosOf(packet) & 3,
    flags: packet.readUInt8(start + 13),
    payloadBytes: packet.length - headerBytes,
    headerBytes,
  };
}
