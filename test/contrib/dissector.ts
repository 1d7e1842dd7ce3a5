/**
 * The dissector of contrib/wireshark at work in tshark, without the user's own settings and plugins.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Captured, pcapFile, udpBetween } from "../helpers/pcap.ts";
import type { Datagram } from "../sim/eve.ts";

const DISSECTOR = "contrib/wireshark/iptun.lua";
/** What each row tells beside the fields that are asked for. */
const ALWAYS = {
  protocol: "_ws.col.Protocol",
  info: "_ws.col.Info",
  faults: "_ws.expert.group",
  luaError: "_ws.lua.error",
} as const;

/** A frame: its fields by name, empty where the frame has none. */
export type Row<F extends string> = Readonly<Record<F | keyof typeof ALWAYS, string>>;

/** Reads a capture file; each frame is a row. `settings` are tshark's options. */
export function dissectFile<const F extends string>(
  file: string,
  fields: readonly F[],
  settings: readonly string[] = [],
): readonly Row<F>[] {
  const home = mkdtempSync(join(tmpdir(), "iptun-tshark-"));
  try {
    const names = [...Object.values(ALWAYS), ...fields];
    const columns = names.flatMap((name) => ["-e", name]);
    const lua = ["-X", `lua_script:${DISSECTOR}`];
    const output = tshark(home, [
      "-2",
      "-r",
      file,
      ...lua,
      ...settings,
      "-T",
      "fields",
      ...columns,
    ]);
    const keys = [...Object.keys(ALWAYS), ...fields];
    const lines = output.split("\n").slice(0, -1);
    return lines.map((line) => {
      const values = line.split("\t");
      return Object.fromEntries(keys.map((key, at) => [key, values[at] ?? ""])) as Row<F>;
    });
  } finally {
    rmSync(home, { recursive: true });
  }
}

/** Writes a capture of these records and reads it. */
export function dissect<const F extends string>(
  records: readonly Captured[],
  fields: readonly F[],
  settings: readonly string[] = [],
): readonly Row<F>[] {
  const folder = mkdtempSync(join(tmpdir(), "iptun-pcap-"));
  try {
    const file = join(folder, "capture.pcap");
    writeFileSync(file, pcapFile(records));
    return dissectFile(file, fields, settings);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What Eve has seen, as a capture. */
export function capturedBy(seen: readonly Datagram[]): readonly Captured[] {
  return seen.map(({ at, from, to, bytes }) => ({ atMs: at, packet: udpBetween(from, to, bytes) }));
}

function tshark(home: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync("tshark", ["-n", ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: home, WIRESHARK_CONFIG_DIR: home, LC_ALL: "C.UTF-8" },
    maxBuffer: 64 * 1024 * 1024,
    timeout: 60_000,
  });
  if (error !== undefined) throw error;
  const complaint = stderr.replace(/^Running as user .*\n/m, "");
  if (status !== 0 || complaint !== "") throw new Error(`tshark: ${status}\n${complaint}`);
  return stdout;
}
