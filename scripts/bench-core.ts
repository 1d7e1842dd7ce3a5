/**
 * The benchmark of the core alone: two tunnels in memory, then a hub with up to 1,000 peers; no sockets.
 *
 * `scripts/bench core [--quick]`. Prints nanoseconds and allocated bytes a packet, writes
 * build/bench/core.json. The code measured is that of dist/.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { VirtualClock } from "./benchmark/core-ends.ts";
import { EngineRig } from "./benchmark/core-engine-rig.ts";
import { type Allocations, measureAllocations } from "./benchmark/core-heap.ts";
import { HubRig } from "./benchmark/core-hub-rig.ts";
import { type InnerPacket, tcpSuperPacket, udpPacket } from "./benchmark/core-packets.ts";
import { LEFT, PairRig, RIGHT } from "./benchmark/core-pair-rig.ts";
import { loadProduct, type Product } from "./benchmark/core-product.ts";
import { allocationTable, costTable, scaleTable } from "./benchmark/core-report.ts";
import { timeRigs } from "./benchmark/core-rig.ts";
import { describeMachine } from "./benchmark/machine.ts";

const OUT = "build/bench";
const ROWS = 128;
const MOST_PEERS = 1000;
const PEERS = [1, 10, 100, MOST_PEERS];
/** Packets of a small window of TCP. */
const IN_ROW = 16;
/** What fits behind the headers of a packet of 1,420 bytes, 46 times: 63 KB, the most that TCP makes. */
const SEGMENT = 1420 - 20 - 32;
const SEGMENTS = 46;
const SUPER_PACKETS = 4;

/** A batch of packets, and whether device and socket have offloads. */
interface Load {
  readonly title: string;
  readonly batch: readonly InnerPacket[];
  readonly hasOffloads: boolean;
}

const isQuick = process.argv.includes("--quick");
const rounds = isQuick ? 10 : 40;
const product = await loadProduct();
const loads = makeLoads();
const pairs = loads.map((load) => pairFor(product, load));
const costs = timeRigs(pairs, rounds);
process.stdout.write(`${costTable(costs, rounds)}\n`);
const allocations: Allocations[] = [];
for (const load of loads) {
  const { title, batch, hasOffloads } = load;
  const engines = new EngineRig(product, new VirtualClock(), batch, hasOffloads);
  allocations.push(await measureAllocations(title, pairFor(product, load), engines));
  engines.close();
}
process.stdout.write(`${allocationTable(allocations)}\n`);
const hubs = PEERS.map((peers) => new HubRig(product, new VirtualClock(), peers, 1400));
hubs.push(new HubRig(product, new VirtualClock(), MOST_PEERS, 1400, IN_ROW));
const scale = timeRigs(hubs, rounds);
process.stdout.write(`${scaleTable(scale, rounds)}\n`);
mkdirSync(OUT, { recursive: true });
const machine = { ...describeMachine(), node: process.version.slice(1) };
const report = { format: 1, date: new Date().toISOString(), machine, costs, allocations, scale };
writeFileSync(`${OUT}/core.json`, `${JSON.stringify(report, undefined, 2)}\n`);

function makeLoads(): readonly Load[] {
  const udp = (bytes: number): InnerPacket[] => Array(ROWS).fill(udpPacket(bytes, LEFT, RIGHT));
  const superPacket = tcpSuperPacket(SEGMENTS * SEGMENT, SEGMENT, LEFT, RIGHT);
  return [
    { title: "64 bytes", batch: udp(64), hasOffloads: true },
    { title: "512 bytes", batch: udp(512), hasOffloads: true },
    { title: "1,400 bytes", batch: udp(1400), hasOffloads: true },
    { title: "1,400 bytes, no offloads", batch: udp(1400), hasOffloads: false },
    {
      title: "63 KB super-packet",
      batch: Array(SUPER_PACKETS).fill(superPacket),
      hasOffloads: true,
    },
  ];
}

function pairFor(product: Product, { title, batch, hasOffloads }: Load): PairRig {
  return new PairRig(product, new VirtualClock(), title, batch, hasOffloads);
}
