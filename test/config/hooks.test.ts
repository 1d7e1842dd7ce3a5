/**
 * The table of hooks: programs by absolute path, thresholds, time.
 */
import { expect, it } from "vitest";
import { ConfigFiles, configText } from "./config-files.ts";

it("takes commands as lists, and has none by default", () => {
  const text = `${configText()}[hooks]\nup = ["/etc/up", "a b"]\nquality_loss = 0.1\nhook_timeout_seconds = 3\n`;
  const { hooks } = new ConfigFiles().load(text);
  expect(hooks.commands.up).toEqual(["/etc/up", "a b"]);
  expect(hooks.commands.down).toEqual([]);
  expect(hooks).toMatchObject({ qualityLoss: 0.1, qualityRttMs: 200, timeoutMs: 3_000 });
});

it.each([
  ['up = ["up.sh"]', /hooks.up: "up.sh" is no absolute path; .*there is no shell/],
  ['up = [""]', /hooks.up: "" is no absolute path/],
  ['up = "/etc/up"', /hooks.up: is "\/etc\/up"; expected a program and its arguments/],
  ['up = ["/etc/up", 5]', /hooks.up: is 5; expected a program/],
  ["quality_loss = 0", /hooks.quality_loss: is 0; expected a share from 0.001 to 1/],
  ["quality_loss = 1.5", /hooks.quality_loss: is 1.5; expected a share/],
  ["quality_rtt_ms = 0", /hooks.quality_rtt_ms: is 0; expected a whole number from 1 to 60000/],
  ["hook_timeout_seconds = 601", /hooks.hook_timeout_seconds: is 601; expected a whole number/],
  ['pre_up = ["/x"]', /unknown key "pre_up"/],
])("refuses %s", (line, message) => {
  const problems = new ConfigFiles().problems(`${configText()}[hooks]\n${line}\n`);
  expect(problems.join("\n")).toMatch(message);
});
