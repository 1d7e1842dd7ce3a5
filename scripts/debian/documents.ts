/**
 * Writes the copyright file and Debian's changelog of the package: documents.ts ROOT VERSION MAINTAINER SECONDS
 *
 * The licences of the dependencies are those in their folders; a dependency without one ends the run. The changelog is
 * CHANGELOG.md in Debian's form; what is not released there belongs to VERSION.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MODULES = "usr/lib/iptun/node_modules";
const DOCUMENTS = "usr/share/doc/iptun";
/** Debian's policy: the text of these is not repeated (section 12.5). */
const COMMON: ReadonlySet<string> = new Set(["Apache-2.0"]);
/** A line that names who has the copyright, and no sentence about it. */
const HOLDER = /^[-\s]*(©|copyright (?!notice|holder|owner|license|statement))/i;
const WIDTH = 76;

const [root = "", version = "", maintainer = "", seconds = ""] = process.argv.slice(2);
const own = licence("iptun", "*", "MIT", readFileSync("LICENSE", "utf8"));
const format = "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/";
const head = `Format: ${format}\nUpstream-Name: iptun\n`;
const paragraphs = [head, own, ...moduleFolders().map(moduleLicence)];
writeFileSync(join(root, DOCUMENTS, "copyright"), paragraphs.join("\n"));
writeFileSync(join(root, DOCUMENTS, "changelog.Debian"), changelog());

/** Folders of the dependencies and of theirs, seen from the first `node_modules`. */
function moduleFolders(parent = ""): readonly string[] {
  const folder = join(root, MODULES, parent);
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).flatMap((name) =>
    name.startsWith("@")
      ? readdirSync(join(folder, name)).map((inner) => join(name, inner))
      : [name],
  );
  return names
    .sort()
    .map((name) => join(parent, name))
    .flatMap((name) => [name, ...moduleFolders(join(name, "node_modules"))]);
}

function moduleLicence(name: string): string {
  const folder = join(root, MODULES, name);
  const description: { readonly license?: string } = JSON.parse(
    readFileSync(join(folder, "package.json"), "utf8"),
  );
  const file = readdirSync(folder).find((one) => /^licen[cs]e(\.\w+)?$/i.test(one));
  if (file === undefined || description.license === undefined) {
    throw new Error(`${name} has no licence file; add its licence to scripts/debian/documents.ts`);
  }
  const text = readFileSync(join(folder, file), "utf8");
  return licence(name, `${MODULES}/${name}/*`, description.license, text);
}

/** A paragraph of the machine-readable form. */
function licence(name: string, files: string, kind: string, text: string): string {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const holders = lines.filter((line) => HOLDER.test(line));
  const isCommon = COMMON.has(kind);
  const body = isCommon ? [`See /usr/share/common-licenses/${kind}.`] : lines;
  const first = holders.length === 0 ? [`the authors of ${name}`] : holders;
  return [
    `Files: ${files}`,
    `Copyright: ${first.map((line) => line.replace(/^[-\s]*copyright /i, "")).join("\n  ")}`,
    `License: ${kind}`,
    ...body
      .join("\n")
      .trim()
      .split("\n")
      .map((line) => ` ${line || "."}`),
    "",
  ].join("\n");
}

/** An entry for each section of CHANGELOG.md, the newest first. */
function changelog(): string {
  const sections = readFileSync("CHANGELOG.md", "utf8").split(/^## /m).slice(1);
  const entries = sections.map((section) => {
    const [, name = "", date] = /^\[(.+?)\](?: - (\S+))?/.exec(section) ?? [];
    const revision = name === "Unreleased" ? version : `${name}-1`;
    const instant = date === undefined ? new Date(Number(seconds) * 1000) : new Date(date);
    const when = instant.toUTCString().replace("GMT", "+0000");
    const items = section.split(/^- /m).slice(1).map(item);
    if (items.length === 0) return "";
    return `iptun (${revision}) unstable; urgency=medium\n\n${items.join("\n")}\n\n -- ${maintainer}  ${when}\n`;
  });
  return entries.filter((entry) => entry !== "").join("\n");
}

/** A point of a list without its marks, wrapped. */
function item(markdown: string): string {
  const [text = ""] = markdown.split(/^#/m);
  const plain = text.replace(/\[(.+?)\]\(.+?\)/g, "$1").replaceAll("`", "");
  const lines = [""];
  for (const word of plain.split(/\s+/).filter((one) => one !== "")) {
    const last = lines.at(-1) ?? "";
    if (last.length + word.length >= WIDTH - 4) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.map((line, at) => (at === 0 ? `  * ${line}` : `    ${line}`)).join("\n");
}
