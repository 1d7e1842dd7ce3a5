/** Which errors of the UDP socket pass and are counted, and which end the process. */
import { describe, expect, it } from "vitest";
import { type MessageBatch, messageBatch } from "../../src/core/batch.ts";
import { mapAddress } from "../../src/core/prefix.ts";
import { MESSAGE, MESSAGE_DONT_FRAGMENT, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import type { Instant } from "../../src/core/time.ts";
import { IoError } from "../../src/io/io-error.ts";
import { type Native, UDP_OFFLOAD } from "../../src/io/native.ts";
import { PLAIN_MS } from "../../src/io/plain-routes.ts";
import type { UdpSocket } from "../../src/io/udp.ts";
import { openUdp } from "../../src/io/udp-open.ts";
import { errno, fakeNative } from "./fake-native.ts";

const ANY = new Uint8Array(16);
const NOW = 1000 as Instant;

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

describe("H6 receive", () => {
  it("sets the batch's count and passes the stride on", () => {
    const calls: unknown[] = [];
    const socket = openWith({
      udpReceive: (fd, _arena, stride, _rows, capacity, budget) => {
        calls.push(fd, stride, capacity, budget);
        return 3;
      },
    });
    const batch = messageBatch(new Uint8Array(400), 4);
    expect(socket.receive(batch, 100)).toBe(3);
    expect(batch.count).toBe(3);
    expect(calls).toEqual([42, 100, 4, 262_144]);
  });

  it.each([
    ["rows are left, and budget", [1000, 1000], false],
    ["every row is used", [1, 1, 1, 1], true],
    ["the budget is used", [200_000, 62_144], true],
  ])("knows whether there may be more: %s", (_, lengths, isFull) => {
    const socket = openWith({
      udpReceive: (_fd, _arena, _stride, rows) => {
        lengths.forEach((length, row) => {
          rows[row * MESSAGE_FIELDS + MESSAGE.LENGTH] = length;
        });
        return lengths.length;
      },
    });
    const batch = messageBatch(new Uint8Array(1), 4);
    socket.receive(batch, 100);
    expect(batch.isFull).toBe(isFull);
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

describe("H6 send", () => {
  it("returns nothing refused when all is sent", () => {
    expect(sending([0, 0])).toMatchObject({ refused: 0, errors: {}, calls: 1 });
  });

  it("calls nothing for an empty batch", () => {
    expect(openWith({}).send(messageBatch(new Uint8Array(1), 1), NOW)).toBe(0);
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

  it("takes a path probe that the first link does not carry for sent: no answer tells its sender", () => {
    const socket = openWith({
      udpSend: (_fd, _arena, rows) => {
        rows[MESSAGE.STATUS] = errno("EMSGSIZE");
        return 0;
      },
    });
    const batch = messageBatch(new Uint8Array(9), 1);
    batch.rows[MESSAGE.FLAGS] = MESSAGE_DONT_FRAGMENT;
    batch.count = 1;

    expect(socket.send(batch, NOW)).toBe(0);
    expect(socket.errorCounts()).toEqual({});
  });

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
    expect(thrownBy(() => whole.send(batch, NOW))).toMatchObject({
      code: "EBADF",
      operation: "send on UDP socket",
    });
    expect(thrownBy(() => sending([errno("EFAULT")]))).toMatchObject({ code: "EFAULT" });
  });
});

describe("runs that a path does not take", () => {
  it.each(["EIO", "EINVAL", "EMSGSIZE"])("go datagram by datagram after %s", (code) => {
    const { socket, sent } = refusingRuns(code);
    expect(socket.send(runTo(1, 250, 100), NOW)).toBe(0);
    expect(sent).toEqual(["1:0+250/100 refused", "1:0+100", "1:100+100", "1:200+50"]);
    expect(socket.gsoFallbacks).toBe(1);
  });

  it("are told once, with address and error", () => {
    const { socket } = refusingRuns("EIO");
    socket.send(runTo(1, 250, 100), NOW);
    expect(socket.takeRefusedRun()).toEqual({ remote: address(1), errno: "EIO" });
    expect(socket.takeRefusedRun()).toBeUndefined();
  });

  it("are not tried again for a minute, to that address only", () => {
    const { socket, sent } = refusingRuns("EIO");
    socket.send(runTo(1, 200, 100), NOW);
    sent.length = 0;
    socket.send(runTo(1, 200, 100), (NOW + PLAIN_MS - 1) as Instant);
    socket.send(runTo(2, 200, 100), (NOW + PLAIN_MS - 1) as Instant);
    expect(sent).toEqual(["1:0+100", "1:100+100", "2:0+200/100 refused", "2:0+100", "2:100+100"]);
    expect(socket.plainRoutes((NOW + PLAIN_MS - 1) as Instant)).toBe(2);
  });

  it("are tried again after a minute", () => {
    const { socket, sent } = refusingRuns("EIO");
    socket.send(runTo(1, 200, 100), NOW);
    sent.length = 0;
    socket.send(runTo(1, 200, 100), (NOW + PLAIN_MS) as Instant);
    expect(sent[0]).toBe("1:0+200/100 refused");
    expect(socket.plainRoutes((NOW + PLAIN_MS) as Instant)).toBe(1);
  });

  it("keep their order among single datagrams", () => {
    const { socket, sent } = refusingRuns("EIO");
    socket.send(runTo(1, 200, 100), NOW);
    sent.length = 0;
    const batch = messageBatch(new Uint8Array(1000), 4);
    addRun(batch, 1, 200, 0);
    addRun(batch, 2, 100, 0);
    addRun(batch, 1, 210, 100);
    socket.send(batch, NOW);
    expect(sent).toEqual(["1:0+200", "2:0+100", "1:0+100", "1:100+100", "1:200+10"]);
  });

  it("are no reason to give runs up where single datagrams fail as well", () => {
    const { socket, sent } = refusingRuns("EMSGSIZE", "EMSGSIZE");
    expect(socket.send(runTo(1, 200, 100), NOW)).toBe(2);
    sent.length = 0;
    socket.send(runTo(1, 200, 100), NOW);
    expect(sent[0]).toBe("1:0+200/100 refused");
    expect(socket.gsoFallbacks).toBe(0);
  });

  it.each(["EAGAIN", "ENOBUFS", "EPERM"])("are dropped whole after %s, and counted", (code) => {
    const { socket, sent } = refusingRuns(code);
    expect(socket.send(runTo(1, 250, 100), NOW)).toBe(3);
    expect(sent).toHaveLength(1);
  });

  it("fill as many calls as they need", () => {
    const { socket, sent } = refusingRuns("EIO");
    socket.send(runTo(1, 6400, 100), NOW);
    sent.length = 0;
    const batch = messageBatch(new Uint8Array(1), 3);
    for (let run = 0; run < 3; run++) addRun(batch, 1, 6400, 100);
    expect(socket.send(batch, NOW)).toBe(0);
    expect(sent).toHaveLength(192);
  });
});

describe("bindDevice", () => {
  it("binds anew to the device that was asked for, and counts an error", () => {
    const asked: string[] = [];
    const native = fakeNative({
      udpOpen: () => 3,
      udpBindDevice: (_fd, device) => {
        asked.push(device);
        return errno("ENODEV");
      },
    });
    const socket = openUdp(native, { address: ANY, port: 5, device: "eth1" });
    socket.bindDevice();
    socket.bindDevice();
    expect(asked).toEqual(["eth1", "eth1"]);
    expect(socket.errorCounts()).toEqual({ ENODEV: 2 });
  });

  it("does nothing where none was", () => {
    const socket = openUdp(fakeNative({ udpOpen: () => 3 }), { address: ANY, port: 5 });
    socket.bindDevice();
    expect(socket.errorCounts()).toEqual({});
  });
});

describe("setAgain", () => {
  it("sets all that was asked for and granted, and counts an error", () => {
    const calls: unknown[] = [];
    const native = fakeNative({
      udpOpen: () => 3,
      udpSetMark: () => 0,
      udpOffload: (_fd, wanted) => {
        calls.push(wanted);
        return wanted & UDP_OFFLOAD.GRO;
      },
      udpAdopt: (...args) => {
        calls.push(args.slice(0, 4));
        return errno("ENODEV");
      },
    });
    const options = { address: ANY, port: 5, mark: 6, device: "eth0", bufferBytes: 7 };
    const socket = openUdp(native, { ...options, wish: { gso: true, gro: true } });
    socket.setMark(8);
    calls.length = 0;

    socket.setAgain();

    expect(calls).toEqual([[3, 8, "eth0", 7], UDP_OFFLOAD.GRO]);
    expect(socket.errorCounts()).toEqual({ ENODEV: 1 });
  });
});

describe("setMark", () => {
  it("sets another mark once, and tells why the kernel refuses one", () => {
    const asked: number[] = [];
    const native = fakeNative({
      udpOpen: () => 3,
      udpSetMark: (_fd, mark) => {
        asked.push(mark);
        return mark === 9 ? errno("EPERM") : 0;
      },
    });
    const socket = openUdp(native, { address: ANY, port: 5, mark: 7 });
    expect([7, 8, 8, 9, 8].map((mark) => socket.setMark(mark))).toEqual([
      undefined,
      undefined,
      undefined,
      "the kernel refuses mark 9: EPERM",
      undefined,
    ]);
    expect(asked).toEqual([8, 9]);
  });
});

describe("openUdp's offloads", () => {
  it("are those of the wished that the kernel grants", () => {
    const asked: number[] = [];
    const native = fakeNative({
      udpOpen: () => 3,
      udpOffload: (_fd, wanted) => {
        asked.push(wanted);
        return wanted & UDP_OFFLOAD.GRO;
      },
    });
    const both = openUdp(native, { address: ANY, port: 5, wish: { gso: true, gro: true } });
    const gso = openUdp(native, { address: ANY, port: 5, wish: { gso: true, gro: false } });
    expect(asked).toEqual([UDP_OFFLOAD.GSO | UDP_OFFLOAD.GRO, UDP_OFFLOAD.GSO]);
    expect(both.offloads).toEqual(["gro"]);
    expect(gso.offloads).toEqual([]);
  });

  it("are none where the kernel does not know the call", () => {
    const native = fakeNative({ udpOpen: () => 3, udpOffload: () => errno("EINVAL") });
    const socket = openUdp(native, { address: ANY, port: 5, wish: { gso: true, gro: true } });
    expect(socket.offloads).toEqual([]);
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
  const refused = socket.send(batch, NOW);
  return { refused, errors: socket.errorCounts(), batch, calls };
}

/** A socket whose kernel refuses every run with `code`, and every single datagram with `single`. */
function refusingRuns(code: string, single?: string) {
  const sent: string[] = [];
  const socket = openWith({
    udpSend: (_fd, _arena, rows, count) => {
      let good = 0;
      for (let row = 0; row < count; row++) {
        const field = (name: keyof typeof MESSAGE) =>
          rows[row * MESSAGE_FIELDS + MESSAGE[name]] ?? 0;
        const isRun = field("SEGMENT") > 0;
        const status = isRun ? errno(code) : single === undefined ? 0 : errno(single);
        rows[row * MESSAGE_FIELDS + MESSAGE.STATUS] = status;
        if (status === 0) good++;
        const text = `${field("REMOTE")}:${field("OFFSET")}+${field("LENGTH")}`;
        sent.push(isRun ? `${text}/${field("SEGMENT")} refused` : text);
      }
      return good;
    },
  });
  return { socket, sent };
}

function runTo(remote: number, length: number, segment: number): MessageBatch {
  const batch = messageBatch(new Uint8Array(length), 1);
  addRun(batch, remote, length, segment);
  return batch;
}

function addRun(batch: MessageBatch, remote: number, length: number, segment: number): void {
  const base = batch.count * MESSAGE_FIELDS;
  batch.rows[base + MESSAGE.LENGTH] = length;
  batch.rows[base + MESSAGE.SEGMENT] = segment;
  batch.rows[base + MESSAGE.REMOTE] = remote;
  batch.count++;
}

/** The address whose first word is `word`. */
function address(word: number): Uint8Array {
  return new Uint8Array(Int32Array.of(word, 0, 0, 0).buffer);
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
