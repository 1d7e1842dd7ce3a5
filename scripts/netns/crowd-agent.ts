/**
 * A program that is many sites at once: a tunnel of the product's core and a socket for each, in one process.
 *
 * Started by crowd.ts, which tells it the sites over the message channel and hears how many are up. What a
 * daemon does besides (device, routes, log) is left out, or a thousand of them would not fit a machine.
 */
import { createSocket, type Socket } from "node:dgram";
import { tunnelBuffers } from "../../src/core/buffers.ts";
import { DEFAULT_LIMITS } from "../../src/core/options.ts";
import { mapAddress, parseAddress, parsePrefix } from "../../src/core/prefix.ts";
import { at, MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import type { Instant } from "../../src/core/time.ts";
import { Tunnel } from "../../src/core/tunnel.ts";
import { nativeAead } from "../../src/crypto/aead.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { loadNative } from "../../src/io/native.ts";
import type { CrowdOrder, CrowdReport, CrowdSite } from "./crowd.ts";

const MTU = 1420;
const LOOK_MS = 5;
const REPORT_MS = 50;

const native = loadNative();
const environment = { crypto: await loadSodium(), aead: nativeAead(native) };
const sites: Site[] = [];
let isUpCount = 0;

process.on("message", (order: CrowdOrder) => void start(order));
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: true });

/** One site: its tunnel, and the socket that it speaks by. */
class Site {
  readonly #tunnel: Tunnel;
  readonly #socket: Socket;
  readonly #hub: CrowdOrder["hub"];
  #isUp = false;

  constructor(site: CrowdSite, socket: Socket, hub: CrowdOrder["hub"]) {
    this.#socket = socket;
    this.#hub = hub;
    const size = { mtu: MTU, superPackets: false, gro: false, rows: 1 };
    const inner = bytesOf(site.inner);
    const options = {
      nodeId: environment.crypto.random(16),
      mtu: MTU,
      listenPort: hub.port,
      ownAddresses: [mapAddress(bytesOf(site.outer))],
      innerAddresses: [inner],
      limits: DEFAULT_LIMITS,
      offloads: { joinTcp: false, joinUdp: false, runs: false },
    };
    this.#tunnel = new Tunnel(options, environment, tunnelBuffers(size), now());
    socket.on("message", (bytes, from) => this.#receive(bytes, from.port));
    this.#tunnel.setWallClock(Date.now() * 1000);
    const prefix = parsePrefix(hub.network);
    if ("fault" in prefix) throw new Error(`${hub.network} ${prefix.fault}`);
    this.#tunnel.addPeer(
      {
        name: "hub",
        kind: site.isInGroup ? "hub" : "pair",
        keys: [Buffer.from(site.key, "base64")],
        endpoints: [{ address: mapAddress(bytesOf(hub.address)), port: hub.port, scope: 0 }],
        hasConfiguredEndpoint: true,
        allowedIps: [prefix.prefix],
        keepaliveSeconds: 25,
        roaming: "validated",
      },
      now(),
    );
    this.#flush();
  }

  /** Does what is due. */
  look(): void {
    if (this.#tunnel.nextTimeout() > now()) return;
    this.#tunnel.setWallClock(Date.now() * 1000);
    this.#tunnel.handleTimeout(now());
    this.#flush();
  }

  #receive(bytes: Buffer, port: number): void {
    const { datagrams } = this.#tunnel.buffers;
    if (bytes.length > datagrams.arena.length) return;
    datagrams.arena.set(bytes);
    datagrams.rows.fill(0);
    datagrams.rows[MESSAGE.LENGTH] = bytes.length;
    datagrams.rows[MESSAGE.PORT] = port;
    const words = new Uint8Array(datagrams.rows.buffer, MESSAGE.REMOTE * 4, 16);
    words.set(mapAddress(bytesOf(this.#hub.address)));
    datagrams.count = 1;
    this.#tunnel.setWallClock(Date.now() * 1000);
    this.#tunnel.handleDatagrams(now());
    this.#flush();
  }

  #flush(): void {
    const { outgoing } = this.#tunnel.buffers;
    while (this.#tunnel.pollTransmit(now()) > 0) {
      for (let row = 0; row < outgoing.count; row++) {
        const start = at(outgoing.rows, row * MESSAGE_FIELDS + MESSAGE.OFFSET);
        const end = start + at(outgoing.rows, row * MESSAGE_FIELDS + MESSAGE.LENGTH);
        this.#socket.send(outgoing.arena.slice(start, end), this.#hub.port, this.#hub.address);
      }
    }
    for (let event = this.#tunnel.pollEvent(); event; event = this.#tunnel.pollEvent()) {
      if (event.kind !== "session" || this.#isUp) continue;
      this.#isUp = true;
      isUpCount += 1;
    }
  }
}

/** Opens every socket first, so that all sites then start at once. */
async function start({ hub, sites: wanted }: CrowdOrder): Promise<void> {
  const sockets = await Promise.all(wanted.map(({ outer }) => open(outer, hub.port)));
  for (const [index, site] of wanted.entries()) {
    const socket = sockets[index];
    if (socket !== undefined) sites.push(new Site(site, socket, hub));
  }
  setInterval(() => {
    for (const site of sites) site.look();
  }, LOOK_MS);
  setInterval(() => process.send?.({ up: isUpCount } satisfies CrowdReport), REPORT_MS);
}

async function open(address: string, port: number): Promise<Socket> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, resolve);
  });
  return socket;
}

function now(): Instant {
  return native.clock() as Instant;
}

function bytesOf(address: string): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new Error(`${address} is no address`);
  return bytes;
}
