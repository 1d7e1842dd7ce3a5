/** The version of the installation. */
import { expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { readVersion } from "../../src/daemon/version.ts";

it("the version is that of package.json", () => {
  expect(readVersion()).toBe(manifest.version);
});
