/**
 * The whole terminal as a screen: the alternate screen of xterm, keys as they are pressed, and back again.
 *
 * INVARIANT: once the screen was entered, it is left exactly once, whatever ends the process but SIGKILL: by `close`, by a
 * signal, or by the process' exit. Node writes to a terminal synchronously, so what is written while exiting arrives.
 */
import type { ReadStream, WriteStream } from "node:tty";

/** A screen that is shown. */
export interface Screen {
  size(): { readonly columns: number; readonly rows: number };
  draw(lines: readonly string[]): void;
  /** Resolves when the operator has enough: q, Ctrl-C, or a signal that asks to end. */
  readonly quit: Promise<void>;
  close(): void;
}

/** The streams and the process that the screen belongs to. */
export interface ScreenWorld {
  readonly input: Pick<
    ReadStream,
    "isTTY" | "setRawMode" | "on" | "off" | "resume" | "pause" | "unref"
  >;
  readonly output: Pick<WriteStream, "columns" | "rows" | "on" | "off" | "write">;
  readonly process: Pick<NodeJS.Process, "on" | "off">;
}

// xterm's control sequences: alternate screen, cursor, lines that wrap; home, erase to the line's and the screen's end.
const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const ERASE_LINE = "\u001b[K";
const ERASE_REST = "\u001b[J";
/** Ctrl-C and Ctrl-D, as raw mode gives them. */
const QUIT_KEYS = ["q", "Q", "\u0003", "\u0004"];
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** Enters the screen. */
export function enterScreen(world: ScreenWorld, onResize: () => void): Screen {
  const { input, output, process } = world;
  let quit: () => void = () => undefined;
  const quitPromise = new Promise<void>((resolve) => {
    quit = resolve;
  });
  const onKeys = (keys: Buffer) => {
    if (QUIT_KEYS.some((key) => keys.toString("latin1").includes(key))) quit();
  };
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    for (const signal of SIGNALS) process.off(signal, quit);
    process.off("exit", close);
    output.off("resize", onResize);
    input.off("data", onKeys);
    input.off("end", quit);
    if (input.isTTY) input.setRawMode(false);
    input.pause();
    output.write(LEAVE);
  };
  for (const signal of SIGNALS) process.on(signal, quit);
  process.on("exit", close);
  output.on("resize", onResize);
  if (input.isTTY) {
    input.setRawMode(true);
    input.on("data", onKeys);
    // The terminal has gone.
    input.on("end", quit);
    input.resume();
  }
  output.write(ENTER);
  return {
    // A terminal that says zero does not know.
    size: () => ({ columns: output.columns || 80, rows: output.rows || 24 }),
    // Each line is erased behind its end: nothing flickers, and nothing of a longer line stays.
    draw: (lines) => {
      if (!isOpen) return;
      const text = lines.map((line) => `${line}${ERASE_LINE}`).join("\r\n");
      output.write(`${HOME}${text}${ERASE_REST}`);
    },
    quit: quitPromise,
    close,
  };
}
