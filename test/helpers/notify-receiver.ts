/**
 * Builds the service manager's socket of the tests (notify-receiver.c): Node has no Unix datagram sockets.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const { CC = "cc" } = process.env;
const SOURCE = fileURLToPath(new URL("./notify-receiver.c", import.meta.url));

/** Compiles it into `directory`; returns the program's path. */
export function buildNotifyReceiver(directory: string): string {
  const program = join(directory, "notify-receiver");
  const flags = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"];
  // A sanitizer that is preloaded for the addon is not the compiler's.
  const env = { ...process.env, LD_PRELOAD: "" };
  execFileSync(CC, [...flags, "-o", program, SOURCE], { env });
  return program;
}
