/**
 * The log's lines, and that nothing that happens to standard error ends or holds up the process.
 */
import { describe, expect, it } from "vitest";
import type { Config } from "../src/config/config.ts";
import { createLog, impatientStream, type LineStream, type LogTarget } from "../src/log.ts";

const TIME = "2026-01-02T03:04:05.678Z";

describe("a line", () => {
  it("is text with a time", () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    log.info("peer b is up", { role: "initiator", age: 3, isNew: true });
    expect(output.text).toBe(`${TIME} info peer b is up role=initiator age=3 isNew=true\n`);
  });

  it("quotes what would not be one word, and leaves out what is undefined", () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    log.warn("x", { a: "two words", b: 'q"q', c: "", d: undefined, e: "[::1]:5" });
    expect(output.text).toBe(`${TIME} warn x a="two words" b="q\\"q" c="" e=[::1]:5\n`);
  });

  it("cannot be forged by a value", () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    log.error(`a\n${TIME} info fine\u001b[2J`, { name: "b\nc\u2028d" });
    expect(output.text).toBe(
      `${TIME} error a\\u000a${TIME} info fine\\u001b[2J name="b\\nc\\u2028d"\n`,
    );
  });

  it("is one object in JSON, whose own fields cannot be replaced", () => {
    const { log, output } = testLog({ level: "info", format: "json" });
    log.info("hello\n", { level: "forged", count: 2 });
    expect(output.text.endsWith("}\n")).toBe(true);
    expect(output.text.split("\n")).toHaveLength(2);
    expect(JSON.parse(output.text)).toEqual({
      time: TIME,
      level: "info",
      message: "hello\n",
      count: 2,
    });
  });
});

describe("the level", () => {
  it.each([
    ["error", ["error"]],
    ["warn", ["error", "warn"]],
    ["info", ["error", "warn", "info"]],
    ["debug", ["error", "warn", "info", "debug"]],
  ] as const)("%s lets pass what is as urgent", (level, expected) => {
    const { log, output } = testLog({ level, format: "text" });
    for (const each of ["error", "warn", "info", "debug"] as const) log[each]("x");
    expect(output.lines().map((line) => line.split(" ")[1])).toEqual(expected);
  });
});

it("another level and format hold for what comes", () => {
  const { log, output } = testLog({ level: "info", format: "text" });
  log.debug("a");
  log.configure({ level: "debug", format: "json" });
  log.debug("b");
  log.configure({ level: "error", format: "text" });
  log.warn("c");
  log.error("d");
  expect(output.lines()).toEqual([
    JSON.stringify({ time: TIME, level: "debug", message: "b" }),
    `${TIME} error d`,
  ]);
});

describe("the format auto", () => {
  const journal = { env: { JOURNAL_STREAM: "8:1234" }, fileId: "8:1234" };

  it("has priorities and no time under systemd", () => {
    const { log, output } = testLog({ level: "debug", format: "auto" }, journal);
    log.error("a");
    log.warn("b");
    log.info("c");
    log.debug("d");
    expect(output.text).toBe("<3>a\n<4>b\n<6>c\n<7>d\n");
  });

  it.each([
    [{ env: { JOURNAL_STREAM: "8:1234" }, fileId: "8:999" }],
    [{ env: {}, fileId: "8:1234" }],
    [{ env: { JOURNAL_STREAM: "" }, fileId: "" }],
  ])("is text where standard error is not the journal's: %j", (target) => {
    const { log, output } = testLog({ level: "info", format: "auto" }, target);
    log.info("a");
    expect(output.text).toMatch(target.fileId === "" ? /a\n$/ : `${TIME} info a\n`);
  });

  it("gives way to an explicit format", () => {
    const { log, output } = testLog({ level: "info", format: "text" }, journal);
    log.info("a");
    expect(output.text).toBe(`${TIME} info a\n`);
  });
});

describe("colour", () => {
  it.each([
    [{ isTerminal: true, env: {} }, true],
    [{ isTerminal: true, env: { NO_COLOR: "" } }, true],
    [{ isTerminal: true, env: { NO_COLOR: "1" } }, false],
    [{ isTerminal: true, env: { TERM: "dumb" } }, false],
    [{ isTerminal: false, env: {} }, false],
  ])("with %j: %s", (target, isColored) => {
    const { log, output } = testLog({ level: "info", format: "auto" }, target);
    log.error("a");
    expect(output.text).toBe(`${TIME} ${isColored ? "\u001b[31merror\u001b[0m" : "error"} a\n`);
  });
});

describe("a standard error that fails", () => {
  it.each(["EPIPE", "ENOSPC", "EIO"])(
    "with %s loses lines, and says how many once it works",
    async (code) => {
      const { log, output } = testLog({ level: "info", format: "text" });
      output.failure = Object.assign(new Error(code), { code });
      for (const message of ["one", "two", "three"]) {
        log.info(message);
        await settled();
      }
      output.failure = undefined;
      log.info("four");
      await settled();
      log.info("five");
      await settled();
      expect(output.lines().map((line) => line.slice(TIME.length + 1))).toEqual([
        "info four",
        "warn log lines were lost count=3",
        "info five",
      ]);
    },
  );

  it("by throwing is survived", () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    output.write = () => {
      throw new Error("write after end");
    };
    expect(() => log.info("a")).not.toThrow();
  });

  it("that stands still is not written to without bound", async () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    output.isStopped = true;
    for (let line = 0; line < 5000; line++) log.info("x".repeat(1000));
    expect(output.writableLength).toBeLessThan(300_000);
    output.resume();
    await settled();
    log.info("after");
    await settled();
    const [lost, last] = output.lines().slice(-2);
    expect(lost).toMatch(/ warn log lines were lost count=4[67]\d\d$/);
    expect(last).toMatch(/ info after$/);
  });
});

