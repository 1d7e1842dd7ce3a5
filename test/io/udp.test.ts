/** Which errors of the UDP socket pass and are counted, and which end the process. */
import { describe, expect, it } from "vitest";
import { type MessageBatch, messageBatch } from "../../src/core/batch.ts";
import { mapAddress } from "../../src/core/prefix.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { IoError } from "../../src/io/io-error.ts";
import type { Native } from "../../src/io/native.ts";
import { openUdp, type UdpSocket } from "../../src/io/udp.ts";
import { errno, fakeNative } from "./fake-native.ts";

const ANY = new Uint8Array(16);

describe("openUdp", () => {
  it("has what the kernel bound", () => {
    expect(openWith({})).toMatchObject({
      fd: 42,
      port: 1194,
      family: 6,
      receiveBufferBytes: 1000,
      sendBufferBytes: 2000,
    });
  });

  it("asks for 7 MB of buffer, no mark and no device unless told", () => {
    const calls: unknown[] = [];
    const native = fakeNative({
      udpOpen: (...args) => {
        calls.push(args.slice(1, 5));
        return 3;
      },
    });
    openUdp(native, { address: ANY, port: 5 });
    openUdp(native, { address: ANY, port: 5, mark: 6, device: "eth0", bufferBytes: 7 });
    expect(calls).toEqual([
      [5, 0, "", 7_340_032],
      [5, 6, "eth0", 7],
    ]);
  });

  it.each([
    [
      "EADDRINUSE",
      { address: ANY },
      "cannot bind UDP socket to [::]:1194: EADDRINUSE (another program uses this port)",
    ],
    [
      "EADDRNOTAVAIL",
      { address: mapAddress(Uint8Array.of(192, 0, 2, 77)) },
      "cannot bind UDP socket to 192.0.2.77:1194: EADDRNOTAVAIL (no interface of this host has this address)",
    ],
    [
      "ENODEV",
      { address: mapAddress(new Uint8Array(4)), device: "eth7" },
      "cannot bind UDP socket to 0.0.0.0:1194 on device eth7: ENODEV (the device to bind to does not exist)",
    ],
  ])("names address, port, device and a hint when it fails with %s", (code, options, message) => {
    const native = fakeNative({ udpOpen: () => errno(code) });
    const error = thrownBy(() => openUdp(native, { port: 1194, ...options }));
    expect(error).toBeInstanceOf(IoError);
    expect(error).toMatchObject({ code, message });
  });
});

describe("receive", () => {
  it("sets the batch's count and passes the stride on", () => {
    const calls: unknown[] = [];
    const socket = openWith({
      udpReceive: (fd, _arena, stride, _rows, capacity) => {
        calls.push(fd, stride, capacity);
        return 3;
      },
    });
    const batch = messageBatch(new Uint8Array(400), 4);
    expect(socket.receive(batch, 100)).toBe(3);
    expect(batch.count).toBe(3);
    expect(calls).toEqual([42, 100, 4]);
  });

  it("is empty at EAGAIN and counts nothing", () => {
    const socket = openWith({ udpReceive: () => errno("EAGAIN") });
    const batch = messageBatch(new Uint8Array(400), 4);
    batch.count = 4;
    expect(socket.receive(batch, 100)).toBe(0);
    expect(batch.count).toBe(0);
    expect(socket.errorCounts()).toEqual({});
  });

  it.each(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "ENOBUFS", "EMSGSIZE"])(
    "goes on after %s, which anyone on the network can cause, and counts it",
    (code) => {
      const socket = openWith({ udpReceive: () => errno(code) });
      const batch = messageBatch(new Uint8Array(100), 1);
      socket.receive(batch, 100);
      socket.receive(batch, 100);
      expect(socket.errorCounts()).toEqual({ [code]: 2 });
    },
  );

  it("throws what only a bug explains", () => {
    const socket = openWith({ udpReceive: () => errno("EBADF") });
    const error = thrownBy(() => socket.receive(messageBatch(new Uint8Array(100), 1), 100));
    expect(error).toMatchObject({ code: "EBADF", operation: "receive on UDP socket" });
  });
});

