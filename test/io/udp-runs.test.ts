/**
 * Runs to the socket where more than one thing may be wrong: a local address that is gone fails with the same
 * errors as a path that takes no runs, and must not be taken for one.
 */
import { describe, expect, it } from "vitest";
import { type MessageBatch, messageBatch } from "../../src/core/batch.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { after, type Instant } from "../../src/core/time.ts";
import type { Native } from "../../src/io/native.ts";
import type { UdpSocket } from "../../src/io/udp.ts";
import { openUdp } from "../../src/io/udp-open.ts";
import { errno, fakeNative } from "./fake-native.ts";

const NOW = 1_000 as Instant;

describe("a run from a local address that is gone", () => {
  it.each(["EINVAL", "EADDRNOTAVAIL"])(
    "gets out without it after %s, and the path is not said to take no runs",
    (code) => {
      const { socket } = withStaleLocal(code);

      expect(socket.send(runFromLocal(), NOW)).toBe(0);

      expect([socket.gsoFallbacks, socket.plainRoutes(NOW)]).toEqual([0, 0]);
      expect(socket.takeRefusedRun()).toBeUndefined();
    },
  );

  it("does not keep the next run from going as one", () => {
    const { socket, sent } = withStaleLocal("EINVAL");
    socket.send(runFromLocal(), NOW);
    sent.length = 0;
    const batch = runFromLocal();
    batch.rows.fill(0, MESSAGE.LOCAL, MESSAGE.DEVICE);

    socket.send(batch, after(NOW, 10));

    expect(sent).toEqual(["0+300/100"]);
  });
});

describe("a run from a good local address to a path that takes none", () => {
  it.each(["EIO", "EINVAL", "EMSGSIZE"])(
    "keeps that address in every datagram after %s",
    (code) => {
      const locals: number[] = [];
      const socket = openWith((rows, base) => {
        if (rows[base + MESSAGE.SEGMENT] !== 0) return errno(code);
        locals.push(rows[base + MESSAGE.LOCAL] ?? 0);
        return 0;
      });

      expect(socket.send(runFromLocal(), NOW)).toBe(0);

      expect(locals).toEqual([9, 9, 9]);
      expect([socket.gsoFallbacks, socket.plainRoutes(NOW)]).toEqual([1, 1]);
    },
  );
});

/** A socket whose kernel refuses every message with a local address, and takes every other. */
function withStaleLocal(code: string) {
  const sent: string[] = [];
  const socket = openWith((rows, base) => {
    if (rows[base + MESSAGE.LOCAL] !== 0) return errno(code);
    const [offset, length, segment] = rows.subarray(base);
    sent.push(`${offset}+${length}/${segment}`);
    return 0;
  });
  return { socket, sent };
}

/** A run of three datagrams of 100 bytes that must leave from an address. */
function runFromLocal(): MessageBatch {
  const batch = messageBatch(new Uint8Array(300), 1);
  batch.rows.set([0, 300, 100]);
  batch.rows[MESSAGE.REMOTE] = 1;
  batch.rows.fill(9, MESSAGE.LOCAL, MESSAGE.LOCAL + 4);
  batch.count = 1;
  return batch;
}

/** A socket whose kernel gives each row the status that `judge` says. */
function openWith(judge: (rows: Int32Array, base: number) => number): UdpSocket {
  const udpSend: Native["udpSend"] = (_fd, _arena, rows, count) => {
    let good = 0;
    for (let row = 0; row < count; row += 1) {
      const status = judge(rows, row * MESSAGE_FIELDS);
      rows[row * MESSAGE_FIELDS + MESSAGE.STATUS] = status;
      if (status === 0) good += 1;
    }
    return good;
  };
  const native = fakeNative({ udpOpen: () => 42, udpSend });
  return openUdp(native, { address: new Uint8Array(16), port: 1194 });
}
