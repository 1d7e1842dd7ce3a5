/**
 * The addon's TUN functions against a real kernel, in a namespace of their own.
 *
 * What each fact was made with stands in tun-scenarios.ts; what is written is in tun-write.test.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "./isolated.ts";
import { pattern } from "./namespace.ts";

let facts: Facts<typeof import("./tun-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./tun-scenarios.ts", import.meta.url));
}, 60_000);

describe("tunOpen", () => {
  it("creates the device that was asked for, or lets the kernel name it", () => {
    expect(facts.names).toMatchObject({ isOpen: true, given: "names0", longest: true });
    expect(facts.names.automatic).toMatch(/^tun\d+$/);
  });

  it("refuses a name in use, too long, with a NUL or slash inside, or of another kind of device", () => {
    expect(facts.names).toMatchObject({
      busy: "EBUSY",
      tooLong: "ENAMETOOLONG",
      nulInside: "EINVAL",
      slash: "EINVAL",
      notTun: "EINVAL",
    });
  });

  it("wants 16 bytes for the name", () => {
    expect(facts.names.shortOut).toBe("EINVAL");
  });

  it("leaves no device behind once closed", () => {
    expect(facts.closed.first).toBe(0);
    expect(facts.closed.devices).toBe(false);
  });
});

describe("tunRead", () => {
  it("returns EAGAIN when nothing waits, before and after", () => {
    expect(facts.reads).toMatchObject({ empty: "EAGAIN", drained: "EAGAIN" });
  });

  it("fills rows in order and leaves the rest for the next call", () => {
    expect(facts.reads).toMatchObject({ first: 2, offsets: [0, 64], lengths: [38, 48] });
    expect(facts.reads.bodies).toEqual([hex(pattern(10, 1)), hex(pattern(20, 2))]);
    expect(facts.reads).toMatchObject({ second: 1, last: 58 });
  });

  it("cuts a packet longer than its room and says EMSGSIZE, at the arena's end and before it", () => {
    const three = {
      count: 3,
      lengths: [64, 64, 64],
      status: ["0", "EMSGSIZE", "EMSGSIZE"],
      isKept: [0, 0, 0],
    };
    expect(facts.cut).toMatchObject({ inTightArena: three, inWideArena: three });
  });

  it("writes nothing behind a packet but the byte that shows it cut, and none outside the arena", () => {
    expect(facts.cut).toMatchObject({ isUntouched: true, isUntouchedButOne: true });
  });

  it("packs packets at multiples of 64 and stops when less than the room for one is left", () => {
    expect(facts.packing).toEqual({
      count: 6,
      offsets: [0, 64, 128, 256, 384, 576],
      lengths: [29, 64, 65, 128, 129, 64],
      isWhole: [true, true, true, true, true, true],
      rest: 1,
    });
  });

  it.each([
    "roomPastArena",
    "rowsPastArray",
    "noRoom",
    "negativeRoom",
    "hugeRoom",
    "emptyArena",
    "negativeCapacity",
    "hugeCapacity",
  ] as const)("refuses %s with EINVAL", (name) => {
    expect(facts.badArguments[name]).toBe("EINVAL");
  });

  it("reads nothing into no rows", () => {
    expect(facts.badArguments.noCapacity).toBe(0);
  });

  it("throws a TypeError that names function and argument for a wrong type", () => {
    expect(facts.badArguments.types).toEqual([
      "tunRead: argument 2 must be a Uint8Array",
      "tunRead: argument 4 must be an Int32Array",
      "tunRead: argument 1 must be an integer",
      "iptun.node: too few arguments",
      "tunOpen: argument 1 must be a string",
    ]);
  });

  it("returns EBADF on a closed descriptor", () => {
    expect(facts.closed).toMatchObject({ second: "EBADF", read: "EBADF", write: ["EBADF"] });
  });
});

describe("tunWrite", () => {
  it("refuses more rows than the array holds, and takes none at all", () => {
    expect(facts.badArguments).toMatchObject({
      writeRows: "EINVAL",
      writeNegative: "EINVAL",
      writeNothing: 0,
    });
  });
});

describe("the vnet header", () => {
  it("lets the kernel finish a checksum that holds only the pseudo-header sum", () => {
    expect(facts.partialChecksums).toMatchObject({
      written: 1,
      arrived: 1,
      length: 21,
      from: "10.6.0.2",
    });
  });

  it("says where the checksum is unfinished in what is read with that offload", () => {
    expect(facts.partialChecksums).toMatchObject({ readFlags: 1, readStart: 20, readOffset: 6 });
  });

  it("brings finished checksums where no offload is on", () => {
    expect(facts.noOffloads).toEqual({ flags: 0, residue: 0 });
  });
});

describe("a link that changes", () => {
  it("fails writes with EIO while the link is down, reads EAGAIN, and works once it is up", () => {
    expect(facts.linkDown).toEqual({
      beforeUp: ["EIO"],
      whileUp: ["0"],
      reply: 1,
      whileDown: ["EIO", "EIO"],
      readDown: "EAGAIN",
      again: ["0"],
    });
  });

  it("fails with EBADFD for good once the device is deleted", () => {
    expect(facts.deleted).toEqual({ read: ["EBADFD", "EBADFD"], write: ["EBADFD", "EBADFD"] });
  });
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
