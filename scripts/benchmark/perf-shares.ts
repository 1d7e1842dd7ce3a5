/**
 * Samples of perf(1) sorted by whose code was running: the kernel's, OpenSSL's, JavaScript's, the addon's.
 *
 * Reads what `perf script -F comm,pid,tid,ip,sym,dso` prints without call graphs, one sample a line. With
 * --perf-basic-prof V8 names its code in a map file, which perf shows as the object of such samples.
 * JavaScript is that code and the built-in functions it calls; compiling, collecting garbage and crossing to the addon
 * are V8's own row. The trap: perf sees no interpreter frames, so code that is not compiled yet counts as
 * the interpreter's built-in, which is JavaScript here as well.
 */

/** Whose code a sample fell into. */
export const KINDS = {
  kernel: "kernel",
  cipher: "ChaCha20 and Poly1305",
  openssl: "OpenSSL around them",
  javascript: "JavaScript",
  v8: "V8 itself",
  addon: "the addon",
  other: "the rest",
} as const;

/** Name of a kind of code. */
export type Kind = keyof typeof KINDS;

/** One sample. */
export interface PerfSample {
  readonly pid: number;
  readonly symbol: string;
  readonly object: string;
}

/** How often each kind, and each function, was seen in one process. */
export interface Shares {
  readonly samples: number;
  readonly kinds: ReadonlyMap<Kind, number>;
  readonly functions: ReadonlyMap<string, number>;
}

const LINE = /^\s*\S.*?\s(\d+)\/\d+\s+[0-9a-f]+ (.*) \((.*)\)$/;
const CIPHER = /^(ChaCha20_|poly1305_(blocks|emit)|HChaCha20)/;
const OPENSSL = /^(EVP_|evp_|ossl_|OSSL_|OPENSSL_|CRYPTO_|chacha20_|Poly1305_|poly1305_)/;
const JAVASCRIPT = /^(Builtins_|JS:|Builtin:|Stub:|BytecodeHandler:)/;

/** Reads the samples; other lines are left out. */
export function parseSamples(text: string): readonly PerfSample[] {
  return text.split("\n").flatMap((line) => {
    const [, pid, symbol = "", object = ""] = LINE.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), symbol, object }];
  });
}

/** Whose code a sample fell into. */
export function kindOf({ symbol, object }: PerfSample): Kind {
  if (object.startsWith("[kernel") || object.startsWith("[guest.kernel")) return "kernel";
  if (/\/perf-\d+\.map$/.test(object) || JAVASCRIPT.test(symbol)) return "javascript";
  if (object.endsWith("/iptun.node")) return "addon";
  if (CIPHER.test(symbol)) return "cipher";
  if (OPENSSL.test(symbol)) return "openssl";
  if (symbol.startsWith("v8::")) return "v8";
  return "other";
}

/** Counts samples by kind and function. */
export function sharesOf(samples: readonly PerfSample[]): Shares {
  const kinds = new Map<Kind, number>();
  const functions = new Map<string, number>();
  for (const sample of samples) {
    const kind = kindOf(sample);
    const name = `${shortName(sample.symbol)} (${KINDS[kind]})`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    functions.set(name, (functions.get(name) ?? 0) + 1);
  }
  return { samples: samples.length, kinds, functions };
}

/** A function's name without the folder of its file: "JS:*seal file:///x/core/send.js:9:3" is "seal send.js:9". */
function shortName(symbol: string): string {
  const javascript = /^JS:[*~^+]*(\S*) \S*?([^/\s]+:\d+):\d+$/.exec(symbol);
  return javascript === null ? symbol : `${javascript[1] || "anonymous"} ${javascript[2]}`;
}

/** A table of the kinds, a column for each process, and the functions seen most over all of them. */
export function sharesTable(
  columns: readonly { readonly title: string; readonly shares: Shares }[],
  all: Shares,
  functionCount: number,
): string {
  const every = [...columns, { title: "both", shares: all }];
  const head = `${" ".repeat(28)}${every.map(({ title }) => title.padStart(16)).join("")}`;
  const rows = (Object.keys(KINDS) as Kind[]).map((kind) => {
    const cells = every.map(({ shares }) => percent(shares.kinds.get(kind) ?? 0, shares.samples));
    return KINDS[kind].padEnd(28) + cells.map((cell) => cell.padStart(16)).join("");
  });
  const most = [...all.functions].sort((a, b) => b[1] - a[1]).slice(0, functionCount);
  const functions = most.map(
    ([name, count]) => `${percent(count, all.samples).padStart(8)}  ${name}`,
  );
  return [head, ...rows, "", `${all.samples} samples; most of them in:`, ...functions, ""].join(
    "\n",
  );
}

function percent(count: number, total: number): string {
  return total === 0 ? "-" : `${((count / total) * 100).toFixed(1)} %`;
}
