/**
 * A host of the model as the real core: a tunnel behind the simulated host of test/sim, with a clock of its
 * own, driven one input at a time.
 *
 * Each input takes a microsecond, so no timer interferes; a retry is had by jumping this host's clock to
 * its timer, which no other host notices. What the core draws at random is kept, because the model's fresh
 * values are bound to it. Data that timers repeat is not in the model and is left out.
 */
import type { HandshakeCrypto, KeyPair } from "../../src/core/crypto.ts";
import { DROP_REASONS, type DropReason } from "../../src/core/drop-reason.ts";
import { after, type Instant } from "../../src/core/time.ts";
import type { SocketAddress } from "../helpers/address.ts";
import { Random } from "../helpers/random.ts";
import { TYPE, typeOf } from "../helpers/wire-view.ts";
import { Host, type HostGround } from "../sim/host.ts";
import { bootTunnel, type PeerSpec, type SiteSpec } from "../sim/pair.ts";
import { NonceLedger, TwinAead } from "../sim/twin-aead.ts";
import type { Break } from "./attacks.ts";
import { stampMicros } from "./evaluate.ts";
import type { HostSpec } from "./host.ts";

export interface RealOptions {
  readonly spec: HostSpec;
  /** Of its first INIT. */
  readonly stamp: number;
  readonly nodeId: Uint8Array;
  readonly psk: Uint8Array;
  readonly own: SocketAddress;
  readonly other: SocketAddress;
  readonly seed: number;
  readonly broken: Break;
}

/** What a datagram or an own input led to. */
export interface RealStep {
  readonly sent: readonly Uint8Array[];
  readonly reason: DropReason | undefined;
  /** Diffie-Hellman computations. */
  readonly work: number;
}

/** Longer than a session and two secrets of cookies live, shorter than INITs are remembered. */
const SILENCE_MS = 250_000;

export class RealHost {
  /** Key pairs drawn, oldest first. */
  readonly keyPairs: KeyPair[] = [];
  /** The 32-byte secrets of its cookies since it started. */
  #secrets: Uint8Array[] = [];
  readonly #host: Host;
  readonly #ground: Ground;

  constructor(options: RealOptions) {
    const { spec, own, broken, nodeId } = options;
    const random = new Random(options.seed);
    const ledger = new NonceLedger();
    this.#ground = new Ground(options.stamp);
    const site: SiteSpec = {
      name: spec.name,
      addresses: [own.ip],
      peers: [peerOf(options)],
      limits: { handshakesPerSecond: 1_000, handshakeBurst: 1_000 },
      replaced: (crypto) => this.#watched(broken.replaced?.(crypto, nodeId) ?? crypto),
    };
    this.#host = new Host(this.#ground, {
      name: spec.name,
      addresses: [own.ip],
      port: own.port,
      bootMs: 1_000,
      boot: (host) => {
        this.#secrets = [];
        return bootTunnel(host, site, nodeId, new TwinAead(ledger), random.fork());
      },
    });
    this.#host.turn();
  }

  /** A life begins with the present and the previous one, and after a long silence they come in the other order. */
  get cookieSecret(): Uint8Array | undefined {
    return this.#secrets.length > 2 ? this.#secrets.at(-1) : this.#secrets[0];
  }

  /** Datagrams of the start. */
  takeSent(): Uint8Array[] {
    return this.#ground.sent.splice(0);
  }

  deliver(bytes: Uint8Array, from: SocketAddress): RealStep {
    return this.#step(() =>
      this.#host.receive({ ...NOWHERE, from, to: this.#host.address, bytes }),
    );
  }

  /** A fresh INIT with this stamp: a rekey, or the next retry of an attempt. */
  start(stamp: number): RealStep {
    return this.#step(() => {
      this.#ground.wallMicros = stampMicros(stamp);
      const { name } = this.#host.snapshot().peers[0] ?? { name: "" };
      this.#host.act((tunnel, now) => {
        tunnel.setWallClock(this.#host.wallMicros);
        tunnel.rekey(name, now);
      });
      this.#host.turn();
      while (!this.#ground.sent.some((bytes) => typeOf(bytes) === TYPE.INIT)) this.#skip();
      this.#ground.sent = this.#ground.sent.filter((bytes) => typeOf(bytes) === TYPE.INIT);
    });
  }

  /** Ends and starts; a host that starts sends an INIT with this stamp. */
  restart(stamp: number): RealStep {
    return this.#step(() => {
      this.#ground.wallMicros = stampMicros(stamp);
      this.#host.restart();
    });
  }

  /** Four minutes of silence, for a hub, which starts nothing then. */
  expire(): RealStep {
    return this.#step(() => {
      this.#ground.now = after(this.#ground.now, SILENCE_MS);
    });
  }

  /** Slot and role of each session, sorted. */
  sessions(): string[] {
    return this.#host
      .snapshot()
      .peers.flatMap(({ sessions }) => sessions)
      .map(({ slot, isInitiator }) => `${slot} ${isInitiator ? "initiator" : "responder"}`)
      .toSorted();
  }

  #step(act: () => void): RealStep {
    this.#ground.now = after(this.#ground.now, 0.001);
    const before = this.#host.snapshot();
    act();
    this.#host.turn();
    const now = this.#host.snapshot();
    const reasons = (Object.keys(DROP_REASONS) as DropReason[]).filter(
      (reason) => now.drops[reason] > before.drops[reason],
    );
    return {
      sent: this.takeSent(),
      reason: reasons[0],
      work: Math.max(0, now.handshakeComputations - before.handshakeComputations),
    };
  }

  /** On to this host's next timer. */
  #skip(): void {
    const deadline = this.#host.deadline?.at;
    if (deadline === undefined) throw new Error("no timer is set");
    this.#ground.now = deadline;
    this.#host.turn();
  }

  #watched(crypto: HandshakeCrypto): HandshakeCrypto {
    return {
      ...crypto,
      random: (length) => {
        const bytes = crypto.random(length);
        if (length === 32) this.#secrets.push(bytes.slice());
        return bytes;
      },
      keyPair: () => {
        const pair = crypto.keyPair();
        this.keyPairs.push({ publicKey: pair.publicKey, secretKey: pair.secretKey.slice() });
        return pair;
      },
    };
  }
}

const NOWHERE = { at: 0 as Instant, by: "attacker" } as const;

/** A world of one host. */
class Ground implements HostGround {
  now = 0 as Instant;
  wallMicros: number;
  sent: Uint8Array[] = [];

  constructor(stamp: number) {
    this.wallMicros = stampMicros(stamp);
  }

  transmit(_: Host, datagram: { readonly bytes: Uint8Array }): void {
    this.sent.push(datagram.bytes);
  }

  log(): void {}
}

function peerOf({ spec, psk, other, broken }: RealOptions): PeerSpec {
  const isHub = spec.kind === "hub" || broken.isHub?.(spec);
  const kind = spec.kind === "pair" ? "pair" : isHub ? "group" : "hub";
  return {
    name: "peer",
    kind,
    keys: [psk],
    endpoints: spec.starts ? [other] : [],
    allowedIps: ["10.0.0.0/8"],
  };
}
