/**
 * A thread that ends the process when one program runs too long, and saves the program.
 *
 * Code that loops without end cannot be left from inside. The program lies in shared memory; the thread looks every
 * second whether there was another since.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const MOST_BYTES = 1 << 20;
const HEADER_WORDS = 2;
const LIMIT_MS = 10_000;

/** Tells the watchdog which program runs. */
export type Tell = (program: Uint8Array) => void;

/** Starts the watchdog; programs that hang are saved in `directory`. */
export function startWatchdog(directory: string, target: string): Tell {
  const memory = new SharedArrayBuffer(HEADER_WORDS * 4 + MOST_BYTES);
  const words = new Int32Array(memory, 0, HEADER_WORDS);
  const bytes = new Uint8Array(memory, HEADER_WORDS * 4);
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { memory, directory, target },
  });
  worker.unref();
  return (program) => {
    const length = Math.min(program.length, MOST_BYTES);
    bytes.set(program.subarray(0, length));
    words[1] = length;
    Atomics.add(words, 0, 1);
  };
}

interface Task {
  readonly memory: SharedArrayBuffer;
  readonly directory: string;
  readonly target: string;
}

function watch({ memory, directory, target }: Task): void {
  const words = new Int32Array(memory, 0, HEADER_WORDS);
  let last = 0;
  let since = Date.now();
  setInterval(() => {
    const count = Atomics.load(words, 0);
    if (count !== last) {
      last = count;
      since = Date.now();
    } else if (Date.now() - since > LIMIT_MS && count > 0) {
      const path = join(directory, `hang-${count}`);
      writeFileSync(path, new Uint8Array(memory, HEADER_WORDS * 4, words[1]).slice());
      process.stderr.write(`a program ran longer than ${LIMIT_MS} ms\n`);
      process.stderr.write(`crash: scripts/fuzz ${target} --replay ${path}\n`);
      process.kill(process.pid, "SIGKILL");
    }
  }, 1_000);
}

if (!isMainThread) watch(workerData as Task);