describe("send", () => {
  it("returns nothing refused when all is sent", () => {
    expect(sending([0, 0])).toMatchObject({ refused: 0, errors: {}, calls: 1 });
  });

  it("calls nothing for an empty batch", () => {
    expect(openWith({}).send(messageBatch(new Uint8Array(1), 1))).toBe(0);
  });

  it.each([
    "EAGAIN",
    "ENOBUFS",
    "EPERM",
    "EMSGSIZE",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EADDRNOTAVAIL",
    "EINVAL",
    "ECONNREFUSED",
  ])("counts rows that fail with %s and goes on", (code) => {
    expect(sending([errno(code), 0, errno(code)])).toMatchObject({
      refused: 2,
      errors: { [code]: 2 },
    });
  });

  it.each(["EINVAL", "EADDRNOTAVAIL", "ENETUNREACH", "ENODEV", "ENXIO"])(
    "sends a row again without its local side when that may be gone (%s)",
    (code) => {
      const { refused, errors, batch, calls } = sending([0, errno(code)], { local: 1, again: 0 });
      expect({ refused, errors, calls }).toEqual({ refused: 0, errors: {}, calls: 2 });
      expect(localOf(batch, 1)).toEqual([0, 0, 0, 0, 0]);
      expect(localOf(batch, 0)).toEqual([9, 9, 9, 9, 9]);
    },
  );

  it("counts what fails the second time too, by the second error", () => {
    const { refused, errors } = sending([errno("EINVAL")], { local: 0, again: errno("EPERM") });
    expect({ refused, errors }).toEqual({ refused: 1, errors: { EPERM: 1 } });
  });

  it.each(["EPERM", "EMSGSIZE", "EAGAIN", "ENOBUFS"])(
    "does not send again what the local side cannot explain (%s)",
    (code) => {
      const { refused, calls } = sending([errno(code)], { local: 0, again: 0 });
      expect({ refused, calls }).toEqual({ refused: 1, calls: 1 });
    },
  );

  it("throws when the call as a whole fails, or a row by a bug", () => {
    const whole = openWith({ udpSend: () => errno("EBADF") });
    const batch = messageBatch(new Uint8Array(1), 1);
    batch.count = 1;
    expect(thrownBy(() => whole.send(batch))).toMatchObject({
      code: "EBADF",
      operation: "send on UDP socket",
    });
    expect(thrownBy(() => sending([errno("EFAULT")]))).toMatchObject({ code: "EFAULT" });
  });
});

describe("close", () => {
  it("closes once, however often it is called", () => {
    const closed: number[] = [];
    const socket = openWith({
      close: (fd) => {
        closed.push(fd);
        return 0;
      },
    });
    socket.close();
    socket.close();
    expect(closed).toEqual([42]);
  });
});

/** Sends rows that end with `status`; rows up to `local` have a local side; the second try ends with `again`. */
function sending(
  status: readonly number[],
  { local = -1, again = 0 }: { local?: number; again?: number } = {},
) {
  let calls = 0;
  const socket = openWith({
    udpSend: (_fd, _arena, rows, count) => {
      const results = calls++ === 0 ? status : [again];
      for (let row = 0; row < count; row++)
        rows[row * MESSAGE_FIELDS + MESSAGE.STATUS] = results[row] ?? 0;
      return results.filter((one) => one === 0).length;
    },
  });
  const batch = messageBatch(new Uint8Array(1), status.length);
  batch.count = status.length;
  for (let row = 0; row <= local; row++) {
    const base = row * MESSAGE_FIELDS;
    batch.rows.fill(9, base + MESSAGE.LOCAL, base + MESSAGE.DEVICE + 1);
  }
  const refused = socket.send(batch);
  return { refused, errors: socket.errorCounts(), batch, calls };
}

function localOf(batch: MessageBatch, row: number): number[] {
  const base = row * MESSAGE_FIELDS;
  return [...batch.rows.subarray(base + MESSAGE.LOCAL, base + MESSAGE.DEVICE + 1)];
}

function openWith(functions: Partial<Native>): UdpSocket {
  const native = fakeNative({
    udpOpen: (_address, _port, _mark, _device, _bytes, info) => {
      info.set([1194, 6, 1000, 2000]);
      return 42;
    },
    ...functions,
  });
  return openUdp(native, { address: ANY, port: 1194 });
}

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}
