/**
 * S2: what is left in a daemon's memory of the keys of a session that is over, of a peer that a reload has removed, and
 * of a pre-shared key that was rotated away.
 *
 * Session keys are read from the daemon's key table while they are in use. IPTUN_FULL=1 waits the plan's ten minutes
 * after the end. The trap: what is searched for must be there first, or the search proves nothing.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Daemon, makeKey } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { pause, until } from "../../scripts/netns/process.ts";
import { ADDRESSES, type Pair, startPair } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { figure, IS_FULL } from "../helpers/figure.ts";
import { copiesInMemory, isKeyTable } from "../helpers/process-memory.ts";
import { halvesOf, keysOfFile, sessionKeysOf } from "./known-secrets.ts";

/** Once a second a new session may be asked for. */
const REKEY_MS = 1_100;
const AFTER_MS = IS_FULL ? 600_000 : 1_000;

let lab: Lab;
let pair: Pair;
let first: readonly Buffer[] = [];
let otherKey: string;

beforeAll(async () => {
  lab = openLab();
  pair = await startPair(lab);
  otherKey = await makeKey(lab.dir, "other.key");
  await ping(pair.left.host, ADDRESSES.right.inner4, 20, 0.02);
  first = sessionKeysOf(pair.left);
});
afterAll(() => lab.close());

describe("S2 memory of the daemon", () => {
  it("has each key of a session in the key table, and nowhere else while packets flow", () => {
    const copies = copiesInMemory(pair.left.child.pid, halvesOf(first));
    expect(first.length).toBeGreaterThanOrEqual(2);
    expect(copies.filter(({ mapping }) => isKeyTable(mapping))).toHaveLength(2 * first.length);
    expect(copies.filter(({ mapping }) => !isKeyTable(mapping))).toEqual([]);
  });

  it("has no key of a session that ended, on either side", async () => {
    // The one before the last is kept for what is under way.
    await renew(pair.left);
    await pause(REKEY_MS);
    await renew(pair.left);
    const hasFirst = () =>
      texts(first).some((text) => texts(sessionKeysOf(pair.left)).includes(text));
    await until("the first session's end", 5_000, () => !hasFirst() || undefined);
    await pause(AFTER_MS);
    await ping(pair.left.host, ADDRESSES.right.inner4, 5, 0.02);

    const found = [pair.left, pair.right].map((daemon) => countOf(daemon, halvesOf(first)));

    figure(
      "S2",
      `${first.length} keys of sessions in two daemons' memory ${AFTER_MS / 1000} s after their end`,
      `${found.join(" and ")} copies`,
      "0",
    );
    expect(found).toEqual([0, 0]);
  });

  it("has nothing of a key that a reload has replaced, nor its file's text", async () => {
    const old = needlesOf(await keysOfFile(pair.keyFile), pair.keyFile);
    expect(countOf(pair.left, old)).toBeGreaterThan(0);
    for (const daemon of [pair.left, pair.right]) await useKey(daemon, otherKey);
    await ping(pair.left.host, ADDRESSES.right.inner4, 5, 0.02);

    const found = [pair.left, pair.right].map((daemon) => countOf(daemon, old));

    figure(
      "S2",
      "a key, its sub-keys and text after a rotation",
      `${found.join(" and ")} copies`,
      "0",
    );
    expect(found).toEqual([0, 0]);
  });

  it("has nothing of a peer that a reload has removed", async () => {
    const keys = sessionKeysOf(pair.left);
    const needles = [...needlesOf(await keysOfFile(otherKey), otherKey), ...halvesOf(keys)];
    expect(countOf(pair.left, needles)).toBeGreaterThan(2 * keys.length);
    const replaced = await makeKey(lab.dir, "third.key");
    const [peer] = pair.left.settings.peers;
    const peers = peer === undefined ? [] : [{ ...peer, name: "another", keyFile: replaced }];
    pair.left.configure({ ...pair.left.settings, peers });
    expect(await pair.left.reload()).toMatchObject({ outcome: "applied" });

    const found = countOf(pair.left, needles);

    figure("S2", "keys, sub-keys and sessions of a peer that was removed", `${found} copies`, "0");
    expect(found).toBe(0);
  });
});

/** Both halves of each, and the text of the key. */
function needlesOf(keys: readonly Buffer[], keyFile: string): readonly Buffer[] {
  return [...halvesOf(keys), ...halvesOf([readFileSync(keyFile)])];
}

function countOf({ child }: Daemon, needles: readonly Buffer[]): number {
  return copiesInMemory(child.pid, needles).length;
}

/** Another session. */
async function renew(daemon: Daemon): Promise<void> {
  const before = texts(sessionKeysOf(daemon));
  const { code, stderr } = await daemon.command(["rekey"]);
  expect([code, stderr]).toEqual([0, ""]);
  await until("a new session", 5_000, () => {
    return texts(sessionKeysOf(daemon)).some((text) => !before.includes(text)) || undefined;
  });
  await ping(daemon.host, ADDRESSES.right.inner4, 3, 0.02);
}

function texts(keys: readonly Buffer[]): readonly string[] {
  return keys.map((key) => key.toString("hex"));
}

async function useKey(daemon: Daemon, keyFile: string): Promise<void> {
  const peers = daemon.settings.peers.map((peer) => ({ ...peer, keyFile }));
  daemon.configure({ ...daemon.settings, peers });
  expect(await daemon.reload()).toMatchObject({ outcome: "applied" });
}
