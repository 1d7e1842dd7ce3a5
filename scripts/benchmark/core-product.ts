/**
 * The compiled core, as production runs it: modules of dist/, typed by their sources.
 *
 * The benchmark's own files run through tsx, which leaves compiled JavaScript as it is. The trap: types
 * come from src/, values from dist/, so a build that is out of date would be measured under new types;
 * scripts/bench builds first.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "../netns/process.ts";

type Module<T extends keyof Modules> = Modules[T];

interface Modules {
  readonly "core/tunnel.js": typeof import("../../src/core/tunnel.ts");
  readonly "core/buffers.js": typeof import("../../src/core/buffers.ts");
  readonly "core/batch.js": typeof import("../../src/core/batch.ts");
  readonly "core/options.js": typeof import("../../src/core/options.ts");
  readonly "crypto/aead.js": typeof import("../../src/crypto/aead.ts");
  readonly "crypto/sodium.js": typeof import("../../src/crypto/sodium.ts");
  readonly "io/native.js": typeof import("../../src/io/native.ts");
  readonly "io/tun.js": typeof import("../../src/io/tun.ts");
  readonly "io/udp.js": typeof import("../../src/io/udp.ts");
  readonly "io/clock.js": typeof import("../../src/io/clock.ts");
  readonly "engine/engine.js": typeof import("../../src/engine/engine.ts");
}

/** What the benchmark of the core takes from the product. */
export interface Product {
  readonly Tunnel: Module<"core/tunnel.js">["Tunnel"];
  readonly tunnelBuffers: Module<"core/buffers.js">["tunnelBuffers"];
  readonly messageBatch: Module<"core/batch.js">["messageBatch"];
  readonly packetBatch: Module<"core/batch.js">["packetBatch"];
  readonly limits: Module<"core/options.js">["DEFAULT_LIMITS"];
  readonly aead: ReturnType<Module<"crypto/aead.js">["nativeAead"]>;
  readonly crypto: Awaited<ReturnType<Module<"crypto/sodium.js">["loadSodium"]>>;
  readonly TunDevice: Module<"io/tun.js">["TunDevice"];
  readonly UdpSocket: Module<"io/udp.js">["UdpSocket"];
  readonly createClock: Module<"io/clock.js">["createClock"];
  readonly Engine: Module<"engine/engine.js">["Engine"];
  readonly READY: Module<"engine/engine.js">["READY"];
}

/** Loads the compiled modules, the addon and the handshake's WebAssembly. */
export async function loadProduct(): Promise<Product> {
  const { nativeAead } = await load("crypto/aead.js");
  const { loadSodium } = await load("crypto/sodium.js");
  const { loadNative } = await load("io/native.js");
  return {
    ...(await load("core/tunnel.js")),
    ...(await load("core/buffers.js")),
    ...(await load("core/batch.js")),
    ...(await load("io/tun.js")),
    ...(await load("io/udp.js")),
    ...(await load("io/clock.js")),
    ...(await load("engine/engine.js")),
    limits: (await load("core/options.js")).DEFAULT_LIMITS,
    aead: nativeAead(loadNative()),
    crypto: await loadSodium(),
  };
}

async function load<T extends keyof Modules>(name: T): Promise<Module<T>> {
  return (await import(pathToFileURL(join(ROOT, "dist", name)).href)) as Module<T>;
}
