/**
 * docs/security.md: each claim of the protocol is there with tests that exist, and what it says of the packages is so.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const PAGE = readFileSync("docs/security.md", "utf8");
const CLAIMS = ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9"] as const;

describe("docs/security.md", () => {
  it.each(CLAIMS)("says what shows %s", (claim) => {
    const rows = PAGE.split("\n").filter((line) => line.startsWith(`| ${claim} |`));
    expect(rows).toHaveLength(1);
    expect(testsNamedIn(rows[0] ?? "").length).toBeGreaterThan(0);
  });

  it("names tests that exist", () => {
    const named = testsNamedIn(PAGE);
    const missing = named.filter(({ file, name }) => !hasTest(readFileSync(file, "utf8"), name));

    expect(named.length).toBeGreaterThan(15);
    expect(missing).toEqual([]);
  });

  it("is right that versions are pinned, and that nothing runs when iptun is installed", () => {
    const { dependencies } = readJson<Manifest>("package.json");
    const { packages } = readJson<Lock>("package-lock.json");
    const installed = Object.entries(packages).filter(([path, { dev }]) => path !== "" && !dev);

    expect(installed.length).toBeGreaterThan(Object.keys(dependencies).length);
    expect(
      Object.values(dependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version)),
    ).toEqual([]);
    expect(installed.filter(([, { integrity }]) => integrity === undefined)).toEqual([]);
    expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript === true)).toEqual([]);
  });
});

interface NamedTest {
  readonly file: string;
  readonly name: string;
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<
    Record<string, { dev?: boolean; integrity?: string; hasInstallScript?: boolean }>
  >;
}

/** A file in backquotes, then names of its tests in double ones. */
function testsNamedIn(text: string): readonly NamedTest[] {
  return [...text.matchAll(/`(test\/[\w./-]+\.test\.ts)`((?:,? "[^"]+")+)/g)].flatMap(
    ([, file = "", names = ""]) =>
      [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => ({ file, name })),
  );
}

/** As the title of a test or of a group of them: the first argument of a call. */
function hasTest(source: string, name: string): boolean {
  const literally = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`\\(\\s*["\`]${literally}["\`]`).test(source);
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, "utf8")) as T;
}
