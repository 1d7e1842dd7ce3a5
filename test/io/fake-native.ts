/**
 * A `Native` whose functions all throw but those that a test gives: policy is tested without a kernel.
 */
import { constants } from "node:os";
import type { Native } from "../../src/io/native.ts";

const ERRNO: Readonly<Record<string, number>> = { ...constants.errno, EBADFD: 77, EHOSTDOWN: 112 };

/** A `Native` made of `functions`; `errnoName` works. */
export function fakeNative(functions: Partial<Native>): Native {
  const known: Partial<Native> = { errnoName, ...functions };
  return new Proxy({} as Native, {
    get: (_, name) => {
      const found = known[name as keyof Native];
      if (found === undefined) throw new Error(`unexpected call of ${String(name)}`);
      return found;
    },
  });
}

/** -errno of a name. */
export function errno(name: string): number {
  const value = ERRNO[name];
  if (value === undefined) throw new Error(`no errno ${name}`);
  return -value;
}

function errnoName(value: number): string {
  const found = Object.entries(ERRNO).find(([, number]) => number === Math.abs(value));
  return found?.[0] ?? `errno ${value}`;
}
