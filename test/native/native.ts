/**
 * The addon under test: the one that is built, or the build that IPTUN_NATIVE names (scripts/test-sanitized).
 *
 * The variable is read here and only here: the program itself loads nothing that its environment names.
 */
import { addonPath, loadNative, type Native } from "../../src/io/native.ts";

const { IPTUN_NATIVE } = process.env;

/** Where the addon under test lies. */
export const ADDON_PATH = IPTUN_NATIVE ?? addonPath();

/** Loads the addon under test. */
export function testNative(): Native {
  return loadNative(ADDON_PATH);
}
