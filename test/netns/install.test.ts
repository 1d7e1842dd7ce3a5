/**
 * The npm package: packed anew, what is in it, and installed where there is no compiler and no network, by each npm on each
 * Node.js, with real packets between the installations.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { Child, type Finished, finish, ROOT, runNow } from "../../scripts/netns/process.ts";
import { ADDRESSES, bringUp, makePair, startPair } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { CIPHER } from "../../src/io/native.ts";
import { figure, IS_FULL } from "../helpers/figure.ts";
import {
  cpuOf,
  dependencies,
  givenSymbols,
  makeMuslHost,
  muslLibrary,
  neededSymbols,
} from "./elf.ts";
import { Installed, nameOf, nodeOf } from "./node-releases.ts";
import { copyOfClone, pack } from "./packed.ts";

const MINUTE_MS = 60_000;
/** Five seconds of CPU, which a busy machine may not have for long. */
const EMULATED_START_MS = 3 * MINUTE_MS;
const PAIRS = [
  ...[20, 22, 24, 26].map((node) => ({ node, npm: 11 })),
  ...[22, 24, 26].map((node) => ({ node, npm: 12 })),
];
const CPUS = [
  { cpu: "x64", machine: "Advanced Micro Devices X86-64" },
  { cpu: "arm64", machine: "AArch64" },
];

const folder = mkdtempSync(join(tmpdir(), "iptun-install-"));
const copy = copyOfClone();
const installed = new Map<string, Installed>();
let packed = "";
/** The package's files, unpacked. */
const content = join(folder, "package");
const started = performance.now();

beforeAll(async () => {
  packed = await pack(copy);
  runNow(["tar", "-xzf", packed, "-C", folder]);
  const seconds = (performance.now() - started) / 1000;
  figure("package", "packed", `${seconds.toFixed(1)} s`, "no limit");
}, 6 * MINUTE_MS);

afterAll(() => {
  for (const made of [folder, copy]) rmSync(made, { recursive: true, force: true });
});

describe("the package", () => {
  it("has what a user needs and nothing else", () => {
    const top = [
      ...["CHANGELOG.md", "LICENSE", "README.md", "config.example.toml", "contrib", "dist", "docs"],
      ...["node_modules", "package.json"],
    ];
    expect(readdirSync(content).sort()).toEqual(top);
    const strange = ownFiles().filter((name) =>
      /\.(ts|map|test\.\w+|key|tgz|log)$|(^|\/)\.|^dist\/iptun\.node$/.test(name),
    );
    expect(strange).toEqual([]);
  });

  it("has the pages that its README leads to", () => {
    for (const page of ownFiles().filter((name) => name.endsWith(".md"))) {
      const text = readFileSync(join(content, page), "utf8");
      const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, link = ""]) => link);
      for (const link of links) {
        expect(existsSync(join(content, dirname(page), link)), `${page}: ${link}`).toBe(true);
      }
    }
  });

  it("says nothing of the machine on which it was packed", () => {
    for (const word of [ROOT.replace(/\/$/, ""), copy, folder, `@${hostname()}`]) {
      const found = execFileSync("sh", ["-c", 'grep -rlF -e "$1" "$2" || :', "sh", word, content]);
      expect(String(found), word).toBe("");
    }
  });

  it("brings the dependencies of the lockfile and nothing that runs at installation", () => {
    const { packages } = jsonOf(join(ROOT, "package-lock.json")) as Lockfile;
    const expected = Object.entries(packages).filter(([path, one]) => path !== "" && !one.dev);
    const scripts = ["preinstall", "install", "postinstall", "prepare"];

    expect(expected.length).toBeGreaterThan(30);
    for (const [path, { version }] of expected) {
      const found = jsonOf(join(content, path, "package.json")) as Manifest;
      expect(found.version, path).toBe(version);
      expect(existsSync(join(content, path, "binding.gyp")), path).toBe(false);
      const run = Object.keys(found.scripts ?? {}).filter((name) =>
        scripts.slice(0, 3).includes(name),
      );
      expect(run, path).toEqual([]);
    }
    const own = jsonOf(join(content, "package.json")) as Manifest;
    expect(Object.keys(own.scripts ?? {}).filter((name) => scripts.includes(name))).toEqual([]);
  });

  it.runIf(IS_FULL)(
    "has the same bytes when it is packed in another folder at another time",
    async () => {
      const other = copyOfClone(copy);
      try {
        const again = await pack(other);
        expect(readFileSync(again).equals(readFileSync(packed))).toBe(true);
      } finally {
        rmSync(other, { recursive: true, force: true });
      }
    },
  );

  it("is not made where a compiler is missing, and one line names it", async () => {
    const command = ["env", "CC=no-such-cc", join(copy, "scripts/build-native"), "--can-package"];
    const { code, stderr } = await finish(new Child(command));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^build-native: no C compiler for \w+ \(no-such-cc\); on Debian: apt-get install [^\n]*\n$/,
    );
  });
});

