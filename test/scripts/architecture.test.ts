/** docs/architecture.md against the tree: what it names is there, and every room of src is named. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";

const page = readFileSync("docs/architecture.md", "utf8");
/** Paths in code marks that begin in one of the top folders. */
const named = [...page.matchAll(/`((?:src|test|scripts|contrib|docs)(?:\/[\w./-]*)?)`/g)].map(
  ([, path]) => path ?? "",
);

describe("docs/architecture.md", () => {
  it("names what is there", () => {
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter((path) => !existsSync(path))).toEqual([]);
  });

  it("has every folder of src in its table", () => {
    const files = readdirSync("src", { encoding: "utf8", recursive: true });
    const folders = new Set(
      files.filter((file) => /\.(ts|c)$/.test(file)).map((file) => `src/${dirname(file)}`),
    );
    // The program of the status page runs in a browser and is a part of its room.
    for (const part of ["src/.", "src/daemon/web/page"]) folders.delete(part);
    const rows = new Set([...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, path]) => path));
    expect([...folders].filter((folder) => !rows.has(folder))).toEqual([]);
  });
});
