/**
 * An option whose value is a number within bounds.
 */
import { shown } from "../config/shown.ts";
import { DaemonError } from "../daemon/failure.ts";
import { EXIT_CODE } from "./exit-code.ts";

/** What a value may be. */
export interface NumberRange {
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
}

/** The number that option `name` was given as; undefined: it was not given. A usage error says what it may be. */
export function numberOption(
  name: string,
  text: string | undefined,
  range: NumberRange,
): number | undefined {
  if (text === undefined) return undefined;
  const { least, most, isWhole } = range;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most && (!isWhole || Number.isInteger(value))) return value;
  const kind = isWhole ? "a whole number" : "a number";
  throw new DaemonError(
    `--${name} is ${shown(text)}; expected ${kind} from ${least} to ${most}`,
    EXIT_CODE.USAGE,
  );
}
