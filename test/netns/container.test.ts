/**
 * The container example: its commands and capabilities between namespaces, which is what containers are of, and what its files
 * say. No engine and no image takes part.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { InstalledHost } from "../../scripts/netns/installed.ts";
import { withLab } from "../../scripts/netns/lab.ts";
import { ROOT, until } from "../../scripts/netns/process.ts";
import { ADDRESSES, twoHosts } from "../../scripts/netns/topology.ts";

const CONTAINER = join(ROOT, "contrib/container");
/** A daemon's start on a machine that does much else. */
const START_MS = 45_000;

interface Service {
  readonly image: string;
  readonly command: readonly string[];
  readonly volumes: readonly string[];
  readonly cap_drop: readonly string[];
  readonly cap_add?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly devices?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<"init" | "hub" | "site", Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const compose = readYaml(join(CONTAINER, "compose.yaml")) as Compose;
const { init, hub, site } = compose.services;

describe("the compose example", () => {
  it("leads to a tunnel by its commands, with its capabilities", async () => {
    await withLab(async (lab) => {
      const hosts = twoHosts(lab);
      const names = { hub: ADDRESSES.left.outer4 };
      const ends = {
        hub: new InstalledHost(hosts.left, names),
        site: new InstalledHost(hosts.right, names),
      };

      await ends.hub.run(`mkdir /etc/iptun && ${confined(init)}`);
      // One volume of both.
      execFileSync("cp", ["-a", join(ends.hub.root, "etc/iptun"), join(ends.site.root, "etc")]);
      const running = [ends.hub.start(confined(hub)), ends.site.start(confined(site))];
      await until("reply of the hub", START_MS, async () => {
        return await ends.site.run("ping -c 1 -W 1 10.77.0.1").catch(() => undefined);
      });

      await ends.hub.run("ping -c 1 -W 5 fd77::2");
      for (const [end, { healthcheck }] of [[ends.hub, hub] as const, [ends.site, site] as const]) {
        const [kind, ...words] = healthcheck?.test ?? [];
        expect(kind).toBe("CMD");
        await end.run(words.join(" "));
      }
      for (const daemon of running) expect((await daemon.stop()).code).toBe(0);
    });
  });

  it("gives the sites the device, one capability and no way to more", () => {
    for (const one of [hub, site]) {
      expect(one).toMatchObject({ cap_drop: ["ALL"], cap_add: ["NET_ADMIN"] });
      expect(one).toMatchObject({ security_opt: ["no-new-privileges:true"], tmpfs: ["/run"] });
      expect(one.devices).toEqual(["/dev/net/tun"]);
    }
    expect(init).toMatchObject({ cap_drop: ["ALL"] });
    expect(init.cap_add).toBeUndefined();
  });

  it("has its volumes, and the folder of the state and of the configuration", () => {
    const volumes = [init, hub, site].flatMap((one) => one.volumes);
    expect(new Set(volumes.map((one) => one.split(":")[0]))).toEqual(
      new Set(Object.keys(compose.volumes)),
    );
    for (const one of [hub, site]) {
      expect(one.volumes.map((volume) => volume.split(":")[1])).toEqual([
        ...["/etc/iptun", "/var/lib/iptun"],
      ]);
    }
  });
});

describe("the Containerfile", () => {
  const text = readFileSync(join(CONTAINER, "Containerfile"), "utf8");
  const instructions = text
    .replace(/^#.*\n/gm, "")
    .replace(/\\\n/g, "")
    .trim()
    .split(/\n+/);

  it("installs what npm pack makes, without a network, and runs what the compose file runs", () => {
    const { name, version }: { name: string; version: string } = JSON.parse(
      readFileSync(join(ROOT, "package.json"), "utf8"),
    );
    const [, pattern = ""] = /^COPY (\S+) \/tmp\/$/m.exec(text) ?? [];
    expect(
      new RegExp(`^${pattern.replaceAll(".", "\\.").replace("*", ".*")}$`).test(
        `${name}-${version}.tgz`,
      ),
    ).toBe(true);
    expect(text).toContain(`RUN npm install --global --offline /tmp/${pattern} && `);
    expect(instructions).toContain('ENTRYPOINT ["iptun"]');
    expect(instructions).toContain(`CMD ${JSON.stringify(hub.command).replaceAll(",", ", ")}`);
  });

  it("has no instruction beside these", () => {
    expect(instructions.map((line) => line.split(" ")[0])).toEqual([
      ...["ARG", "FROM", "RUN", "COPY", "RUN", "ENTRYPOINT", "CMD"],
    ]);
  });
});

/** The shell line of a service: its capabilities and no others, as the engine would start the image. */
function confined({ command, cap_drop: dropped, cap_add: added = [] }: Service): string {
  expect(dropped).toEqual(["ALL"]);
  const kept = ["-all", ...added.map((name) => `+${name.toLowerCase()}`)].join(",");
  const sets = ["--bounding-set", "--inh-caps", "--ambient-caps"].map((set) => `${set} ${kept}`);
  return `setpriv --no-new-privs ${sets.join(" ")} iptun ${command.join(" ")}`;
}

function readYaml(file: string): unknown {
  const program = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
  const input = readFileSync(file);
  return JSON.parse(execFileSync("/usr/bin/python3", ["-c", program], { input, encoding: "utf8" }));
}
