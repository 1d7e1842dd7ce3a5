/** Which errors of a TUN device pass, which mean that the link is down, and which that it is gone. */
import { describe, expect, it } from "vitest";
import { packetBatch } from "../../src/core/batch.ts";
import { PACKET, PACKET_FIELDS, PACKET_MORE } from "../../src/core/rows.ts";
import { IoError } from "../../src/io/io-error.ts";
import type { Native } from "../../src/io/native.ts";
import { openTun, type TunDevice } from "../../src/io/tun.ts";
import { errno, fakeNative } from "./fake-native.ts";

describe("openTun", () => {
  it("has the descriptor and the name that the kernel gave", () => {
    const tun = openWith({ tunOpen: opens("tun7") });
    expect(tun).toMatchObject({ fd: 42, name: "tun7", state: "up" });
  });

  it("passes name and offloads on", () => {
    const calls: unknown[] = [];
    const native = fakeNative({
      tunOpen: (name, offloads, out) => {
        calls.push(name, offloads, out.length);
        return opens("x")(name, offloads, out);
      },
    });
    openTun(native, "iptun0", 3);
    expect(calls).toEqual(["iptun0", 3, 16]);
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

describe("read", () => {
  it("sets the batch's count and passes stride and headroom on", () => {
    const calls: unknown[] = [];
    const tun = openWith({
      tunRead: (fd, _arena, stride, headroom, _rows, capacity) => {
        calls.push(fd, stride, headroom, capacity);
        return 2;
      },
    });
    const batch = packetBatch(new Uint8Array(400), 4);

    expect(tun.read(batch, 100, 16)).toBe(2);

    expect(batch.count).toBe(2);
    expect(calls).toEqual([42, 100, 16, 4]);
  });

  it("is empty at EAGAIN, and forgets the batch before", () => {
    const tun = openWith({ tunRead: () => errno("EAGAIN") });
    const batch = packetBatch(new Uint8Array(400), 4);
    batch.count = 3;
    expect(tun.read(batch, 100)).toBe(0);
    expect(batch.count).toBe(0);
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

  it("counts a gathered packet once", () => {
    expect(writing([errno("EIO"), errno("EIO"), 0], [PACKET_MORE, 0, 0])).toMatchObject({
      refused: 1,
    });
  });

  it("counts a packet whose last row promises more", () => {
    expect(writing([0, errno("EINVAL")], [0, PACKET_MORE])).toMatchObject({ refused: 1 });
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
function writing(status: readonly number[], flags: readonly number[] = []) {
  const tun = openWith({
    tunWrite: (_fd, _arena, rows, count) => {
      for (let row = 0; row < count; row++)
        rows[row * PACKET_FIELDS + PACKET.STATUS] = status[row] ?? 0;
      return status.filter((one, row) => one === 0 && flags[row] !== PACKET_MORE).length;
    },
  });
  const batch = packetBatch(new Uint8Array(1), status.length);
  flags.forEach((value, row) => {
    batch.rows[row * PACKET_FIELDS + PACKET.FLAGS] = value;
  });
  batch.count = status.length;
  return { refused: tun.write(batch), state: tun.state };
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
