/**
 * The switch of the reverse path filter: put on where it is off, put back unless somebody else has.
 */
import { describe, expect, it } from "vitest";
import {
  isValidMarkOff,
  KERNEL_SYSCTL,
  restoreValidMark,
  setValidMark,
} from "../../../src/daemon/host/sysctl.ts";

const NAME = "net.ipv4.conf.all.src_valid_mark";

describe("the switch", () => {
  it("is put on and back", () => {
    const world = setUp("0");
    expect(isValidMarkOff(world.sysctl)).toBe(true);
    expect(setValidMark(world.sysctl)).toBeUndefined();
    expect(isValidMarkOff(world.sysctl)).toBe(false);
    expect(restoreValidMark("0", world.sysctl)).toBeUndefined();
    expect(world.writes).toEqual([`${NAME}=1`, `${NAME}=0`]);
  });

  it("that was put back already is left alone", () => {
    const world = setUp("0");
    restoreValidMark("0", world.sysctl);
    expect(world.writes).toEqual([]);
  });

  it("that is not there needs nothing", () => {
    expect(isValidMarkOff(setUp(undefined).sysctl)).toBe(false);
  });

  it("that cannot be written gives the reason", () => {
    expect(setValidMark(setUp(undefined).sysctl)).toBe(`cannot set ${NAME}: no such file`);
  });

  it("of the kernel is a digit", () => {
    expect(KERNEL_SYSCTL.read(NAME)).toMatch(/^[01]$/);
  });
});

/** undefined: there is none. */
function setUp(value: string | undefined) {
  const world = { value };
  const writes: string[] = [];
  const must = () => {
    if (world.value === undefined) throw new Error("no such file");
    return world.value;
  };
  const sysctl = {
    read: must,
    write: (name: string, text: string) => {
      must();
      writes.push(`${name}=${text}`);
      world.value = text;
    },
  };
  return { sysctl, writes };
}
