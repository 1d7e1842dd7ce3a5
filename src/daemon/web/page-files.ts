/**
 * The files of the status page, read once: what a browser asks for is found in memory, by its exact path.
 */
import { readdir, readFile } from "node:fs/promises";
import { extname } from "node:path";
import type { TextResource } from "../control/control-answer.ts";

const TYPES: ReadonlyMap<string, string> = new Map([
  [".html", "text/html; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".svg", "image/svg+xml"],
  [".js", "text/javascript; charset=utf-8"],
]);
/** What "/" is. */
const FIRST = "page.html";

/** A resource for each file of the folder that a browser can use. */
export async function pageResources(folder: URL): Promise<readonly TextResource[]> {
  const files = await Promise.all(
    (await readdir(folder)).map(async (name): Promise<readonly TextResource[]> => {
      const contentType = TYPES.get(extname(name));
      if (contentType === undefined) return [];
      const text = await readFile(new URL(name, folder), "utf8");
      const path = name === FIRST ? "/" : `/${name}`;
      return [{ method: "GET", path, contentType, text: async () => text }];
    }),
  );
  return files.flat();
}
