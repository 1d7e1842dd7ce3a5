/**
 * `npm sbom` on a clone: it names every dependency of the program in its version, with a hash, in both formats, and says
 * what only development needs.
 *
 * The trap: with `--omit dev` npm 11 leaves out packages that the program needs, where a tool needs them too.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

interface Entry {
  readonly name: string;
  readonly version: string;
  readonly hash: string | undefined;
}

interface CycloneDx {
  readonly components: readonly {
    readonly name: string;
    readonly version: string;
    readonly hashes?: readonly { readonly content: string }[];
    readonly properties?: readonly { readonly name: string }[];
  }[];
}

interface Spdx {
  readonly packages: readonly {
    readonly name: string;
    readonly versionInfo: string;
    readonly checksums?: readonly { readonly checksumValue: string }[];
  }[];
}

interface Locked {
  readonly version: string;
  readonly integrity: string;
  readonly dev?: boolean;
}

describe("npm sbom names every runtime dependency", () => {
  it("in CycloneDX", () => {
    const { components } = sbom("cyclonedx") as CycloneDx;
    const needed = components.filter(({ properties = [] }) => {
      return !properties.some(({ name }) => name === "cdx:npm:package:development");
    });
    const entries = needed.map(({ name, version, hashes }) => {
      return { name, version, hash: hashes?.[0]?.content };
    });
    expect(byName(entries)).toEqual(byName(lockedEntries()));
    expect(components.map(({ name }) => name)).toContain("typescript");
  });

  it("in SPDX", () => {
    const { packages } = sbom("spdx") as Spdx;
    const entries = packages.map(({ name, versionInfo, checksums }) => {
      return { name, version: versionInfo, hash: checksums?.[0]?.checksumValue };
    });
    expect(entries).toEqual(expect.arrayContaining([...lockedEntries()]));
  });
});

function sbom(format: string): unknown {
  const options = ["sbom", "--sbom-format", format];
  return JSON.parse(execFileSync("npm", options, { encoding: "utf8", maxBuffer: 2 ** 24 }));
}

/** In order, and each once: the lockfile has one entry for each place. */
function byName(entries: readonly Entry[]): readonly Entry[] {
  const byText = new Map(entries.map((entry) => [JSON.stringify(entry), entry]));
  return [...byText].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, entry]) => entry);
}

/** What the lockfile has for the program, with the hash in hexadecimal. */
function lockedEntries(): readonly Entry[] {
  const { packages }: { readonly packages: Readonly<Record<string, Locked>> } = JSON.parse(
    readFileSync("package-lock.json", "utf8"),
  );
  const entries = Object.entries(packages).filter(([path, { dev }]) => path !== "" && dev !== true);
  expect(entries.length).toBeGreaterThan(30);
  return entries.map(([path, { version, integrity }]) => {
    const hash = Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");
    return { name: path.replace(/^.*node_modules\//, ""), version, hash };
  });
}
