/**
 * `iptun status --watch` in a real pseudo-terminal, as script(1) makes it: the terminal is as it was before, whatever
 * ended the watch.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { Runtime } from "./runtime.ts";
import { peerStatus, statusDocument } from "./status-fixture.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What the shell in the terminal runs: the modes before, the watch, its exit code, the modes after. */
const SESSION = `echo "before $(stty -g)"
sh -c 'echo "pid $$"; exec "$NODE" --import tsx src/main.ts status --watch'
echo "code $?"; echo "after $(stty -g)"`;
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const WAIT_MS = 30_000;

it.each(["q", "\u0003", "SIGTERM", "SIGHUP"] as const)(
  "the terminal is as it was before after %j",
  async (end) => {
    const runtime = new Runtime();
    await runtime.listen("iptun0", (request, response) => {
      const isStatus = request.url === "/v1/status";
      const document = isStatus ? statusDocument([peerStatus()]) : { seconds: 60, peers: [] };
      response.end(JSON.stringify(document));
    });
    const terminal = new PseudoTerminal(runtime.directory);
    await terminal.until("192.0.2.1:1194");
    if (end.startsWith("SIG")) process.kill(terminal.number("pid"), end);
    else terminal.press(end);
    await terminal.until("after ");
    await terminal.ended;
    const { text } = terminal;
    expect(text.split("\u001b[?1049h")).toHaveLength(2);
    expect(text.indexOf(LEAVE)).toBeGreaterThan(text.lastIndexOf("192.0.2.1:1194"));
    expect(terminal.number("code")).toBe(0);
    const modes = (when: string) => new RegExp(`${when} (\\S+)`).exec(text)?.[1];
    expect(modes("before")).toMatch(/^[0-9a-f:]{20,}$/);
    expect(modes("after")).toBe(modes("before"));
  },
  WAIT_MS,
);

class PseudoTerminal {
  text = "";
  readonly ended: Promise<void>;
  readonly #child;

  constructor(runtimeDirectory: string) {
    const { PATH } = process.env;
    const env = {
      PATH,
      NODE: process.execPath,
      RUNTIME_DIRECTORY: runtimeDirectory,
      TERM: "xterm",
    };
    const child = spawn("script", ["-qec", SESSION, "/dev/null"], { cwd: ROOT, env });
    child.stdout.on("data", (chunk: Buffer) => {
      this.text += chunk.toString();
    });
    this.ended = new Promise((resolve) => child.once("close", () => resolve()));
    onTestFinished(() => void child.kill("SIGKILL"));
    this.#child = child;
  }

  press(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** Waits for text on the screen. */
  async until(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      if (this.#child.exitCode !== null) throw new Error(`ended without ${text}: ${this.text}`);
      await new Promise((resolve) => this.#child.stdout.once("data", resolve));
    }
  }

  /** The number behind a word. */
  number(word: string): number {
    return Number(new RegExp(`${word} (\\d+)`).exec(this.text)?.[1]);
  }
}
