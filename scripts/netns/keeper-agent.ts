/**
 * A service manager that keeps descriptors, as systemd does: keeper-agent COMMAND...
 *
 * Starts the command with NOTIFY_SOCKET, keeps what it hands over (FDSTORE), and on SIGUSR2 ends it and starts it anew
 * with those descriptors (LISTEN_FDS). What this was started with itself, as socket units give it, each start has
 * before them. SIGUSR1 only ends the command. SIGTERM ends the command and this.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { loadNative } from "../../src/io/native.ts";

/** Number of the first (SD_LISTEN_FDS_START). */
const FIRST = 3;
const POLL_MS = 5;
const MOST_BYTES = 1_024;

const native = loadNative();
const path = join(process.env["RUNTIME_DIRECTORY"] ?? "/nowhere", "notify");
const listener = native.notifyListen(new TextEncoder().encode(path));
if (listener < 0) throw new Error(`${path}: ${native.errnoName(listener)}`);
const { LISTEN_FDS: unitCount = "0" } = process.env;
/** Of socket units, which have one name for all. */
const units = Array.from({ length: Number(unitCount) }, (_, at) => FIRST + at);
/** By FDNAME. */
const kept = new Map<string, number>();
let child = start();

setInterval(receive, POLL_MS);
process.on("SIGUSR1", () => child.kill("SIGTERM"));
process.on("SIGUSR2", () => void restart());
process.on("SIGTERM", () => {
  child.once("exit", (code) => process.exit(code ?? 1));
  if (!child.kill("SIGTERM")) process.exit(child.exitCode ?? 1);
});

/** The command, with what is kept as descriptors from 3 on; LISTEN_PID is known to the shell alone. */
function start(): ChildProcess {
  const descriptors = [...units, ...kept.values()];
  const names = [...units.map(() => "iptun@site.socket"), ...kept.keys()];
  const listen = { LISTEN_FDS: String(names.length), LISTEN_FDNAMES: names.join(":") };
  const command = ["-c", 'export LISTEN_PID=$$; exec "$@"', "sh", ...process.argv.slice(2)];
  return spawn("sh", command, {
    env: { ...process.env, NOTIFY_SOCKET: path, ...listen },
    stdio: ["ignore", "inherit", "inherit", ...descriptors],
  });
}

async function restart(): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  if (child.kill("SIGTERM")) await ended;
  receive();
  child = start();
}

function receive(): void {
  const text = new Uint8Array(MOST_BYTES);
  const came = new Int32Array(1);
  for (;;) {
    const length = native.notifyReceive(listener, text, came);
    if (length < 0) return;
    const [descriptor = -1] = came;
    const name = /^FDNAME=(.*)$/m.exec(new TextDecoder().decode(text.subarray(0, length)))?.[1];
    if (name !== undefined && descriptor >= 0) kept.set(name, descriptor);
  }
}
