/**
 * The engine's thread: opens device and socket, joins them with the core, and speaks with the control side.
 *
 * It runs as a worker only. It never logs: what goes wrong becomes one `fatal` message, after the keys
 * are wiped. The trap: whatever is imported here counts twice in memory and is loaded before the first
 * packet, so nothing of configuration, logging or command line may come in.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { tunnelBuffers } from "../core/buffers.ts";
import { keyBytes } from "../core/handshake/keys.ts";
import { Tunnel } from "../core/tunnel.ts";
import { nativeAead } from "../crypto/aead.ts";
import { loadSodium } from "../crypto/sodium.ts";
import { createClock } from "../io/clock.ts";
import { IoError } from "../io/io-error.ts";
import { CIPHER, loadNative, type Native } from "../io/native.ts";
import { adoptTun, openTun, type TunDevice } from "../io/tun.ts";
import type { UdpSocket } from "../io/udp.ts";
import { adoptUdp, openUdp, type UdpOptions } from "../io/udp-open.ts";
import { Engine } from "./engine.ts";
import {
  bufferMtu,
  type Command,
  type EngineFeatures,
  type EngineStart,
  type Inherited,
  type Report,
} from "./messages.ts";
import type { EngineIo } from "./ports.ts";
import { watchDescriptor } from "./watch.ts";

/** Exit code for a missing capability or file permission. */
const NO_PERMISSION = 4;

const port = controlPort();
const report = (message: Report): void => {
  port.postMessage(message);
  // Without its port the thread has nothing left to wait for, and ends.
  if (message.kind === "stopped" || message.kind === "fatal") port.close();
};
let engine: Engine | undefined;

process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
await start(workerData as EngineStart);

function controlPort(): MessagePort {
  if (parentPort === null) throw new Error("the engine runs as a worker thread only");
  return parentPort;
}

async function start(options: EngineStart): Promise<void> {
  const native = loadNative();
  const crypto = await loadSodium();
  const { inherited, peers, udp: wished } = options.isStandby ? await standBy(options) : options;
  const io = openIo(native, { ...options, udp: wished }, inherited);
  const { tun, udp } = io;
  const has = { tso: tun.offloads.includes("tso"), uso: tun.offloads.includes("uso") };
  const gro = udp.offloads.includes("gro");
  const tunnel = new Tunnel(
    {
      nodeId: options.nodeId,
      mtu: options.tun.mtu,
      pathMtu: options.tun.pathMtu,
      measuresQuality: true,
      listenPort: io.udp.port,
      ownAddresses: options.ownAddresses,
      innerAddresses: options.innerAddresses,
      copyDscp: options.copyDscp,
      limits: options.limits,
      offloads: { joinTcp: has.tso, joinUdp: has.uso, runs: udp.offloads.includes("gso") },
    },
    { crypto, aead: nativeAead(native) },
    tunnelBuffers({ mtu: bufferMtu(options.tun.mtu), superPackets: has.tso || has.uso, gro }),
    io.clock.now(),
  );
  engine = new Engine(tunnel, io, options, report);
  report({ kind: "ready", features: features(native, io.tun, io.udp) });
  port.on("message", (command: Command) => engine?.handleCommand(command));
  engine.handleCommand({
    kind: "apply",
    changes: peers.map((peer) => ({ kind: "add-peer", peer })),
  });
  for (const key of keyBytes(peers.flatMap(({ keys }) => keys))) crypto.wipe(key);
}

/** Waits for the word to begin. */
function standBy({
  peers,
  udp,
}: EngineStart): Promise<Pick<EngineStart, "inherited" | "peers" | "udp">> {
  return new Promise((resolve) => {
    port.once("message", (command: Command) => {
      if (command.kind !== "begin") process.exit(0);
      const at = new Map(command.endpoints.map(({ peer, endpoint }) => [peer, endpoint]));
      const placed = peers.map((peer) => ({ ...peer, lastEndpoint: at.get(peer.name) }));
      const { inherited, mark } = command;
      resolve({ inherited, peers: placed, udp: { ...udp, mark } });
    });
    report({ kind: "loaded" });
  });
}

function openIo(
  native: Native,
  { tun, udp, offloads }: EngineStart,
  inherited: Inherited,
): EngineIo & { readonly tun: TunDevice; readonly udp: UdpSocket } {
  const device =
    takeTun(native, tun.name, offloads, inherited) ?? openTun(native, tun.name, offloads);
  const wish = { ...udp, wish: offloads };
  const socket = takeUdp(native, wish, inherited) ?? openUdp(native, wish);
  return {
    tun: device,
    udp: socket,
    clock: createClock(native),
    watchTun: (onReady) => watchDescriptor(native, device.fd, device.name, onReady),
    watchUdp: (onReady) => watchDescriptor(native, socket.fd, `UDP port ${socket.port}`, onReady),
  };
}

/** The inherited device; undefined: there is none, or one of another name, which is closed. */
function takeTun(
  native: Native,
  name: string,
  offloads: EngineStart["offloads"],
  { tun }: Inherited,
): TunDevice | undefined {
  if (tun === undefined) return undefined;
  const device = adoptTun(native, tun, name, offloads);
  if (device === undefined) native.close(tun);
  return device;
}

/** The inherited socket; undefined: there is none, or one that is bound otherwise than configured, which is closed. */
function takeUdp(
  native: Native,
  options: UdpOptions,
  { udp, isUdpGiven }: Inherited,
): UdpSocket | undefined {
  if (udp === undefined) return undefined;
  const { socket, isAsWanted } = adoptUdp(native, udp, options);
  if (isAsWanted || isUdpGiven) return socket;
  socket.close();
  return undefined;
}

function features(native: Native, tun: TunDevice, udp: UdpSocket): EngineFeatures {
  return {
    descriptors: { tun: tun.fd, udp: udp.fd },
    tunName: tun.name,
    udpPort: udp.port,
    udpFamily: udp.family,
    receiveBufferBytes: udp.receiveBufferBytes,
    sendBufferBytes: udp.sendBufferBytes,
    // The addon always asks for the header.
    vnetHeader: true,
    cipher: native.cipherKind(0) === CIPHER.PRIMITIVES ? "primitives" : "evp",
    offloads: [...tun.offloads, ...udp.offloads],
  };
}

/** Wipes, says why in one line, and ends the thread. */
function fail(thrown: unknown): void {
  engine?.abandon();
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const isExpected = error instanceof IoError;
  report({
    kind: "fatal",
    message: isExpected ? error.message : `the engine failed: ${error.message}`,
    exitCode: isExpected && error.isPermission ? NO_PERMISSION : 1,
    detail: isExpected ? undefined : error.stack,
  });
  process.exit(1);
}
