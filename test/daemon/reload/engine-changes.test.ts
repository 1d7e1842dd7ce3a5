/** What the engine is told of a configuration that is read anew, where the order of it is not the matter. */
import { afterEach, expect, it, vi } from "vitest";
import { engineChanges } from "../../../src/daemon/reload/engine-changes.ts";
import { config, peerConfig } from "../config.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

it("hands on the keys that it is given, and makes no copy of a key", () => {
  const peers = [
    peerConfig({ name: "b", endpoints: [] }),
    peerConfig({ name: "c", endpoints: [] }),
  ];
  const [changed, added] = peers;
  const [before, after] = [config({ peers: [] }), config({ peers })];
  const given = [new Uint8Array(32).fill(9)];
  const copies = vi.spyOn(Uint8Array, "from");

  const changes = engineChanges(
    {
      ...{ lines: [], refusals: [], removed: [] },
      changed: changed ? [{ peer: changed, hasOtherKeys: true, hasOtherEndpoints: false }] : [],
      added: added ? [added] : [],
    },
    before,
    after,
    { linkMtu: 1500, zoneIndex: () => 0, keysOf: () => given },
  );

  const keys = changes.map((change) => "peer" in change && change.peer.keys);
  expect(keys).toEqual([given, given]);
  expect(keys.every((one) => one === given)).toBe(true);
  expect(copies).not.toHaveBeenCalled();
});
