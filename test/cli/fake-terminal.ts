/**
 * A terminal that keeps what is written to it, with a person at it who has prepared the answers.
 */
import type { Screen } from "../../src/cli/screen.ts";
import type { Looks, Terminal } from "../../src/cli/terminal.ts";

/** A screen whose operator a test plays. */
export class FakeScreen implements Screen {
  columns = 100;
  rows = 30;
  /** What was drawn, line by line. */
  readonly drawn: (readonly string[])[] = [];
  isClosed = false;
  onResize: () => void = () => undefined;
  press: () => void = () => undefined;
  readonly quit = new Promise<void>((resolve) => {
    this.press = resolve;
  });

  size() {
    return { columns: this.columns, rows: this.rows };
  }

  draw(lines: readonly string[]): void {
    if (!this.isClosed) this.drawn.push(lines);
  }

  close(): void {
    this.isClosed = true;
  }
}

/** Standard output and error as text. */
export class FakeTerminal implements Terminal {
  stdout = "";
  stderr = "";
  /** Undefined: it is no terminal. */
  columns: number | undefined;
  hasColour = false;
  screen: FakeScreen | undefined;
  /** Mode of the file that standard output is; undefined: it is none. */
  fileMode: number | undefined;
  /** What writing to standard output fails with. */
  outError: Error | undefined;

  out(data: string | Uint8Array): Promise<void> {
    if (this.outError !== undefined) return Promise.reject(this.outError);
    this.stdout += typeof data === "string" ? data : Buffer.from(data).toString("utf8");
    return Promise.resolve();
  }

  err(text: string): Promise<void> {
    this.stderr += text;
    return Promise.resolve();
  }

  /** What is answered, in order; undefined: nobody is there. */
  answers: string[] | undefined;
  /** Questions until now. */
  readonly questions: string[] = [];

  openScreen(onResize: () => void): Screen | undefined {
    if (this.screen !== undefined) this.screen.onResize = onResize;
    return this.screen;
  }

  looks(): Looks {
    return { columns: this.columns, hasColour: this.hasColour };
  }

  outFileMode(): number | undefined {
    return this.fileMode;
  }

  canAsk(): boolean {
    return this.answers !== undefined;
  }

  ask(question: string): Promise<string | undefined> {
    this.questions.push(question);
    return Promise.resolve(this.answers?.shift());
  }
}

/** An error as a system call gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: no such luck`), { code });
}
