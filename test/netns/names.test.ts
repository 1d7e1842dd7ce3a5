/**
 * A peer that is known by a name, and a name server whose answers change.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { addAddress, type Lab, withLab } from "../../scripts/netns/lab.ts";
import { pause, ROOT } from "../../scripts/netns/process.ts";
import { silence, unsilence } from "../../scripts/netns/silence.ts";
import {
  ADDRESSES,
  hostPort,
  makePair,
  type Pair,
  startDaemons,
} from "../../scripts/netns/topology.ts";
import { Ping, ping } from "../../scripts/netns/traffic.ts";
import { figure } from "../helpers/figure.ts";

const { right } = ADDRESSES;
/** Where the right site lives after its move. */
const NEW_SIX = "2001:db8:1::77";
const NAME = "right.example";
/** Silence after which a name is asked for again: data unanswered for 15 s, then INITs for 5 s. */
const UNANSWERED_MS = 20_000;

describe("H7 a name", () => {
  it("whose answers are empty or fail keeps its address; one that moves to IPv6 only is followed", async () => {
    await withLab(async (lab) => {
      const { pair, answer } = await startNamed(lab);
      answer("");

      await silence(pair.right.host, "eth0");
      const asking = new Ping(pair.left.host, right.inner4, 0.2);
      await pause(UNANSWERED_MS + 1_500);
      answer("fail");
      await pause(2_500);
      await unsilence(pair.right.host);
      await asking.stop();
      const kept = await ping(pair.left.host, right.inner4, 40, 0.2);
      const endpoint = (await pair.left.status()).peers[0]?.endpoint;

      expect(pair.left.log).toContain(`cannot resolve ${NAME}`);
      const measured = `endpoint kept, ${kept.received} of 40 pings answered afterwards`;
      figure("H7", "empty and failing answers while the peer is silent", measured, "kept");
      expect(endpoint).toBe(hostPort(right.outer4));
      expect(kept.received).toBeGreaterThan(10);

      await pair.right.stop("SIGKILL");
      pair.right.host.ip("address", "flush", "dev", "eth0");
      addAddress(pair.right.host, "eth0", `${NEW_SIX}/64`);
      answer(NEW_SIX);
      await pair.right.start();
      const beside = new Ping(pair.left.host, right.inner4, 0.2);
      await pair.left.waitForStatus(
        "the new address",
        ({ peers }) => peers[0]?.endpoint === hostPort(NEW_SIX),
        UNANSWERED_MS + 10_000,
      );
      await beside.stop();
      expect((await ping(pair.left.host, right.inner4, 5)).received).toBe(5);
    });
  });
});

/** A pair whose left side knows the right one by a name, and a name server on the left that says what it is told. */
async function startNamed(
  lab: Lab,
): Promise<{ readonly pair: Pair; readonly answer: (text: string) => void }> {
  const file = join(lab.dir, "answer");
  const resolv = join(lab.dir, "resolv.conf");
  const answer = (text: string) => writeFileSync(file, text);
  writeFileSync(resolv, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
  answer(right.outer4);
  const bind = `mount --bind ${resolv} /etc/resolv.conf; exec "$@"`;
  const wrapper = ["unshare", "--mount", "sh", "-c", bind, "sh"];
  const pair = await makePair(lab, { left: { endpoint: `${NAME}:1194`, wrapper } });
  const agent = join(ROOT, "scripts/netns/dns-agent.ts");
  const server = pair.left.host.start([process.execPath, "--import", "tsx", agent, file]);
  await server.waitForOutput(/listening/);
  await startDaemons(pair);
  return { pair, answer };
}
