/**
 * The memory of another process, as root or its parent sees it (man 5 proc): its mappings, and where given bytes lie.
 *
 * The traps: the process goes on while it is read, so whoever counts lets it be idle or stops it; and the needles
 * lie in the memory of whoever searches, which must be another process.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { needleSearch } from "../../scripts/netns/search.ts";

const WINDOW_BYTES = 1 << 20;

/** A mapping that can be read and written. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  /** File or kind; empty: anonymous memory. */
  readonly name: string;
  /** VmFlags. */
  readonly flags: readonly string[];
}

/** A copy of a needle. */
export interface Copy {
  readonly needle: Buffer;
  readonly address: number;
  readonly mapping: Mapping;
}

/** The process's writable mappings. */
export function writableMappings(pid: number): readonly Mapping[] {
  const maps = readFileSync(`/proc/${pid}/smaps`, "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return maps.flatMap((map) => {
    const [head = ""] = map.split("\n", 1);
    const [range = "", modes = "", , , , name = ""] = head.split(/ +/);
    if (!modes.startsWith("rw")) return [];
    const [start = 0, end = 0] = range.split("-").map((one) => Number.parseInt(one, 16));
    const flags = /^VmFlags: (.*)$/m.exec(map)?.[1]?.trim().split(" ") ?? [];
    return [{ start, end, name, flags }];
  });
}

/** Whether it is the key table of the addon: the one mapping that is neither dumped nor given to children. */
export function isKeyTable({ flags }: Mapping): boolean {
  return flags.includes("wf") && flags.includes("dd");
}

/** The content of a mapping. */
export function readMapping(pid: number, { start, end }: Mapping): Buffer {
  const content = Buffer.alloc(end - start);
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    readSync(memory, content, 0, content.length, start);
    return content;
  } finally {
    closeSync(memory);
  }
}

/** Every copy of the needles (each shorter than a window) in the process's writable memory. */
export function copiesInMemory(pid: number, needles: readonly Buffer[]): readonly Copy[] {
  const search = needleSearch(needles);
  const longest = Math.max(...needles.map(({ length }) => length));
  const step = WINDOW_BYTES - longest + 1;
  const window = Buffer.alloc(WINDOW_BYTES);
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const copies = new Map<string, Copy>();
  try {
    for (const mapping of writableMappings(pid)) {
      for (let from = mapping.start; from < mapping.end; from += step) {
        const length = readWindow(memory, window, from, mapping.end);
        for (const { needle, at } of search(window.subarray(0, length))) {
          const address = from + at;
          copies.set(`${address} ${needle.length}`, { needle, address, mapping });
        }
      }
    }
    return [...copies.values()];
  } finally {
    closeSync(memory);
  }
}

function readWindow(memory: number, window: Buffer, from: number, end: number): number {
  try {
    return readSync(memory, window, 0, Math.min(window.length, end - from), from);
  } catch (error) {
    // A range that is reserved but not backed cannot be read, and holds nothing.
    if ((error as NodeJS.ErrnoException).code === "EIO") return 0;
    throw error;
  }
}
