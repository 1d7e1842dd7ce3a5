/**
 * A process in which two cores make sessions, and end: for the search of what is left in its memory (S2).
 *
 * It runs the product's own handshake, primitives and key table; only time is virtual. Every secret that the
 * primitives give is noted, each byte with a mask, so that a note is no copy. Where its input says "go on" the process
 * goes to its next stage, and prints the name of it; with the last come the notes.
 *
 * The trap: a collection of garbage moves small arrays and leaves copies behind; so one is provoked while secrets live.
 */
import { once } from "node:events";
import { tunnelBuffers } from "../../src/core/buffers.ts";
import type { Aead, HandshakeCrypto } from "../../src/core/crypto.ts";
import { DEFAULT_LIMITS } from "../../src/core/options.ts";
import { Tunnel } from "../../src/core/tunnel.ts";
import { nativeAead } from "../../src/crypto/aead.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { endpoint, ipBytes, prefix } from "../helpers/address.ts";
import { udpPacket } from "../helpers/packets.ts";
import { testNative } from "../native/native.ts";
import type { Host } from "../sim/host.ts";
import { World } from "../sim/world.ts";

/** What each byte of a note has been combined with. */
const MASK = 0xa5;
const SECRET_BYTES = 32;
const BLOCK_BYTES = 128;
const MTU = 1420;
const INNER = { left: "10.9.0.1", right: "10.9.0.2" } as const;
const OUTER = {
  left: { ip: "192.0.2.1", port: 1194 },
  right: { ip: "198.51.100.1", port: 1194 },
} as const;
type Side = keyof typeof OUTER;

const notes = new Map<string, string>();
const sodium = await loadSodium();
const aead = nativeAead(testNative());
const psk = sodium.random(SECRET_BYTES);
note("pre-shared key", psk);
const world = new World(1);
const [left, right] = [startHost("left", "right"), startHost("right", "left")];
sodium.wipe(psk);

talk();
world.advance(30_000);
collectGarbage();
left.act((tunnel, now) => tunnel.rekey("right", now));
world.advance(5_000);
collectGarbage();
talk();
await show("sessions");
// Both sides fall silent: sessions and the last attempts of each end by their age.
world.network({ loss: 1 });
world.advance(600_000);
await show("silence");
left.act((tunnel, now) => tunnel.removePeer("right", now));
right.act((tunnel, now) => tunnel.removePeer("left", now));
world.advance(1_000);
await show("no peers");

/** Says where it is and what was noted, and waits for a word. */
async function show(stage: string): Promise<void> {
  process.stdout.write(`${JSON.stringify({ stage, mask: MASK, notes: [...notes] })}\n`);
  await once(process.stdin, "data");
}

function startHost(name: Side, other: Side): Host {
  return world.host({
    name,
    addresses: [OUTER[name].ip],
    port: OUTER[name].port,
    boot: (host) => bootTunnel(host, name, other),
  });
}

function bootTunnel(host: Host, name: Side, other: Side): Tunnel {
  const options = {
    nodeId: sodium.random(16),
    mtu: MTU,
    listenPort: host.port,
    ownAddresses: [ipBytes(OUTER[name].ip).slice()],
    innerAddresses: [],
    limits: DEFAULT_LIMITS,
    measuresQuality: false,
    offloads: { joinTcp: false, joinUdp: false, runs: true },
  };
  const buffers = tunnelBuffers({ mtu: MTU, superPackets: false, gro: false });
  const tunnel = new Tunnel(
    options,
    { crypto: noting(sodium), aead: notingAead() },
    buffers,
    host.now,
  );
  tunnel.setWallClock(host.wallMicros);
  const { ip, port } = OUTER[other];
  tunnel.addPeer(
    {
      name: other,
      keys: [psk],
      endpoints: [endpoint(ip, port)],
      hasConfiguredEndpoint: true,
      allowedIps: [prefix(`${INNER[other]}/32`)],
      keepaliveSeconds: 0,
      roaming: "validated",
    },
    host.now,
  );
  return tunnel;
}

/** A packet each way, which must arrive: else there was no session. */
function talk(): void {
  for (const [from, to, host, other] of [
    [INNER.left, INNER.right, left, right],
    [INNER.right, INNER.left, right, left],
  ] as const) {
    const before = other.delivered.length;
    host.send(udpPacket(from, to, Uint8Array.of(1, 2, 3)));
    world.advance(5_000);
    if (other.delivered.length === before) throw new Error(`nothing came from ${host.name}`);
  }
}

/** The primitives, which note what secrets they give. */
function noting(crypto: HandshakeCrypto): HandshakeCrypto {
  return {
    ...crypto,
    keyPair: () => {
      const pair = crypto.keyPair();
      note("ephemeral secret", pair.secretKey);
      return pair;
    },
    dh: (secretKey, publicKey) => {
      const shared = crypto.dh(secretKey, publicKey);
      if (shared !== undefined) note("shared secret", shared);
      return shared;
    },
    blake2b: (length, parts, key) => {
      const digest = crypto.blake2b(length, parts, key);
      // Macs are shorter, and what only hashes a transcript has no secret block before it.
      if (length < SECRET_BYTES) return digest;
      if (key !== undefined)
        note(length === SECRET_BYTES ? "sub-key" : "transport material", digest);
      else if (parts[0]?.length === BLOCK_BYTES) note("Noise key", digest);
      return digest;
    },
  };
}

/** The key table, which notes what is loaded. */
function notingAead(): Aead {
  return {
    ...aead,
    load: (material) => {
      note("transport key", material);
      return aead.load(material);
    },
  };
}

/** The half that a freed block keeps: an allocator writes over its beginning. A subarray would move a small array, and leave a copy. */
function note(kind: string, secret: Uint8Array): void {
  let masked = "";
  for (let index = SECRET_BYTES / 2; index < SECRET_BYTES; index++) {
    masked += ((secret[index] ?? 0) ^ MASK).toString(16).padStart(2, "0");
  }
  notes.set(masked, kind);
}

/** Makes so much garbage that what is young is moved, and moved again. */
function collectGarbage(): void {
  const kept: Uint8Array[] = [];
  for (let round = 0; round < 1_000_000; round++) {
    kept[round % 1_000] = new Uint8Array(32);
  }
}
