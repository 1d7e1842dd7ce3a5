/**
 * A key replaced in the three documented steps (docs/operations.md), by reloads under ping at 10 ms both ways: nothing is
 * lost, and status says at each step what it is to say.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Daemon, makeKey } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, type Pair, startPair } from "../../scripts/netns/topology.ts";
import { Ping } from "../../scripts/netns/traffic.ts";
import { figure } from "../helpers/figure.ts";

const { left, right } = ADDRESSES;
const EVERY_SECONDS = 0.01;
/** Between two sessions that are asked for: the old key's leave with them, and not after three minutes. */
const REKEY_MS = 500;

let lab: Lab;
let pair: Pair;

beforeAll(async () => {
  lab = openLab();
  pair = await startPair(lab);
});
afterAll(() => lab.close());

it("loses no packet, and the old key is removable when neither side needs it", async () => {
  const [oldKey, newKey] = [pair.keyFile, await makeKey(lab.dir, "new.key")];
  const pings = [
    new Ping(pair.left.host, right.inner4, EVERY_SECONDS),
    new Ping(pair.right.host, left.inner4, EVERY_SECONDS),
  ];
  await answered(pings);

  await onBoth(async (daemon) => {
    await useKeys(daemon, [oldKey, newKey]);
    expect((await usesOf(daemon))[0]).toBe("first");
  });
  await answered(pings);
  await useKeys(pair.left, [newKey, oldKey]);
  await pair.left.waitForStatus("session under the new key", ({ peers }) => {
    const [first] = peers[0]?.keys ?? [];
    return peers[0]?.sessions[0]?.fingerprint === first?.fingerprint;
  });
  // The other side still starts with the old one.
  expect((await usesOf(pair.left))[1]).not.toBe("removable");
  await useKeys(pair.right, [newKey, oldKey]);
  await onBoth((daemon) => untilRemovable(daemon));
  await onBoth((daemon) => useKeys(daemon, newKey));
  await answered(pings);

  const results = await Promise.all(pings.map((ping) => ping.stop()));
  const lost = results.map(({ sent, received }) => sent - received);
  const sent = results.map((result) => result.sent);
  figure(
    "rotation",
    `${sent.join(" and ")} pings during three steps`,
    `${lost.join(" and ")} lost`,
    "0",
  );
  expect(lost).toEqual([0, 0]);
  await onBoth(async (daemon) => expect(await usesOf(daemon)).toEqual(["first"]));
});

async function onBoth(act: (daemon: Daemon) => Promise<void>): Promise<void> {
  for (const daemon of [pair.left, pair.right]) await act(daemon);
}

async function useKeys(daemon: Daemon, keyFile: string | readonly string[]): Promise<void> {
  const peers = daemon.settings.peers.map((peer) => ({ ...peer, keyFile }));
  daemon.configure({ ...daemon.settings, peers });
  const { code, stdout, stderr } = await daemon.command(["reload"]);
  expect([code, stderr, stdout]).toEqual([0, "", expect.stringMatching(/^peer \w+: key/m)]);
}

/** What each key of the peer is needed for. */
async function usesOf(daemon: Daemon): Promise<readonly string[]> {
  return (await daemon.status()).peers[0]?.keys.map(({ use }) => use) ?? [];
}

/** Asks for new sessions until none is under the old key. */
async function untilRemovable(daemon: Daemon): Promise<void> {
  const isRemovable = async () => {
    if ((await usesOf(daemon))[1] === "removable") return true;
    await daemon.command(["rekey"]);
    return undefined;
  };
  await until("a key that can be removed", 20_000, isRemovable, REKEY_MS);
}

async function answered(pings: readonly Ping[]): Promise<void> {
  const from = Date.now() / 1000;
  for (const ping of pings) {
    await until("answer", 10_000, () => ping.replies.find(({ at }) => at > from));
  }
}
