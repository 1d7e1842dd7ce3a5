/**
 * The addon's TUN functions against a real kernel, in a namespace of their own.
 *
 * What each fact was made with stands in tun-scenarios.ts.
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

  it("fills rows in order behind the headroom and leaves the rest for the next call", () => {
    expect(facts.reads).toMatchObject({ first: 2, offsets: [16, 272], lengths: [38, 48] });
    expect(facts.reads.bodies).toEqual([hex(pattern(10, 1)), hex(pattern(20, 2))]);
    expect(facts.reads).toMatchObject({ second: 1, last: 58 });
  });

  it("cuts a packet longer than its slot, says EMSGSIZE and writes nothing behind the slot", () => {
    expect(facts.cut).toEqual({
      count: 2,
      lengths: [64, 64],
      status: ["errno 0", "EMSGSIZE"],
      behind: true,
    });
  });

  it.each([
    "slotsPastArena",
    "rowsPastArray",
    "noStride",
    "negativeStride",
    "headroomIsStride",
    "negativeHeadroom",
    "negativeCapacity",
    "hugeCapacity",
  ] as const)("refuses %s with EINVAL", (name) => {
    expect(facts.badArguments[name]).toBe("EINVAL");
  });

  it("throws a TypeError that names function and argument for a wrong type", () => {
    expect(facts.badArguments.types).toEqual([
      "tunRead: argument 2 must be a Uint8Array",
      "tunRead: argument 5 must be an Int32Array",
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
  it("writes whole and gathered packets that the kernel answers", () => {
    expect(facts.writes).toEqual({
      wholeWritten: 1,
      gatheredWritten: 2,
      status: [0, 0, 0, 0],
      replies: 3,
      types: [0, 0, 0],
      isEcho: true,
    });
  });

  it("fails rows outside the arena or with impossible fields alone, and writes the others", () => {
    const bad = Array.from({ length: 9 }, () => "EINVAL");
    expect(facts.badRows.status).toEqual(["0", ...bad, "0", "EINVAL"]);
    expect(facts.badRows.written).toBe(2);
  });

  it("refuses a packet of more than 128 rows as a whole", () => {
    expect(facts.badRows).toMatchObject({ tooMany: 0, tooManyStatus: ["EINVAL"] });
  });

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
