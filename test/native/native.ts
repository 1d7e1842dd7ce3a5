/**
 * The addon under test: dist/iptun.node, or the build that IPTUN_NATIVE names (scripts/test-sanitized).
 *
 * The variable is read here and only here: the program itself loads nothing that its environment names.
 */
import { fileURLToPath } from "node:url";
import { loadNative, type Native } from "../../src/io/native.ts";

const { IPTUN_NATIVE } = process.env;

/** Where the addon under test lies. */
export const ADDON_PATH =
  IPTUN_NATIVE ?? fileURLToPath(new URL("../../dist/iptun.node", import.meta.url));

/** Loads the addon under test. */
export function testNative(): Native {
  return loadNative(ADDON_PATH);
}
