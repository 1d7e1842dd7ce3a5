/**
 * Where the peers were when the tunnel stopped or was killed, so that the next run can call them.
 *
 * Without it a host that knows no endpoint by configuration would wait, after a restart, until each peer has
 * something to say. One file an interface in the state directory, 0600. It is a hint and no more: what is wrong in it
 * costs a handshake message to nowhere, so a file that cannot be read or written is no failure.
 */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { exposureFault, processIdentity, readRegularFile } from "../../config/private-file.ts";
import type { PlainEndpoint, TunnelSnapshot } from "../../core/options.ts";
import type { LastEndpoint } from "../../engine/messages.ts";
import { writeDurably } from "../process/write-durably.ts";

/** Bytes of the largest file: some 80 a peer. */
const MAX_BYTES = 262_144;
const MAX_PEERS = 2_048;
const ADDRESS_BYTES = 16;

const fileSchema = z.strictObject({
  version: z.literal(1),
  endpoints: z
    .array(
      z.strictObject({
        peer: z.string().max(64),
        address: z.string().regex(/^[0-9a-f]{32}$/),
        port: z.int().min(1).max(65_535),
        scope: z.int().min(0).max(0xffff_ffff),
      }),
    )
    .max(MAX_PEERS),
});

/** What of a snapshot the next run can use: configured peers that have a session now, with their endpoint. */
export function endpointsToKeep({ peers }: Pick<TunnelSnapshot, "peers">): readonly LastEndpoint[] {
  return peers.flatMap(({ name, kind, state, endpoint }) =>
    kind === "node" || kind === "group" || state !== "up" || endpoint === undefined
      ? []
      : [{ peer: name, endpoint }],
  );
}

/** As text; `parseEndpoints` reads it. */
export function formatEndpoints(endpoints: readonly LastEndpoint[]): string {
  const entries = endpoints.slice(0, MAX_PEERS).map(({ peer, endpoint }) => ({
    peer,
    address: Buffer.from(endpoint.address).toString("hex"),
    port: endpoint.port,
    scope: endpoint.scope,
  }));
  return `${JSON.stringify({ version: 1, endpoints: entries })}\n`;
}

/** undefined: not what `formatEndpoints` writes. */
export function parseEndpoints(text: string): readonly LastEndpoint[] | undefined {
  const parsed = fileSchema.safeParse(parseJson(text));
  if (!parsed.success) return undefined;
  return parsed.data.endpoints.map(({ peer, address, port, scope }) => {
    const bytes = Uint8Array.from(Buffer.from(address, "hex")).subarray(0, ADDRESS_BYTES);
    const endpoint: PlainEndpoint = { address: bytes, port, scope };
    return { peer, endpoint };
  });
}

/** The file of one interface. */
export class LastEndpoints {
  readonly #path: string;
  /** The last write, which the next one waits for: both go by the same draft. It never fails. */
  #written: Promise<void> = Promise.resolve();

  constructor(stateDir: string, interfaceName: string) {
    this.#path = join(stateDir, `${interfaceName}.endpoints`);
  }

  /** None where there is no such file, or one that others could have written. */
  read(): readonly LastEndpoint[] {
    const content = readRegularFile(this.#path, MAX_BYTES, true);
    if ("fault" in content) return [];
    if (exposureFault(content.stats, processIdentity()) !== undefined) return [];
    return parseEndpoints(content.bytes.toString("utf8")) ?? [];
  }

  /** Replaces what is there; rejects where it cannot. */
  write(endpoints: readonly LastEndpoint[]): Promise<void> {
    const written = this.#written.then(() => this.#write(endpoints));
    this.#written = written.catch(() => undefined);
    return written;
  }

  async #write(endpoints: readonly LastEndpoint[]): Promise<void> {
    const draft = `${this.#path}.new`;
    await rm(draft, { force: true });
    await writeDurably(draft, formatEndpoints(endpoints));
    await rename(draft, this.#path);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
