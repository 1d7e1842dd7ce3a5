/**
 * Configurations on disk for tests: a directory that vanishes after the test, keys that are made here.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Identity } from "../../src/config/private-file.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { KEY_A } from "../helpers/config-samples.ts";

/** A configuration that is right but for what a test puts into it. */
export function configText(
  parts: { readonly device?: string; readonly peer?: string } = {},
): string {
  const { device = "", peer = `key = "${KEY_A}"` } = parts;
  return `[interface]\naddress = ["10.0.0.1/24"]\n${device}\n[[peer]]\nname = "b"\n${peer}\n`;
}

/** A directory of configuration files. */
export class ConfigFiles {
  readonly directory = mkdtempSync(join(tmpdir(), "iptun-config-"));

  constructor() {
    onTestFinished(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Creates a file, by default one that only its owner can read. */
  write(name: string, content: string | Uint8Array, mode = 0o600): string {
    const path = this.path(name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  load(text: string | Uint8Array, mode = 0o600, identity?: Identity): Config {
    return loadConfig(this.write("c.toml", text, mode), identity);
  }

  /** The lines of the error, each without the directory; none where the configuration is right. */
  problems(text: string | Uint8Array, mode = 0o600, identity?: Identity): readonly string[] {
    try {
      this.load(text, mode, identity);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.message.split("\n").map((line) => line.replaceAll(`${this.directory}/`, ""));
    }
  }
}

/** The problems of one configuration, in a directory of its own. */
export function problemsOf(text: string | Uint8Array): readonly string[] {
  return new ConfigFiles().problems(text);
}

/** The configuration that a text stands for. */
export function configOf(text: string): Config {
  return new ConfigFiles().load(text);
}
