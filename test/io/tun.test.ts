/** Which errors of a TUN device pass, which mean that the link is down, and which that it is gone. */
import { describe, expect, it } from "vitest";
import { packetBatch } from "../../src/core/batch.ts";
import { PACKET, PACKET_FIELDS } from "../../src/core/rows.ts";
import { IoError } from "../../src/io/io-error.ts";
import type { Native } from "../../src/io/native.ts";
import { openTun, type TunDevice } from "../../src/io/tun.ts";
import { errno, fakeNative } from "./fake-native.ts";

/** TUN_F_* of linux/if_tun.h. */
const CSUM = 0x01;
/** TSO4, TSO6, TSO_ECN. */
const TSO = 0x02 | 0x04 | 0x08;
/** USO4, USO6. */
const USO = 0x20 | 0x40;

describe("openTun", () => {
  it("has the descriptor and the name that the kernel gave", () => {
    const tun = openWith({ tunOpen: opens("tun7") });
    expect(tun).toMatchObject({ fd: 42, name: "tun7", state: "up" });
  });

  it("asks for no offload unless told", () => {
    const { tried, offloads } = openWishing({ tso: false, uso: false });
    expect(tried).toEqual([0]);
    expect(offloads).toEqual([]);
  });

  it("asks for all that is wished at once", () => {
    const { tried, offloads } = openWishing({ tso: true, uso: true });
    expect(tried).toEqual([CSUM | TSO | USO]);
    expect(offloads).toEqual(["tso", "uso"]);
  });

  it("does without USO on a kernel that does not know it", () => {
    const { tried, offloads } = openWishing({ tso: true, uso: true }, CSUM | TSO);
    expect(tried).toEqual([CSUM | TSO | USO, CSUM | TSO]);
    expect(offloads).toEqual(["tso"]);
  });

  it("does without any on a kernel that knows none", () => {
    expect(openWishing({ tso: true, uso: true }, 0)).toMatchObject({ offloads: [] });
    expect(openWishing({ tso: false, uso: true }, 0)).toMatchObject({ offloads: [] });
  });

  it("takes a name of 15 bytes", () => {
    expect(openWith({ tunOpen: opens("fifteen-bytes-x") }).name).toBe("fifteen-bytes-x");
  });

  it.each(["EPERM", "ENOENT", "EBUSY", "ENAMETOOLONG"])("throws an IoError for %s", (code) => {
    const native = fakeNative({ tunOpen: () => errno(code) });
    const error = thrownBy(() => openTun(native, "iptun0"));
    expect(error).toBeInstanceOf(IoError);
    expect(error).toMatchObject({ code, object: '"iptun0"', operation: "open TUN device" });
  });
});

describe("setAgain", () => {
  it("sets the offloads that were granted", () => {
    const calls: unknown[] = [];
    const native = fakeNative({
      tunOpen: (_name, flags, out) =>
        flags & USO ? errno("EINVAL") : opens("tun0")(_name, flags, out),
      tunAdopt: (fd, flags) => {
        calls.push([fd, flags]);
        return 0;
      },
    });

    openTun(native, "tun0", { tso: true, uso: true }).setAgain();

    expect(calls).toEqual([[42, CSUM | TSO]]);
  });

  it("finds a device that is gone gone", () => {
    const tun = openWith({ tunAdopt: () => errno("EBADFD") });
    tun.setAgain();
    expect(tun.state).toBe("gone");
  });
});

describe("read", () => {
  it("sets the batch's count and passes the room on", () => {
    const calls: unknown[] = [];
    const tun = openWith({
      tunRead: (fd, _arena, room, _rows, capacity) => {
        calls.push(fd, room, capacity);
        return 2;
      },
    });
    const batch = packetBatch(new Uint8Array(400), 4);

    expect(tun.read(batch, 100)).toBe(2);

    expect(batch.count).toBe(2);
    expect(calls).toEqual([42, 100, 4]);
  });

  it.each([
    ["rows are left, and room", { count: 3, end: 300 }, false],
    ["every row is used", { count: 4, end: 300 }, true],
    ["a packet more might not fit", { count: 3, end: 321 }, true],
    ["the next place, a multiple of 64, leaves just room", { count: 3, end: 320 }, false],
  ])("knows whether there may be more: %s", (_, { count, end }, isFull) => {
    const batch = packetBatch(new Uint8Array(420), 4);
    const tun = openWith({
      tunRead: (_fd, _arena, _room, rows) => {
        rows[(count - 1) * PACKET_FIELDS + PACKET.OFFSET] = end - 60;
        rows[(count - 1) * PACKET_FIELDS + PACKET.LENGTH] = 60;
        return count;
      },
    });
    tun.read(batch, 100);
    expect(batch.isFull).toBe(isFull);
  });

  it("is empty at EAGAIN, and forgets the batch before", () => {
    const tun = openWith({ tunRead: () => errno("EAGAIN") });
    const batch = packetBatch(new Uint8Array(400), 4);
    batch.count = 3;
    batch.isFull = true;
    expect(tun.read(batch, 100)).toBe(0);
    expect(batch).toMatchObject({ count: 0, isFull: false });
    expect(tun.state).toBe("up");
  });

  it.each([
    ["EIO", "down"],
    ["EBADFD", "gone"],
    ["ENODEV", "gone"],
  ])("at %s the device is %s, without an exception", (code, state) => {
    const tun = openWith({ tunRead: () => errno(code) });
    expect(tun.read(packetBatch(new Uint8Array(100), 1), 100)).toBe(0);
    expect(tun.state).toBe(state);
  });

  it("throws what only a bug explains", () => {
    const tun = openWith({ tunRead: () => errno("EBADF") });
    const error = thrownBy(() => tun.read(packetBatch(new Uint8Array(100), 1), 100));
    expect(error).toMatchObject({ code: "EBADF", object: "tun0", operation: "read TUN device" });
  });
});