describe("a terminal that stands still", () => {
  it("loses lines, says how many, and holds nobody up", () => {
    const { log, terminal } = terminalLog();
    log.info("one");
    terminal.room = 0;
    for (const message of ["two", "three"]) log.info(message);
    terminal.room = 1000;
    log.info("four");
    log.info("five");
    expect(terminal.messages()).toEqual([
      "info one",
      "info four",
      "warn log lines were lost count=2",
      "info five",
    ]);
  });

  it("ends the line that it had begun before the next one, byte for byte", () => {
    const { log, terminal } = terminalLog();
    terminal.room = TIME.length + " info \u00e9".length;
    log.info("\u00e9\u00e9");
    log.info("lost");
    terminal.room = 1000;
    log.info("next");
    log.info("last");
    expect(terminal.messages()).toEqual([
      "info \u00e9\u00e9",
      "info next",
      "warn log lines were lost count=1",
      "info last",
    ]);
  });

  it("is given each line whole where it takes a few bytes at a time", () => {
    const { log, terminal } = terminalLog();
    terminal.mostAtOnce = 3;
    log.info("a line");
    expect(terminal.messages()).toEqual(["info a line"]);
  });

  it("that takes nothing without an error is not asked for ever", () => {
    const failures: unknown[] = [];
    impatientStream(() => 0).write("a\n", (error) => failures.push(error));
    expect(failures).toEqual([new Error("nothing was taken")]);
  });

  it("is not waited for at the end", async () => {
    const { log, terminal } = terminalLog();
    terminal.room = 10;
    log.info("a");
    await expect(log.close()).resolves.toBeUndefined();
    expect(terminal.bytes).toHaveLength(10);
  });
});

describe("closing", () => {
  it("waits for what was logged", async () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    output.isStopped = true;
    log.info("a");
    const closed = log.close();
    output.resume();
    await closed;
    expect(output.lines()).toHaveLength(1);
  });

  it("does not wait for a reader that stands still", async () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    output.isStopped = true;
    log.info("a");
    await expect(log.close()).resolves.toBeUndefined();
    output.resume();
  });

  it("has nothing to wait for where nothing waits", async () => {
    const { log, output } = testLog({ level: "info", format: "text" });
    log.info("a");
    await settled();
    await log.close();
    expect(output.lines()).toHaveLength(1);
  });
});

/** A stream that can fail and stand still; as a process's standard error, it goes on after an error. */
class Output implements LineStream {
  text = "";
  writableLength = 0;
  failure: Error | undefined;
  isStopped = false;
  readonly #listeners: (() => void)[] = [];
  #waiting: (() => void)[] = [];

  on(_event: "error", listener: () => void): void {
    this.#listeners.push(listener);
  }

  write(line: string, done: (error?: Error | null) => void): void {
    if (this.failure !== undefined) this.#fail(this.failure, done);
    else if (this.isStopped) this.#wait(line, done);
    else {
      this.text += line;
      setImmediate(done);
    }
  }

  /** Without a listener an error event ends a process. */
  #fail(failure: Error, done: (error?: Error | null) => void): void {
    expect(this.#listeners).not.toHaveLength(0);
    setImmediate(() => {
      done(failure);
      for (const listener of this.#listeners) listener();
    });
  }

  #wait(line: string, done: () => void): void {
    this.writableLength += line.length;
    this.#waiting.push(() => {
      this.text += line;
      done();
    });
  }

  lines(): readonly string[] {
    return this.text.split("\n").slice(0, -1);
  }

  resume(): void {
    this.isStopped = false;
    this.writableLength = 0;
    for (const finish of this.#waiting) finish();
    this.#waiting = [];
  }
}

/** A terminal opened with O_NONBLOCK: it takes as many bytes as there is room for. */
class StubbornTerminal {
  bytes = Buffer.alloc(0);
  room = 1000;
  mostAtOnce = 1000;

  write(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, Math.min(this.room, this.mostAtOnce));
    if (taken.length === 0) throw Object.assign(new Error("EAGAIN"), { code: "EAGAIN" });
    this.room -= taken.length;
    this.bytes = Buffer.concat([this.bytes, taken]);
    return taken.length;
  }

  /** Level and message of each line. */
  messages(): readonly string[] {
    const lines = this.bytes.toString().split("\n").slice(0, -1);
    return lines.map((line) => line.slice(TIME.length + 1));
  }
}

function terminalLog() {
  const terminal = new StubbornTerminal();
  const stream = impatientStream((bytes) => terminal.write(bytes));
  const { log } = testLog({ level: "info", format: "text" }, { stream });
  return { log, terminal };
}

function testLog(options: Config["log"], target: Partial<LogTarget> = {}) {
  const output = new Output();
  const log = createLog(options, {
    stream: output,
    isTerminal: false,
    env: {},
    fileId: "",
    now: () => new Date(TIME),
    ...target,
  });
  return { log, output };
}

/** Two turns of the loop: a write's failure, and what follows it. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
