/**
 * The command line of the benchmark.
 */
import { describe, expect, it } from "vitest";
import { parseArguments, UsageError } from "../../scripts/benchmark/arguments.ts";

describe("the benchmark's command line", () => {
  it("without a word asks for everything", () => {
    expect(parseArguments([])).toEqual({
      isHelp: false,
      isQuick: false,
      subjects: ["veth", "iptun", "iptun-plain", "wireguard-go", "openvpn", "fastd"],
      links: ["as-is", "nic", "off"],
      rounds: undefined,
      seconds: undefined,
      out: "build/bench",
    });
  });

  it("takes every option", () => {
    const words = "--quick --only iptun --link nic --rounds 7 --seconds 4 --out here".split(" ");

    expect(parseArguments(words)).toEqual({
      isHelp: false,
      isQuick: true,
      subjects: ["iptun"],
      links: ["nic"],
      rounds: 7,
      seconds: 4,
      out: "here",
    });
  });

  it("keeps the tables' order, whatever order names are given in", () => {
    const { subjects, links } = parseArguments([
      "--only=wireguard-go, iptun,iptun",
      "--link=off,as-is",
    ]);

    expect(subjects).toEqual(["iptun", "wireguard-go"]);
    expect(links).toEqual(["as-is", "off"]);
  });

  it.each([["--help"], ["-h"]])("takes %s", (word) => {
    expect(parseArguments([word]).isHelp).toBe(true);
  });

  it.each([
    [["--only", "iptun,tinc"], '--only: "tinc" is none of veth, iptun,'],
    [["--only", ""], '--only: "" is none of'],
    [["--link", "wet"], '--link: "wet" is none of as-is, nic, off'],
    [["--rounds", "0"], '--rounds: a whole number from 1 to 100, not "0"'],
    [["--rounds", "1.5"], 'not "1.5"'],
    [["--rounds", "101"], 'not "101"'],
    [["--seconds", "five"], '--seconds: a whole number from 1 to 60, not "five"'],
    [["--seconds", "61"], 'not "61"'],
    [["--loud"], "--loud"],
    [["more"], "more"],
  ])("refuses %j", (words, message) => {
    const parse = () => parseArguments(words);

    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });
});
