/**
 * S2: what of the handshake's secrets is in a process's memory while there are sessions, and once they are over.
 *
 * The process is another one (secret-memory-process.ts), or the search would find its own needles. The trap: a search
 * that finds nothing proves nothing, so it is also made while the secrets are needed. What the addon keeps is in
 * test/native/memory.test.ts, and a whole daemon in test/netns/secrets-memory.test.ts.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { figure } from "../helpers/figure.ts";
import { copiesInMemory } from "../helpers/process-memory.ts";

interface Stage {
  readonly stage: string;
  readonly mask: number;
  readonly notes: readonly (readonly [masked: string, kind: string])[];
}

/** Copies of secrets by stage and kind. */
const copies = new Map<string, ReadonlyMap<string, number>>();
let secrets = 0;

beforeAll(async () => {
  const program = fileURLToPath(new URL("./secret-memory-process.ts", import.meta.url));
  const { stdin, stdout, pid } = spawn(process.execPath, ["--import", "tsx", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  for await (const line of createInterface(stdout)) {
    const stage = JSON.parse(line) as Stage;
    secrets = stage.notes.length;
    copies.set(stage.stage, copiesByKind(pid ?? 0, stage));
    stdin.write("go on\n");
    if (stage.stage === "no peers") stdin.end();
  }
}, 60_000);

describe("S2 secrets of handshakes in memory", () => {
  it("while there are sessions are the sub-keys of each side, and nothing that made a session", () => {
    expect(total("sessions")).toBe(copies.get("sessions")?.get("sub-key"));
    expect(copies.get("sessions")?.get("sub-key")).toBeGreaterThanOrEqual(6);
  });

  it("are the same ten minutes after both sides fell silent, no ephemeral key among them", () => {
    expect(copies.get("silence")).toEqual(copies.get("sessions"));
  });

  it("are none once the peers are gone", () => {
    const found = total("no peers");
    figure(
      "S2",
      `${secrets} secrets of two cores, sessions over and peers gone`,
      `${found} copies`,
      "0",
    );
    expect(copies.get("no peers")).toEqual(new Map());
    expect(secrets).toBeGreaterThan(200);
  });
});

function total(stage: string): number {
  return [...(copies.get(stage)?.values() ?? [])].reduce((sum, count) => sum + count, 0);
}

/** The notes without their mask, and where they lie. */
function copiesByKind(pid: number, { mask, notes }: Stage): ReadonlyMap<string, number> {
  const kinds = new Map<Buffer, string>();
  for (const [masked, kind] of notes) {
    const needle = Buffer.from(masked, "hex");
    for (const [index, byte] of needle.entries()) needle[index] = byte ^ mask;
    kinds.set(needle, kind);
  }
  const found = new Map<string, number>();
  for (const { needle } of copiesInMemory(pid, [...kinds.keys()])) {
    const kind = kinds.get(needle) ?? "";
    found.set(kind, (found.get(kind) ?? 0) + 1);
  }
  return found;
}
