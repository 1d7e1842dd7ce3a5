/**
 * The dissector of contrib/wireshark on what tcpdump saw of a real tunnel: from the first INIT, which is challenged, to the end.
 */
import { expect, it } from "vitest";
import { startCapture } from "../../scripts/netns/capture.ts";
import { withLab } from "../../scripts/netns/lab.ts";
import { ADDRESSES, makePair, startDaemons } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { dissectFile } from "../contrib/dissector.ts";

const FIELDS = [
  ...["iptun.type", "iptun.session", "iptun.challenge_in", "iptun.response_time"],
  ...["iptun.direction", "iptun.inner_length"],
] as const;

it("names every message of a real tunnel, none malformed, and leads all DATA to a handshake", async () => {
  const rows = await withLab(async (lab) => {
    const pair = await makePair(lab);
    const capture = await startCapture(pair.left.host, "eth0", { filter: "udp" });
    await startDaemons(pair);
    await ping(pair.left.host, ADDRESSES.right.inner6, 5);
    await pair.left.stop();
    await capture.stop();
    return dissectFile(capture.file, FIELDS);
  });

  const ofType = (type: string) => rows.filter((row) => row["iptun.type"] === type);
  const data = ofType("4");
  expect(new Set(rows.map(({ protocol }) => protocol))).toEqual(new Set(["iptun"]));
  expect(rows.filter(({ faults, luaError }) => faults + luaError !== "")).toEqual([]);
  expect(ofType("1").some((init) => init["iptun.challenge_in"] !== "")).toBe(true);
  expect(ofType("3").length).toBeGreaterThan(0);
  for (const resp of ofType("2")) expect(Number(resp["iptun.response_time"])).toBeGreaterThan(0);
  expect(data.map((row) => row["iptun.session"])).not.toContain("");
  expect(new Set(data.map((row) => row["iptun.direction"]))).toEqual(new Set(["1", "2"]));
  // The echo requests and replies: 40 bytes of IPv6, 8 of ICMPv6, 56 of ping.
  expect(data.filter((row) => row["iptun.inner_length"] === "104").length).toBeGreaterThan(5);
});