describe("write", () => {
  it("returns nothing refused when all is written", () => {
    expect(writing([0, 0, 0])).toEqual({ refused: 0, state: "up" });
  });

  it("calls nothing for an empty batch", () => {
    const tun = openWith({});
    expect(tun.write(packetBatch(new Uint8Array(1), 1))).toBe(0);
  });

  it.each([
    ["EINVAL", "up"],
    ["ENOMEM", "up"],
    ["EAGAIN", "up"],
    ["EIO", "down"],
    ["EBADFD", "gone"],
    ["ENODEV", "gone"],
  ])("counts packets that fail with %s; the device is %s", (code, state) => {
    expect(writing([0, errno(code), errno(code)])).toEqual({ refused: 2, state });
  });

  it("counts every part of a gathered packet", () => {
    expect(writing([errno("EIO"), errno("EIO"), 0])).toMatchObject({ refused: 2 });
  });

  it("is up again after a packet went through", () => {
    const results = [errno("EIO"), 0];
    const tun = openWith({
      tunWrite: (_fd, _arena, rows) => {
        const status = results.shift() ?? 0;
        rows[PACKET.STATUS] = status;
        return status === 0 ? 1 : 0;
      },
    });
    const batch = packetBatch(new Uint8Array(1), 1);
    batch.count = 1;
    tun.write(batch);
    expect(tun.state).toBe("down");
    tun.write(batch);
    expect(tun.state).toBe("up");
  });

  it("throws when the call as a whole fails, which only a bug explains", () => {
    const tun = openWith({ tunWrite: () => errno("EINVAL") });
    const batch = packetBatch(new Uint8Array(1), 1);
    batch.count = 1;
    expect(thrownBy(() => tun.write(batch))).toMatchObject({
      code: "EINVAL",
      operation: "write TUN device",
    });
  });
});

describe("close", () => {
  it("closes once, however often it is called", () => {
    const closed: number[] = [];
    const tun = openWith({
      close: (fd) => {
        closed.push(fd);
        return 0;
      },
    });
    tun.close();
    tun.close();
    expect(closed).toEqual([42]);
  });
});

/** Writes one batch whose rows end with `status`. */
function writing(status: readonly number[]) {
  const tun = openWith({
    tunWrite: (_fd, _arena, rows, count) => {
      for (let row = 0; row < count; row++)
        rows[row * PACKET_FIELDS + PACKET.STATUS] = status[row] ?? 0;
      return status.filter((one) => one === 0).length;
    },
  });
  const batch = packetBatch(new Uint8Array(1), status.length);
  batch.count = status.length;
  return { refused: tun.write(batch), state: tun.state };
}

/** Opens a device on a kernel that takes the flags in `known` only. */
function openWishing(wish: { tso: boolean; uso: boolean }, known = CSUM | TSO | USO) {
  const tried: number[] = [];
  const native = fakeNative({
    tunOpen: (name, offloads, out) => {
      tried.push(offloads);
      return (offloads & ~known) === 0 ? opens("x")(name, offloads, out) : errno("EINVAL");
    },
  });
  return { tried, offloads: openTun(native, "iptun0", wish).offloads };
}

function openWith(functions: Partial<Native>): TunDevice {
  return openTun(fakeNative({ tunOpen: opens("tun0"), ...functions }), "tun0");
}

/** A `tunOpen` that succeeds with descriptor 42. */
function opens(name: string): Native["tunOpen"] {
  return (_name, _offloads, out) => {
    out.fill(0);
    out.set(Buffer.from(name));
    return 42;
  };
}

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}