describe.each(CPUS)("the addon for $cpu", ({ cpu, machine }) => {
  const addon = join(content, `dist/native/linux-${cpu}/iptun.node`);

  it("is for that CPU, asks for no library and for no version of a symbol", () => {
    expect(cpuOf(addon)).toBe(machine);
    expect(dependencies(addon)).toEqual([]);
  });

  it("needs nothing that Node.js from 20 on and musl do not have", () => {
    const muslLibc = givenSymbols(muslLibrary());
    for (const major of [20, 22, 24, 26]) {
      const ofNode = givenSymbols(nodeOf(`node-${major}`));
      const missing = neededSymbols(addon).filter(
        (name) => !ofNode.has(name) && !muslLibc.has(name),
      );
      expect(missing, `Node.js ${major}`).toEqual([]);
    }
  });
});

it("the addon is loaded by musl, and one that needs glibc is not", async () => {
  const addon = join(content, "dist/native/linux-x64/iptun.node");
  const muslLibc = givenSymbols(muslLibrary());
  const host = makeMuslHost(
    folder,
    neededSymbols(addon).filter((name) => !muslLibc.has(name)),
  );
  const glibcs = join(folder, "glibcs.node");
  runNow([join(copy, "scripts/build-native"), glibcs, "-nostdlib", "-Dmemcmp=__memcmpeq"]);

  expect(await finish(new Child([host, addon]))).toMatchObject({ code: 0, stderr: "" });
  expect(await finish(new Child([host, glibcs]))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("__memcmpeq: symbol not found"),
  });
});

describe("installed with no compiler, no install script and no network", () => {
  it.concurrent.each(PAIRS)("by npm $npm on Node.js $node", async ({ node, npm }) => {
    const host = new Installed(folder, node, npm);
    const begun = performance.now();
    const { stdout } = await host.install(packed);
    const seconds = (performance.now() - begun) / 1000;
    figure("package", `installed, ${host.name}`, `${seconds.toFixed(1)} s`, "no limit");

    expect(stdout).toMatch(/^\s*added 1 package in /);
    expect(await host.run(["node", "--version"])).toMatchObject({
      stdout: expect.stringMatching(new RegExp(`^v${node}\\.`)),
    });
    const tried = ["ip", "cc", "gcc", "clang", "make"].map((program) => host.has(program));
    expect(await Promise.all(tried)).toEqual([true, false, false, false, false]);
    await makesKeyAndChecks(host.prefix, (words) => host.run(["iptun", ...words]));
    installed.set(host.name, host);
  });
});

describe("a tunnel between two installations", () => {
  const ring = [0, 2, 4, 6].map((at) => [nameAt(at), nameAt((at + 1) % PAIRS.length)] as const);

  it.concurrent.each(ring)("%s and %s", async (one, other) => {
    const sides = { left: installationOf(one), right: installationOf(other) };
    await withLab(async (lab) => {
      const { left, right } = await startPair(lab, {
        left: { program: [...sides.left.alone, sides.left.iptun] },
        right: { program: [...sides.right.alone, sides.right.iptun] },
      });
      for (const target of [ADDRESSES.right.inner4, ADDRESSES.right.inner6]) {
        expect((await ping(left.host, target, 3, 0.2)).received).toBe(3);
      }
      expect(readlinkSync(`/proc/${left.child.pid}/exe`)).toBe(sides.left.node);
      expect(readlinkSync(`/proc/${right.child.pid}/exe`)).toBe(sides.right.node);
      for (const daemon of [left, right]) expect((await daemon.stop()).code).toBe(0);
    });
  });
});

