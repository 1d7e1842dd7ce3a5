/**
 * Links of the pages: those inside the repository lead somewhere, and those out of it have the form of one.
 */
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { anchorsOf, filesBelow, linksOf, pages, ROOT, textOf } from "./pages.ts";

const CONTRIB = filesBelow("contrib").filter((name) => !name.endsWith(".md"));

describe("links", () => {
  it("inside the repository lead to a file and a heading that are there", () => {
    const faults = pages().flatMap((page) =>
      linksOf(textOf(page)).flatMap(({ line, target }) => {
        const fault = /^[a-z]+:/.test(target) ? undefined : faultOf(page, target);
        return fault === undefined ? [] : [`${page}:${line}: ${fault}`];
      }),
    );

    expect(faults).toEqual([]);
    expect(pages().flatMap((page) => linksOf(textOf(page))).length).toBeGreaterThan(50);
  });

  it("out of it are whole addresses by https", () => {
    const found = pages().flatMap((page) =>
      linksOf(textOf(page))
        .filter(({ target }) => /^[a-z]+:/.test(target))
        .map(({ line, target }) => ({ where: `${page}:${line}`, target })),
    );
    const faults = found.filter(({ target }) => !isWholeAddress(target));

    console.log(`external links, not followed:\n${listByHost(found.map(({ target }) => target))}`);
    expect(faults).toEqual([]);
  });

  it("are not the only names of files here: each path in the text is there as well", () => {
    const faults = pages()
      .filter((page) => page !== "CHANGELOG.md")
      .flatMap((page) =>
        [...textOf(page).matchAll(/`((?:src|test|scripts|contrib|docs)\/[\w@./-]+)/g)].flatMap(
          ([, path = ""]) =>
            existsSync(join(ROOT, path)) ? [] : [`${page}: ${path} is not there`],
        ),
      );

    expect(faults).toEqual([]);
  });

  it("of the table of faults name tests that are there", () => {
    const rows = [...textOf("docs/faults.md").matchAll(/^\| [MRI]\d \|.*\| ([^|]*) \|$/gm)];
    const tests = rows.flatMap(([, cell = ""]) => cell.split(", "));

    expect(tests.length).toBeGreaterThan(20);
    expect(tests.filter((name) => !existsSync(join(ROOT, `test/${name}.test.ts`)))).toEqual([]);
  });

  it("name pages of docs that are there, in what lies in contrib too", () => {
    const faults = CONTRIB.flatMap((file) =>
      [...textOf(file).matchAll(/\b(?:docs|contrib)\/[\w@./-]+\w/g)].flatMap(([path]) =>
        existsSync(join(ROOT, path)) ? [] : [`${file}: ${path} is not there`],
      ),
    );

    expect(CONTRIB.length).toBeGreaterThan(2);
    expect(faults).toEqual([]);
  });

  it("from the index of docs lead to every page there", () => {
    const targets = new Set(linksOf(textOf("docs/README.md")).map(({ target }) => target));
    const others = pages().filter((page) => /^docs\/(?!README)/.test(page));

    expect(others.filter((page) => !targets.has(page.slice("docs/".length)))).toEqual([]);
  });
});

function faultOf(page: string, target: string): string | undefined {
  const [path = "", anchor] = decodeURI(target).split("#");
  const file = path === "" ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(ROOT, file))) return `${file} is not there`;
  if (anchor === undefined) return undefined;
  return anchorsOf(textOf(file)).has(anchor) ? undefined : `${file} has no heading #${anchor}`;
}

function isWholeAddress(target: string): boolean {
  if (!URL.canParse(target)) return false;
  const { protocol, hostname } = new URL(target);
  return protocol === "https:" && hostname.includes(".");
}

function listByHost(targets: readonly string[]): string {
  const hosts = [...new Set(targets)].map((target) => new URL(target).hostname).toSorted();
  const counts = [...new Set(hosts)].map((host) => {
    return `  ${host}: ${hosts.filter((one) => one === host).length}`;
  });
  return counts.join("\n");
}
