/**
 * `iptun init` at a terminal where no endpoint is given: its questions, their defaults, and answers that are wrong.
 */
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { ConfigFiles } from "../config/config-files.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { FLAGS, init, loaded } from "./init-fixtures.ts";

/** Answers to everything: interface, names, endpoints, networks, inner addresses. */
const ANSWERS = [
  ...["wan0", "hub", "branch", "hub.example.org:1194", ""],
  ...["10.1.0.0/16", "10.2.0.0/16", "10.77.0.1/24", "10.77.0.9/24"],
];

it("asks for everything and takes the answers", async () => {
  const { code, terminal, files } = await answered(ANSWERS);
  expect(code).toBe(0);
  expect(terminal.questions.map((one) => one.replace(/ \[.*/, ""))).toEqual([
    "Interface of the tunnel on both hosts",
    "Name of this host",
    "Name of the other host",
    "Where branch reaches hub, host:port",
    "Where hub reaches branch, host:port",
    "Networks behind hub, such as 192.168.1.0/24",
    "Networks behind branch",
    "Inner addresses of hub",
    "Inner addresses of branch",
  ]);
  expect(loaded(files, "iptun0.toml")).toMatchObject({
    name: "wan0",
    addresses: ["10.77.0.1/24"],
    peer: "branch",
    allowedIps: ["10.77.0.9/32", "10.2.0.0/16"],
  });
  expect(loaded(files, "branch.toml").endpoints).toEqual(["hub.example.org:1194"]);
});

it("shows in brackets what Enter takes", async () => {
  const enter = ["", "", "", "", "[2001:db8::9]:1194", "", "", "", ""];
  const { code, terminal, files } = await answered(enter);
  expect(code).toBe(0);
  const assumed = terminal.questions.map((one) => /\[(.*)\]: $/.exec(one)?.[1]);
  const own = loaded(files, "iptun0.toml");
  const other = loaded(files, "peer.toml");
  expect(assumed).toEqual([
    ...["iptun0", other.peer, "peer", "none", "none", "none", "none"],
    ...[own.addresses.join(","), other.addresses.join(",")],
  ]);
  expect(own).toMatchObject({ endpoints: ["[2001:db8::9]:1194"], port: 0, keepalive: 25 });
});

it("asks only for what no option gives", async () => {
  const given = ["--interface", "wan0", "--name", "hub", "--address", "10.77.0.1/24"];
  const { code, terminal } = await answered(["branch", "h:1", "", "", "", ""], given);
  expect(code).toBe(0);
  expect(terminal.questions).toHaveLength(6);
});

it("asks nothing where an endpoint is given", async () => {
  const { code, terminal } = await answered([], FLAGS);
  expect(code).toBe(0);
  expect(terminal.questions).toEqual([]);
});

it("says what is wrong with an answer, and asks again", async () => {
  const answers = [...ANSWERS];
  answers.splice(3, 0, "hub.example.org", "203.0.113.5:1194");
  answers.splice(5, 1);
  answers.splice(6, 0, "203.0.113.0/24");
  const { code, terminal } = await answered(answers);
  expect(code).toBe(0);
  expect(terminal.questions).toHaveLength(11);
  expect(terminal.stderr).toContain('  "hub.example.org" has no port; expected "host:port"');
  expect(terminal.stderr).toContain("  --endpoint (203.0.113.5) lies inside 203.0.113.0/24");
});

it("insists on one endpoint", async () => {
  const { code, terminal } = await answered(["", "", "", "", "", "h:1", "", "", "", ""]);
  expect(code).toBe(0);
  expect(terminal.stderr).toContain("  one of the two hosts must be reachable");
});

it("refuses wrong options before it asks", async () => {
  const { code, terminal } = await answered(ANSWERS, ["--networks", "x"]);
  expect(code).toBe(78);
  expect(terminal.questions).toEqual([]);
});

it("writes nothing where the answers end", async () => {
  const { code, terminal, files } = await answered(ANSWERS.slice(0, 4));
  expect(code).toBe(1);
  expect(terminal.stderr).toMatch(
    /\niptun: the questions were not answered; nothing was written\n$/,
  );
  expect(readdirSync(files.directory)).toEqual([]);
});

async function answered(answers: readonly string[], args: readonly string[] = []) {
  const terminal = new FakeTerminal();
  terminal.answers = [...answers];
  return await init(args, new ConfigFiles(), terminal);
}
