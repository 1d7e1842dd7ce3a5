/**
 * A daemon's control socket in a runtime directory of the test's own.
 */
import { mkdirSync } from "node:fs";
import { onTestFinished, vi } from "vitest";
import { closeServer } from "../../src/daemon/control/bounded-http.ts";
import type { Resource } from "../../src/daemon/control/control-answer.ts";
import { openControlSocket } from "../../src/daemon/control/control-socket.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { statusDocument } from "./status-fixture.ts";

/** Serves status and `resources` as the only interface on this host. */
export async function fakeDaemon(...resources: readonly Resource[]): Promise<void> {
  const directory = new ConfigFiles().path("run");
  mkdirSync(directory, { mode: 0o700 });
  vi.stubEnv("RUNTIME_DIRECTORY", directory);
  const document = statusDocument([]);
  const server = await openControlSocket(`${directory}/${document.interface.name}.sock`, [
    { method: "GET", path: "/v1/status", answer: async () => document },
    ...resources,
  ]);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await closeServer(server);
  });
}
