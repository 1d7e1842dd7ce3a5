/** A log that keeps its lines. */
import type { Log } from "../../src/log.ts";

export interface MemoryLog extends Log {
  /** "level message", in order. */
  readonly lines: string[];
}

export function memoryLog(): MemoryLog {
  const lines: string[] = [];
  const writer = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return {
    lines,
    error: writer("error"),
    warn: writer("warn"),
    info: writer("info"),
    debug: writer("debug"),
    configure: ({ level, format }) => void lines.push(`configured ${level} ${format}`),
    close: async () => undefined,
  };
}
