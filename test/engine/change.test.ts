/** A configuration that is read anew, as the engine takes it over: in one message, all of it or nothing. */
import { describe, expect, it } from "vitest";
import { LARGEST_INNER_MTU } from "../../src/core/constants.ts";
import { DEFAULT_LIMITS, type PeerOptions } from "../../src/core/options.ts";
import { READY } from "../../src/engine/engine.ts";
import { bufferMtu, type Change, type Command } from "../../src/engine/messages.ts";
import { rig } from "./fakes.ts";

function peer(name: string, keys: PeerOptions["keys"] = []): PeerOptions {
  return {
    name,
    keys,
    endpoints: [],
    hasConfiguredEndpoint: false,
    allowedIps: [],
    keepaliveSeconds: 0,
    roaming: "validated",
  };
}

function reconfigure(
  changes: readonly Change[],
  more: Partial<Extract<Command, { kind: "reconfigure" }>> = {},
): Command {
  return { kind: "reconfigure", id: 7, mark: 3, changes, keys: "wipe", ...more };
}

describe("a configuration that is read anew", () => {
  it("is applied in order, then a turn is taken, and it is answered", () => {
    const { engine, tunnel, journal, reports } = rig();
    tunnel.transmits.push(1);
    const pathMtu = { linkMtu: 1_500, raiseMs: 5 };

    engine.handleCommand(
      reconfigure([
        { kind: "remove-peer", name: "a" },
        { kind: "update-peer", peer: peer("b") },
        { kind: "add-peer", peer: peer("c") },
        { kind: "set-limits", limits: DEFAULT_LIMITS },
        { kind: "set-inner-addresses", addresses: [] },
        { kind: "set-mtu", mtu: 1_300, pathMtu },
        { kind: "set-copy-dscp", isCopied: true },
      ]),
    );

    expect(tunnel.applied).toEqual([
      { removePeer: "a" },
      { updatePeer: peer("b") },
      { addPeer: peer("c") },
      { setLimits: DEFAULT_LIMITS },
      { setInnerAddresses: [] },
      { setMtu: 1_300, pathMtu },
      { setCopyDscp: true },
      "wipeKeys",
    ]);
    expect(journal.slice(0, 2)).toEqual(["udp.setMark(3)", "wall=7"]);
    expect(journal).toContain("udp.send(1)");
    expect(reports).toEqual([{ kind: "reconfigured", id: 7, fault: undefined }]);
  });

  it("keeps the keys that peers lose where that is asked for", () => {
    const { engine, tunnel } = rig();

    engine.handleCommand(reconfigure([{ kind: "remove-peer", name: "a" }], { keys: "keep" }));

    expect(tunnel.applied).toEqual(["keepKeys", { removePeer: "a" }]);
  });

  it("changes nothing where the kernel refuses the mark, and says why", () => {
    const { engine, tunnel, udp, reports } = rig();
    udp.markFault = "the kernel refuses mark 3: EPERM";

    engine.handleCommand(reconfigure([{ kind: "remove-peer", name: "a" }]));

    expect(tunnel.applied).toEqual([]);
    expect(reports).toEqual([{ kind: "reconfigured", id: 7, fault: udp.markFault }]);
  });

  it.each([
    ["taken", undefined],
    ["refused", "the kernel refuses mark 3: EPERM"],
  ])("leaves no key behind, where it is %s", (_, fault) => {
    const { engine, udp } = rig();
    udp.markFault = fault;
    const keys = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)] as const;

    engine.handleCommand(
      reconfigure([
        { kind: "update-peer", peer: peer("b", [keys[0], { fingerprint: "00112233" }]) },
        { kind: "add-peer", peer: peer("c", [keys[1]]) },
      ]),
    );

    expect(keys.map((key) => key.every((byte) => byte === 0))).toEqual([true, true]);
  });

  it("records packet lines from then on, or no more", () => {
    const { engine, tun, reports } = rig();
    const linesOf = () => {
      tun.reads.push(1);
      engine.turn(READY.TUN);
      reports.length = 0;
      engine.handleCommand({ kind: "trace", id: 1 });
      const [report] = reports;
      return report?.kind === "trace" ? report.lines.length : undefined;
    };
    expect(linesOf()).toBe(0);
    engine.handleCommand(reconfigure([{ kind: "set-tracing", isTracing: true }]));
    expect(linesOf()).toBeGreaterThan(0);
    engine.handleCommand(reconfigure([{ kind: "set-tracing", isTracing: false }]));
    expect(linesOf()).toBe(0);
  });
});

it("keys are named, and left behind nowhere", () => {
  const { engine, reports } = rig();
  const [one, two, three] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte));
  if (!(one && two && three)) throw new Error("no keys");
  const peers = [
    { kind: "pair", keys: [one, two] },
    { kind: "hub", keys: [three] },
  ] as const;

  engine.handleCommand({ kind: "name-keys", id: 4, peers });

  expect(reports).toEqual([{ kind: "key-names", id: 4, names: [["pair-1", "pair-2"], ["hub-3"]] }]);
  expect([one, two, three].flatMap((key) => [...key]).every((byte) => byte === 0)).toBe(true);
});

it("buffers hold every MTU that a path may give, whatever MTU is set at the start", () => {
  expect([bufferMtu(1_280), bufferMtu(60_000)]).toEqual([LARGEST_INNER_MTU, 60_000]);
});
