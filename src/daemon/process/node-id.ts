/**
 * The node's identity in handshakes: 16 random bytes, kept a file an interface (PROTOCOL §2).
 *
 * Not a secret, but kept 0600 like all else in the state directory. It must be the same after a
 * restart (it carries the peer's stamp floor), and two daemons that start at once must not both win:
 * the file is written under another name and linked into place, which fails where one exists.
 */
import { randomBytes } from "node:crypto";
import { link, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, messageOf } from "../failure.ts";
import { makeDirectory } from "./make-directory.ts";
import { writeDurably } from "./write-durably.ts";

/** Bytes of a node id. */
export const NODE_ID_BYTES = 16;

export interface NodeId {
  readonly id: Uint8Array;
  /** Why the id is not kept, for a warning; undefined: it is. */
  readonly warning: string | undefined;
}

/** The interface's node id from `stateDir`, made and kept on first use; random for this process where it cannot be kept. */
export async function loadNodeId(stateDir: string, interfaceName: string): Promise<NodeId> {
  const path = join(stateDir, `${interfaceName}.id`);
  try {
    return { id: (await readId(path)) ?? (await createId(stateDir, path)), warning: undefined };
  } catch (error) {
    const warning = `node id is not kept (${messageOf(error)}): a random one is used until the next restart`;
    return { id: freshId(), warning };
  }
}

async function readId(path: string): Promise<Uint8Array | undefined> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  if (!/^[0-9a-f]{32}\n?$/.test(text))
    throw new Error(`${path} does not hold 32 hexadecimal digits`);
  return Uint8Array.from(Buffer.from(text.slice(0, 2 * NODE_ID_BYTES), "hex"));
}

async function createId(stateDir: string, path: string): Promise<Uint8Array> {
  makeDirectory(stateDir);
  const id = freshId();
  const draft = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    await writeDurably(draft, `${Buffer.from(id).toString("hex")}\n`);
    await link(draft, path);
    return id;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    return (await readId(path)) ?? id;
  } finally {
    await rm(draft, { force: true });
  }
}

function freshId(): Uint8Array {
  return Uint8Array.from(randomBytes(NODE_ID_BYTES));
}
