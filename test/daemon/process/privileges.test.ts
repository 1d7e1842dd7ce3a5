/**
 * The check of capabilities and of the TUN driver's node.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CAP_NET_ADMIN } from "../../../src/daemon/process/confine.ts";
import { checkPrivileges, hasCapability } from "../../../src/daemon/process/privileges.ts";
import { config, peerConfig, prefix } from "../config.ts";

const CAPABLE = "CapEff:\t0000000000001000\n";
const INCAPABLE = "CapEff:\t0000000000000000\n";
const PLAIN = config();
const DEFAULT_ROUTE = config({ peers: [peerConfig({ allowedIps: [prefix("0.0.0.0/0")] })] });
const there = async () => true;
const absent = async () => false;

describe("a capability set", () => {
  it.each([
    ["all", "000001ffffffffff", true],
    ["only CAP_NET_ADMIN", "0000000000001000", true],
    ["none", "0000000000000000", false],
    ["all but CAP_NET_ADMIN", "000001ffffffefff", false],
  ])("with %s", (_name, hex, expected) => {
    expect(hasCapability(`CapPrm:\tffffffffffffffff\nCapEff:\t${hex}\n`, CAP_NET_ADMIN)).toBe(
      expected,
    );
  });

  it("that is not stated has nothing", () => {
    expect(hasCapability("Name:\tnode\n", CAP_NET_ADMIN)).toBe(false);
  });
});

describe("the check", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "iptun-privileges-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("lets a tunnel with the capability manage devices", async () => {
    expect(await checkPrivileges(PLAIN, absent, await files(CAPABLE))).toBe(true);
  });

  it("lets one without it use a device that is there, by its name", async () => {
    const asked: string[] = [];
    const isThere = async (device: string) => asked.push(device) > 0;
    expect(await checkPrivileges(PLAIN, isThere, await files(INCAPABLE))).toBe(false);
    expect(asked).toEqual(["iptun0"]);
  });

  it("names capability and device where both are missing, with exit code 4", async () => {
    await expect(checkPrivileges(PLAIN, absent, await files(INCAPABLE))).rejects.toMatchObject({
      message: expect.stringMatching(
        /CAP_NET_ADMIN.*'ip tuntap add dev iptun0 mode tun user NAME'/,
      ),
      exitCode: 4,
    });
  });

  it.each([
    ["a default route", DEFAULT_ROUTE, /default route \(set interface.routes = false\)/],
    ["the firewall that goes with one", DEFAULT_ROUTE, /interface.firewall \(set it to false\)/],
    ["a firewall", config({ interface: { firewall: true } }), /for interface.firewall/],
    ["a mark", config({ interface: { fwmark: 7 } }), /for interface.fwmark \(set it to 0\)/],
  ])("refuses %s without the capability", async (_what, wish, message) => {
    const paths = await files(INCAPABLE);
    await expect(checkPrivileges(wish, there, paths)).rejects.toMatchObject({
      message: expect.stringMatching(message),
      exitCode: 4,
    });
    await expect(checkPrivileges(wish, there, await files(CAPABLE))).resolves.toBe(true);
  });

  it("names the remedy where the driver's node is missing", async () => {
    const paths = await files(CAPABLE);
    await rm(paths.tun);

    await expect(checkPrivileges(PLAIN, there, paths)).rejects.toMatchObject({
      message: expect.stringMatching(/tun is missing: .*modprobe tun/),
      exitCode: 1,
    });
  });

  it("names the remedy where the node may not be opened, with exit code 4", async () => {
    const paths = await files(CAPABLE);
    const refuse = () => Promise.reject(Object.assign(new Error("no"), { code: "EACCES" }));

    await expect(checkPrivileges(PLAIN, there, paths, refuse)).rejects.toMatchObject({
      message: expect.stringMatching(/no permission to open .*chmod 0666/),
      exitCode: 4,
    });
  });

  async function files(status: string) {
    const paths = { status: join(directory, "status"), tun: join(directory, "tun") };
    await writeFile(paths.status, status);
    await writeFile(paths.tun, "");
    return paths;
  }
});
