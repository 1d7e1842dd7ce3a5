/**
 * What is allowed but rarely meant.
 */
import { describe, expect, it } from "vitest";
import { configWarnings } from "../../src/config/warnings.ts";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { configOf, configText } from "./config-files.ts";

describe("a warning", () => {
  const peer = `key = "${KEY_A}"\nendpoint = "a.example:1194"`;
  const cases: readonly (readonly [device: string, expected: readonly string[]])[] = [
    ["", []],
    ["mtu = 1420", []],
    [
      "mtu = 1421",
      [
        "interface.mtu: 1421 makes outer IPv6 packets of 1501 bytes, which paths of 1500 bytes carry in fragments; 1420 avoids that",
      ],
    ],
    ['mtu = 1440\nlisten = "0.0.0.0:1194"', []],
    [
      'mtu = 1441\nlisten = "0.0.0.0:1194"',
      [
        "interface.mtu: 1441 makes outer IPv4 packets of 1501 bytes, which paths of 1500 bytes carry in fragments; 1440 avoids that",
      ],
    ],
    ['listen = "[::]:0"', []],
  ];

  it.each(cases)("for %j", (device, expected) => {
    expect(configWarnings(configOf(configText({ device, peer })))).toEqual(expected);
  });

  it("says that the device gets no address", () => {
    expect(configWarnings(configOf(`[[peer]]\nkey = "${KEY_A}"\n`))).toEqual([
      "interface.address: none is given, so the device gets no address",
    ]);
  });

  it("says that nobody could start the session", () => {
    const text = configText({ device: 'listen = "[::]:0"' });
    expect(configWarnings(configOf(text))).toEqual([
      "peer[b].endpoint: none is given, and interface.listen has no fixed port that the peer could send to",
    ]);
  });
});

describe("this host's own address in a peer's prefixes", () => {
  const own = 'address = ["10.9.0.1/24", "fd00::1/64"]';
  const text = (prefixes: string) =>
    configText({ peer: `key = "${KEY_A}"\nallowed_ips = [${prefixes}]` }).replace(
      'address = ["10.0.0.1/24"]',
      own,
    );

  it.each(["10.9.0.1/32", "fd00::1/128"])("is named where it stands alone as %s", (prefix) => {
    expect(configWarnings(configOf(text(`"10.9.0.2/32", "${prefix}"`)))).toEqual([
      `peer[b].allowed_ips: ${prefix} is this host's own interface.address; the peer's was probably meant`,
    ]);
  });

  it.each(["10.9.0.0/24", "10.9.0.2/32", "10.9.0.0/31", "fd00::/127"])(
    "is no concern with %s",
    (prefix) => {
      expect(configWarnings(configOf(text(`"${prefix}"`)))).toEqual([]);
    },
  );
});

describe("nested prefixes", () => {
  it("of two peers are named with the nearest around them", () => {
    const text = peers(
      ["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"],
      ["10.1.2.0/24", "fd00:1::/32", "11.0.0.0/8"],
    );
    expect(configWarnings(configOf(text))).toEqual([
      "peer[c].allowed_ips: 10.1.2.0/24 lies inside 10.1.0.0/16 of peer b; the longer prefix wins",
      "peer[c].allowed_ips: fd00:1::/32 lies inside fd00::/8 of peer b; the longer prefix wins",
    ]);
  });

  it("of one peer are nobody's concern", () => {
    const text = peers(["10.0.0.0/8", "10.1.0.0/16"], ["11.0.0.0/8"]);
    expect(configWarnings(configOf(text))).toEqual([]);
  });

  it("side by side are no warning", () => {
    const text = peers(["10.0.0.0/16", "10.2.0.0/16"], ["10.1.0.0/16", "10.3.0.0/16"]);
    expect(configWarnings(configOf(text))).toEqual([]);
  });
});

describe("a default route", () => {
  it("covers the prefixes and the endpoints of all other peers, which is no concern", () => {
    const text = peers(["0.0.0.0/0", "::/0"], ["10.1.0.0/16"], 'endpoint = "192.0.2.9:1194"');
    expect(configWarnings(configOf(text))).toEqual([]);
  });

  it.each([
    ["0.0.0.0/0", 'IPv4 only, so IPv6 goes outside the tunnel; add "::/0" to take it along'],
    ["::/0", 'IPv6 only, so IPv4 goes outside the tunnel; add "0.0.0.0/0" to take it along'],
  ])("of %s alone leaves the other family outside", (prefix, rest) => {
    expect(configWarnings(configOf(peers([prefix], ["10.1.0.0/16"])))).toEqual([
      `peer[b].allowed_ips: has the default route of ${rest}`,
    ]);
  });
});

describe("an endpoint inside another peer's prefixes", () => {
  it("is reached through that peer", () => {
    const text = peers(["192.0.2.0/24"], ["10.1.0.0/16"], 'endpoint = "192.0.2.9:1194"');
    expect(configWarnings(configOf(text))).toEqual([
      "peer[c].endpoint: it lies inside allowed_ips of peer b and will be reached through that peer",
    ]);
  });

  it("is no concern where no routes are installed", () => {
    const text = peers(["192.0.2.0/24"], ["10.1.0.0/16"], 'endpoint = "192.0.2.9:1194"');
    expect(
      configWarnings(configOf(text.replace("[interface]", "[interface]\nroutes = false"))),
    ).toEqual([]);
  });
});

function peers(first: readonly string[], second: readonly string[], rest = ""): string {
  return `[interface]
address = ["10.255.0.1/24"]
[[peer]]
name = "b"
key = "${KEY_A}"
allowed_ips = ${JSON.stringify(first)}
[[peer]]
name = "c"
key = "${KEY_B}"
allowed_ips = ${JSON.stringify(second)}
${rest}
`;
}
