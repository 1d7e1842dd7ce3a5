/** The whole terminal as a screen, over streams that a test plays. */
import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { enterScreen, type ScreenWorld } from "../../src/cli/screen.ts";

const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";

describe("a screen", () => {
  it("is entered, drawn from the first line on, and left once, with the keys as before", () => {
    const { world, output, input, isRaw } = terminal();
    const screen = enterScreen(world, () => undefined);
    expect(isRaw()).toBe(true);
    screen.draw(["a", "b"]);
    screen.close();
    screen.close();
    screen.draw(["c"]);
    expect(output()).toBe(`${ENTER}\u001b[Ha\u001b[K\r\nb\u001b[K\u001b[J${LEAVE}`);
    expect([isRaw(), input.listenerCount("data"), input.listenerCount("end")]).toEqual([
      false,
      0,
      0,
    ]);
  });

  it.each(["q", "Q", "\u0003", "\u0004", "xq"])("is quit by the keys %j", async (keys) => {
    const { world, input } = terminal();
    const screen = enterScreen(world, () => undefined);
    input.emit("data", Buffer.from(keys));
    await screen.quit;
    screen.close();
  });

  it("is not quit by other keys", async () => {
    const { world, input } = terminal();
    const screen = enterScreen(world, () => undefined);
    input.emit("data", Buffer.from("x\u001b[A"));
    const other = Promise.resolve("other");
    expect(await Promise.race([screen.quit, other])).toBe("other");
    screen.close();
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])("is quit by %s", async (signal) => {
    const { world, process } = terminal();
    const screen = enterScreen(world, () => undefined);
    process.emit(signal);
    await screen.quit;
    screen.close();
    expect(process.listenerCount(signal)).toBe(0);
  });

  it("is quit when the terminal goes", async () => {
    const { world, input } = terminal();
    const screen = enterScreen(world, () => undefined);
    input.emit("end");
    await screen.quit;
    screen.close();
  });

  it("is left when the process exits", () => {
    const { world, process, output } = terminal();
    enterScreen(world, () => undefined);
    process.emit("exit");
    expect(output()).toBe(ENTER + LEAVE);
    expect(process.listenerCount("exit")).toBe(0);
  });

  it("tells of another size, until it is closed", () => {
    const { world, stream } = terminal();
    let count = 0;
    const screen = enterScreen(world, () => {
      count += 1;
    });
    Object.assign(stream, { columns: 0, rows: 0 });
    stream.emit("resize");
    expect(screen.size()).toEqual({ columns: 80, rows: 24 });
    screen.close();
    stream.emit("resize");
    expect(count).toBe(1);
  });

  it("leaves the keys alone where standard input is no terminal", () => {
    const { world, input, isRaw } = terminal({ isTTY: false });
    enterScreen(world, () => undefined).close();
    expect([isRaw(), input.listenerCount("data")]).toEqual([false, 0]);
  });
});

function terminal({ isTTY = true } = {}) {
  let [text, isRaw] = ["", false];
  const process = new EventEmitter();
  const input = Object.assign(new EventEmitter(), {
    ...{ isTTY, resume: () => input, pause: () => input },
    setRawMode: (mode: boolean) => {
      isRaw = mode;
      return input;
    },
  });
  const stream = Object.assign(new EventEmitter(), {
    ...{ columns: 100, rows: 30 },
    write: (part: string) => {
      text += part;
      return true;
    },
  });
  const world = { input, output: stream, process } as unknown as ScreenWorld;
  return { world, input, stream, process, output: () => text, isRaw: () => isRaw };
}
