/** The file with the peers' last endpoints. */
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PeerSnapshot } from "../../../src/core/options.ts";
import {
  endpointsToKeep,
  formatEndpoints,
  LastEndpoints,
  parseEndpoints,
} from "../../../src/daemon/succession/last-endpoints.ts";
import { endpoint } from "../../helpers/address.ts";
import { peerSnapshot, tunnelSnapshot } from "../snapshot.ts";

const AT = endpoint("192.0.2.7", 1194);
const KEPT = [
  { peer: "b", endpoint: AT },
  { peer: "c", endpoint: { ...endpoint("fe80::1", 7), scope: 3 } },
];

let directory = "";
let path = "";
let file: LastEndpoints;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "iptun-endpoints-"));
  path = join(directory, "iptun0.endpoints");
  file = new LastEndpoints(directory, "iptun0");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("the peers' last endpoints", () => {
  it("are read as they were written, and only their owner can read them", async () => {
    await file.write([{ peer: "old", endpoint: AT }]);
    await file.write(KEPT);

    expect(file.read()).toEqual(KEPT);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("are those of the last of two writes at the same time", async () => {
    await Promise.all([file.write([{ peer: "old", endpoint: AT }]), file.write(KEPT)]);

    expect(file.read()).toEqual(KEPT);
  });

  it("are those of configured peers that are up, with the address in use", () => {
    const peers: PeerSnapshot[] = [
      peerSnapshot({ name: "up", state: "up", endpoint: AT }),
      peerSnapshot({ name: "idle", state: "idle", endpoint: AT }),
      peerSnapshot({ name: "nowhere", state: "up", endpoint: undefined }),
      peerSnapshot({ name: "group", kind: "group", state: "up", endpoint: AT }),
      peerSnapshot({ name: "group/1", kind: "node", state: "up", endpoint: AT }),
    ];

    expect(endpointsToKeep({ ...tunnelSnapshot(), peers })).toEqual([{ peer: "up", endpoint: AT }]);
  });

  it("are none where there is no file, or one that others could have written or put there", async () => {
    expect(file.read()).toEqual([]);
    await file.write(KEPT);
    await chmod(path, 0o666);
    expect(file.read()).toEqual([]);
    await rm(path);
    await writeFile(join(directory, "elsewhere"), formatEndpoints(KEPT), { mode: 0o600 });
    await symlink(join(directory, "elsewhere"), path);
    expect(file.read()).toEqual([]);
  });

  it.each([
    ["no JSON", "{"],
    ["another version", '{"version":2,"endpoints":[]}'],
    ["port 0", formatEndpoints(KEPT).replace('"port":1194', '"port":0')],
    ["a short address", formatEndpoints(KEPT).replace('"address":"0', '"address":"')],
    ["a field too many", formatEndpoints(KEPT).replace('"scope"', '"x":1,"scope"')],
  ])("are not read from %s", (_, text) => {
    expect(parseEndpoints(text)).toBeUndefined();
  });

  it("are at most 2,048", async () => {
    const many = Array.from({ length: 3_000 }, (_, at) => ({ peer: `p${at}`, endpoint: AT }));

    await file.write(many);

    expect(file.read()).toHaveLength(2_048);
    expect((await readFile(path)).length).toBeLessThan(262_144);
  });
});