describe("on arm64, emulated by qemu-user", () => {
  const emulator = join(folder, "node-arm64");
  const main = () => join(installationOf(nameAt(0)).folder, "dist/main.js");

  beforeAll(() => {
    const words = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", nodeOf("node-arm64")];
    writeFileSync(emulator, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  });

  it("makes a key and checks a configuration", async () => {
    const made = mkdtempSync(join(folder, "arm64-"));
    await makesKeyAndChecks(
      made,
      async (words) => await finish(new Child([emulator, main(), ...words])),
    );
  });

  it("opens a TUN device and a UDP socket, and has the fast cipher, with its own addon", async () => {
    const module = pathToFileURL(join(installationOf(nameAt(0)).folder, "dist/io/native.js"));
    await withLab(async (lab) => {
      const host = lab.addHost("arm64");
      const script = OPEN_ALL.replace("MODULE", JSON.stringify(module.href));
      const command = [emulator, "--input-type=module", "--eval", script];

      expect(JSON.parse(await host.output(command))).toEqual({
        cpu: "arm64",
        addons: [expect.stringMatching(/\/linux-arm64\/iptun\.node$/)],
        device: "arm0",
        isThere: true,
        hasSocket: true,
        cipher: CIPHER.PRIMITIVES,
      });
    });
  });

  it.runIf(IS_FULL)(
    "has a tunnel to x64",
    async () => {
      // The emulator cannot execute itself anew, as the daemon does to give up privileges: it has none too many.
      const sets = ["--bounding-set", "--inh-caps", "--ambient-caps"];
      const few = ["setpriv", "--no-new-privs", ...sets.flatMap((set) => [set, "-all,+net_admin"])];
      const x64 = installationOf(nameAt(0));
      await withLab(async (lab) => {
        const pair = await makePair(lab, {
          left: { wrapper: few, program: [emulator, main()] },
          right: { program: [...x64.alone, x64.iptun] },
        });
        pair.left.spawn();
        await pair.right.start();
        await pair.left.waitForStatus("start", () => true, EMULATED_START_MS);
        await bringUp(pair);

        for (const target of [ADDRESSES.right.inner4, ADDRESSES.right.inner6]) {
          expect((await ping(pair.left.host, target, 3, 0.2)).received).toBe(3);
        }
        for (const daemon of [pair.left, pair.right]) expect((await daemon.stop()).code).toBe(0);
      });
    },
    5 * MINUTE_MS,
  );
});

/** The cipher's primitives are compared with OpenSSL's own interface when they are chosen. */
const OPEN_ALL = `
import { readFileSync } from "node:fs";
const { loadNative } = await import(MODULE);
const native = loadNative();
const name = new Uint8Array(16);
const opened = native.tunOpen("arm0", 0, name);
const socket = native.udpOpen(new Uint8Array(16), 0, 0, "", 65536, new Int32Array(4));
const maps = readFileSync("/proc/self/maps", "utf8").match(/\\/\\S*iptun\\.node/g);
console.log(JSON.stringify({
  cpu: process.arch,
  addons: [...new Set(maps)],
  device: opened < 0 ? native.errnoName(opened) : Buffer.from(name).toString().replaceAll("\\0", ""),
  isThere: readFileSync("/proc/net/dev", "utf8").includes(" arm0:"),
  hasSocket: socket > 0,
  cipher: native.cipherKind(0),
}));
`;

interface Manifest {
  readonly version: string;
  readonly scripts?: Readonly<Record<string, string>>;
}

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly dev?: boolean }>>;
}

function jsonOf(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Makes a key, and has a configuration with it checked. */
async function makesKeyAndChecks(
  folder: string,
  iptun: (words: readonly string[]) => Promise<Finished>,
): Promise<void> {
  const key = join(folder, "link.key");
  const config = join(folder, "iptun0.toml");
  const lines = [
    '[interface]\naddress = ["10.77.0.1/24"]\n[[peer]]\nname = "hub"\nendpoint = "192.0.2.1:1194"',
    `key_file = ${JSON.stringify(key)}\nallowed_ips = ["10.77.0.2/32"]\n`,
  ];
  writeFileSync(config, lines.join("\n"), { mode: 0o600 });

  expect((await iptun(["keygen", "--out", key])).stderr).toMatch(/fingerprint [0-9a-f]{8}\n$/);
  expect((await iptun(["check", "--config", config])).stdout).toContain("192.0.2.1:1194");
}

function nameAt(index: number): string {
  const { node, npm } = PAIRS[index] ?? { node: 0, npm: 0 };
  return nameOf(node, npm);
}

function installationOf(name: string): Installed {
  const found = installed.get(name);
  if (found === undefined) throw new Error(`${name}: not installed`);
  return found;
}

/** Paths in the package, without the dependencies'. */
function ownFiles(): readonly string[] {
  return readdirSync(content, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(content, join(entry.parentPath, entry.name)))
    .filter((name) => !name.startsWith("node_modules/"));
}
