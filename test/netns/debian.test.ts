/**
 * The Debian package: what lintian says of it, and its life on a host, from the installation to a purge.
 *
 * Only root of the machine may install; elsewhere the package is built and looked at.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InstalledHost } from "../../scripts/netns/installed.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { ROOT, until } from "../../scripts/netns/process.ts";
import { ADDRESSES, hostPort, twoHosts } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { DebianRoot } from "./debian-root.ts";

const START_MS = 45_000;
const CONFIG = "/etc/iptun/iptun0.toml";
/** With characters that mean something to the tools that write it. */
const MAINTAINER = "Us & Them/Ours";
const isRoot = process.getuid?.() === 0;
let folder: string;
let deb: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "iptun-deb-"));
  deb = execFileSync(join(ROOT, "scripts/package-deb"), [folder], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DEBFULLNAME: MAINTAINER, DEBEMAIL: "us@example.org" },
  }).trim();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the package", () => {
  it("has no fault in the eyes of lintian", () => {
    const { stdout, error } = spawnSync("lintian", ["--tag-display-limit", "0", deb], {
      encoding: "utf8",
      timeout: 100_000,
    });

    expect(error).toBeUndefined();
    const faults = stdout.split("\n").filter((line) => /^[EW]:/.test(line));
    expect(faults).toEqual([]);
  });

  it("asks for what the program needs, and says where its unit finds it", () => {
    const fields = ["Depends", "Architecture", "Maintainer"];
    const [depends, architecture, maintainer] = fields.map((field) =>
      execFileSync("dpkg-deb", ["--field", deb, field], { encoding: "utf8" }).trim(),
    );
    const files = execFileSync("dpkg-deb", ["--contents", deb], { encoding: "utf8" });

    expect(depends).toBe("libc6, nodejs (>= 20.19), iproute2");
    expect(maintainer).toBe(`${MAINTAINER} <us@example.org>`);
    expect(architecture).toBe(
      execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim(),
    );
    expect(files).toMatch(/^lrwxrwxrwx root\/root .* \.\/usr\/bin\/iptun -> /m);
    expect(files).toMatch(/^drwx------ root\/root .* \.\/etc\/iptun\/$/m);
    expect(files).toMatch(
      /^-rw-r--r-- root\/root .* \.\/usr\/lib\/systemd\/system\/iptun@\.service$/m,
    );
    expect(files).not.toMatch(/node_modules\/(typescript|vitest|tsx|@types)\//);
  });
});

describe.runIf(isRoot)("on a host", () => {
  let lab: Lab;
  let root: DebianRoot;
  let file: string;

  beforeAll(async () => {
    lab = openLab();
    root = await DebianRoot.open(lab);
    // The lab's folder is the one that is seen inside.
    file = join(lab.dir, "iptun.deb");
    copyFileSync(deb, file);
  });
  afterAll(() => lab.close());

  it("leaves nothing behind where nothing was configured", async () => {
    await root.run(["dpkg", "--install", file]);
    const installed = root.changes();
    expect(await root.run(["iptun", "--version"])).toMatch(/^\d+\.\d+\.\d+\n$/);
    await root.run(["dpkg", "--purge", "iptun"]);

    expect(installed).toContain("/usr/bin/iptun");
    expect(root.changes()).toEqual([]);
  });

  it("carries a tunnel, is upgraded, removed and purged, and keeps the keys", async () => {
    const { left, right } = twoHosts(lab);
    // Those of the test before.
    await root.systemctlCalls();
    await root.run(["dpkg", "--install", file]);
    expect(root.mode("/etc/iptun")).toBe(0o700);
    const asked = await root.systemctlCalls();
    expect(asked).toEqual(["--system daemon-reload"]);

    await root.run(["sh", "-c", `iptun init ${initOptions()} </dev/null`], left);
    const hub = root.start(left, ["iptun", "--config", CONFIG]);
    const site = new InstalledHost(right);
    mkdirSync(join(site.root, "etc/iptun"));
    const laptop = root.read("/etc/iptun/laptop.toml");
    writeFileSync(join(site.root, CONFIG), laptop, { mode: 0o600 });
    const laptopRun = site.start(`iptun --config ${CONFIG}`);
    await until("the tunnel carries pings", START_MS, async () => {
      const { received } = await ping(right, ADDRESSES.left.inner6, 1);
      return received === 1 ? true : undefined;
    });
    const { received } = await ping(left, ADDRESSES.right.inner4, 5);
    expect(received).toBeGreaterThanOrEqual(4);
    expect(await root.run(["iptun", "status"], left)).toContain("laptop");

    await upgrade(root, file);
    expect(hub.isRunning).toBe(true);
    await Promise.all([hub.stop(), laptopRun.stop()]);
    await root.run(["dpkg", "--remove", "iptun"]);
    expect(await root.systemctlCalls()).toEqual(["stop iptun@*.service", "--system daemon-reload"]);
    const removed = root.changes();
    expect(removed.filter((path) => !/^\/(etc|var\/lib)\/iptun(\/|$)/.test(path))).toEqual([]);
    expect(removed).toContain("/var/lib/iptun");

    await root.run(["touch", "/var/lib/iptun/somebody.key"]);
    await root.run(["dpkg", "--purge", "iptun"]);
    const kept = root.changes();
    expect(kept).toContain(CONFIG);
    expect(kept).toEqual([
      ...removed.filter((path) => path.startsWith("/etc/iptun")),
      "/var/lib/iptun",
      "/var/lib/iptun/somebody.key",
    ]);
  });
});

/** Upgrades a host on which instances run whose configurations are right, and others. */
async function upgrade(root: DebianRoot, file: string): Promise<void> {
  const units = ["iptun0", "sealed", "broken", "elsewhere"].map((name) => `iptun@${name}.service`);
  await root.setRunning(units);
  await root.run(["sh", "-c", INSTANCES]);

  const told = await root.run(["dpkg", "--install", file]);

  const restarted = (await root.systemctlCalls()).filter((call) => call.includes("restart"));
  expect(restarted).toEqual(units.slice(0, 2).map((unit) => `try-restart ${unit}`));
  for (const unit of units.slice(2))
    expect(told).toContain(`${unit} still runs the version before`);
  await root.run(["rm", "/etc/iptun/broken.toml", "/etc/iptun/sealed.toml", OTHER_IPTUN]);
}

/** Another installation, which root's PATH names first. */
const OTHER_IPTUN = "/usr/local/bin/iptun";
/** One with a key that only its unit is given, one that is wrong, and that of another installation. */
const INSTANCES = `
set -e
cd /etc/iptun
credentials=/run/credentials/iptun@sealed.service
mkdir -p "$credentials"
chmod 700 "$credentials"
sed 's/^key_file = .*/key_file = "credential:site.key"/' iptun0.toml >sealed.toml
cp "$(sed -n 's/^key_file = "\\(.*\\)"/\\1/p' iptun0.toml)" "$credentials/site.key"
chmod 600 "$credentials/site.key"
echo nonsense >broken.toml
printf '#!/bin/sh\\nexit 78\\n' >${OTHER_IPTUN}
chmod 755 ${OTHER_IPTUN}
`;

function initOptions(): string {
  const { left } = ADDRESSES;
  const endpoint = hostPort(left.outer4);
  return `--name hub --peer laptop --endpoint ${endpoint} --address ${left.inner4}/24,${left.inner6}/64`;
}
