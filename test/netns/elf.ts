/**
 * What an addon asks of the process that loads it, and a process of musl's that loads one.
 *
 * There is no Node.js with musl in Debian or among npm's packages. What stands for it has musl's own loader and libc, and
 * an empty function for each one of Node.js: it shows that musl resolves all that is left.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runNow } from "../../scripts/netns/process.ts";

/** The symbols that a file needs; weak ones may be missing. */
export function neededSymbols(file: string): readonly string[] {
  return symbols(file, "--undefined-only").flatMap(({ kind, name }) =>
    kind === "w" ? [] : [name],
  );
}

/** The symbols that a program or library gives to what it loads. */
export function givenSymbols(file: string): ReadonlySet<string> {
  return new Set(symbols(file, "--defined-only").map(({ name }) => name));
}

/** The C library of musl, for this CPU; its functions are the same on each. */
export function muslLibrary(): string {
  return `/lib/ld-musl-${runNow(["uname", "-m"]).trim()}.so.1`;
}

/** Libraries that a file asks for, and versions of symbols. */
export function dependencies(file: string): readonly string[] {
  const text = runNow(["readelf", "--wide", "--dynamic", "--version-info", file]);
  return text.split("\n").filter((line) => /\((NEEDED|VERNEED|RPATH|RUNPATH)\)|GLIBC_/.test(line));
}

/** The CPU for which a file is, in readelf's words. */
export function cpuOf(file: string): string | undefined {
  return /Machine: +(.*)/.exec(runNow(["readelf", "--file-header", file]))?.[1];
}

const MUSL_HOST = `
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **words) {
  if (dlopen(words[count - 1], RTLD_NOW)) return 0;
  fprintf(stderr, "%s\\n", dlerror());
  return 1;
}
`;

/** Builds the process of musl's in a folder; returns its path. `ofNode`: the functions that Node.js would give. */
export function makeMuslHost(folder: string, ofNode: readonly string[]): string {
  const source = join(folder, "musl-host.c");
  const program = join(folder, "musl-host");
  const functions = ofNode.map((name) => `void ${name}(void) {}\n`);
  writeFileSync(source, `${functions.join("")}${MUSL_HOST}`);
  runNow(["musl-gcc", "-fno-builtin", "-rdynamic", "-o", program, source]);
  return program;
}

interface Listed {
  readonly kind: string;
  readonly name: string;
}

function symbols(file: string, which: string): readonly Listed[] {
  const options = ["--dynamic", "--without-symbol-versions", which, file];
  // Of Node.js it is some 10 MB.
  const listed = execFileSync("nm", options, { encoding: "utf8", maxBuffer: 2 ** 26 });
  return listed.split("\n").flatMap((line) => {
    const [, kind = "", name = ""] = /(?:^|\s)(\w) (\S+)$/.exec(line) ?? [];
    return name === "" ? [] : [{ kind, name }];
  });
}
