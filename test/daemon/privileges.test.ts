/**
 * The check of capabilities and of the TUN driver's node.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CAP_NET_ADMIN } from "../../src/daemon/confine.ts";
import { checkPrivileges, hasCapability } from "../../src/daemon/privileges.ts";

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

  it("passes where capability and driver are there", async () => {
    const paths = await files("CapEff:\t0000000000001000\n");

    await expect(checkPrivileges(paths)).resolves.toBeUndefined();
  });

  it("names the missing capability, with exit code 4", async () => {
    const paths = await files("CapEff:\t0000000000000000\n");

    await expect(checkPrivileges(paths)).rejects.toMatchObject({
      message: expect.stringContaining("CAP_NET_ADMIN"),
      exitCode: 4,
    });
  });

  it("names the remedy where the driver's node is missing", async () => {
    const paths = await files("CapEff:\t0000000000001000\n");
    await rm(paths.tun);

    await expect(checkPrivileges(paths)).rejects.toMatchObject({
      message: expect.stringMatching(/tun is missing: .*modprobe tun/),
      exitCode: 1,
    });
  });

  it("names the remedy where the node may not be opened, with exit code 4", async () => {
    const paths = await files("CapEff:\t0000000000001000\n");
    const refuse = () => Promise.reject(Object.assign(new Error("no"), { code: "EACCES" }));

    await expect(checkPrivileges(paths, refuse)).rejects.toMatchObject({
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
