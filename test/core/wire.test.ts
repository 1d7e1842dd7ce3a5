/** The byte layouts and the functions that write and read messages, held against the protocol. */
import { describe, expect, it } from "vitest";
import {
  CHALLENGE,
  CLOSE_FRAME,
  DATA,
  DATA_OVERHEAD,
  decodeInitPayload,
  decodeRespPayload,
  encodeInitPayload,
  encodeRespPayload,
  INIT,
  INIT_PAYLOAD,
  newChallenge,
  newInit,
  newResp,
  PATH_FRAME,
  PROBE_FRAME,
  REPORT_FRAME,
  RESP,
  RESP_PAYLOAD,
  readUint64,
  viewOf,
} from "../../src/core/wire.ts";

const NODE_ID = Uint8Array.from({ length: 16 }, (_, index) => index + 1);

describe("the layouts", () => {
  it("have the sizes of the protocol", () => {
    expect([INIT.SIZE, RESP.SIZE, CHALLENGE.SIZE, DATA_OVERHEAD]).toEqual([120, 108, 64, 32]);
    expect([INIT_PAYLOAD.SIZE, RESP_PAYLOAD.SIZE]).toEqual([32, 32]);
    expect([PATH_FRAME.SIZE, CLOSE_FRAME.SIZE, PROBE_FRAME.SIZE, REPORT_FRAME.SIZE]).toEqual([
      9, 2, 5, 21,
    ]);
  });

  it("have the offsets of the protocol", () => {
    expect(INIT).toMatchObject({
      hint: 2,
      senderIndex: 4,
      ephemeral: 8,
      sealed: 40,
      cookieMac: 88,
      mac: 104,
    });
    expect(RESP).toMatchObject({
      senderIndex: 4,
      receiverIndex: 8,
      ephemeral: 12,
      sealed: 44,
      mac: 92,
    });
    expect(CHALLENGE).toMatchObject({ receiverIndex: 4, nonce: 8, sealed: 32 });
    expect(DATA).toMatchObject({ receiverIndex: 4, counter: 8, SIZE: 16 });
  });

  it("put type, version and the reserved bytes at the same place in every message", () => {
    for (const message of [RESP, CHALLENGE, DATA]) {
      expect(message).toMatchObject({ type: 0, version: 1, zero: 2 });
    }
    expect(INIT).toMatchObject({ type: 0, version: 1, hint: 2 });
  });

  it("leave the Noise message and its payload exactly the room they need", () => {
    expect(INIT.cookieMac - INIT.ephemeral).toBe(32 + INIT_PAYLOAD.SIZE + 16);
    expect(RESP.mac - RESP.ephemeral).toBe(32 + RESP_PAYLOAD.SIZE + 16);
  });

  it("let both payloads agree from the node id on", () => {
    const { indices, ...resp } = RESP_PAYLOAD;
    const { stamp, ...init } = INIT_PAYLOAD;
    expect(indices).toBe(stamp);
    expect(resp).toEqual(init);
  });
});

describe("messages", () => {
  it("carry type, version and indices in little-endian", () => {
    expect([...newInit(0xbeef, 0x04030201).subarray(0, 8)]).toEqual([1, 1, 0xef, 0xbe, 1, 2, 3, 4]);
    expect([...newResp(0x04030201, 0x08070605).subarray(0, 12)]).toEqual([
      2, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    expect([...newChallenge(0xfffffffe).subarray(0, 8)]).toEqual([
      3, 1, 0, 0, 0xfe, 0xff, 0xff, 0xff,
    ]);
  });

  it("give an INIT's payload back as it was written", () => {
    const payload = {
      stamp: 1_767_225_600_123_456,
      nodeId: NODE_ID,
      mtu: 1420,
      keepaliveSeconds: 25,
    };
    expect(decodeInitPayload(encodeInitPayload(payload))).toEqual(payload);
  });

  it("refuse an INIT's payload of another size, or with a stamp that is no exact number", () => {
    const bytes = encodeInitPayload({ stamp: 1, nodeId: NODE_ID, mtu: 1, keepaliveSeconds: 1 });
    bytes.fill(0xff, INIT_PAYLOAD.stamp, INIT_PAYLOAD.nodeId);
    expect(decodeInitPayload(bytes)).toBeUndefined();
    expect(decodeInitPayload(bytes.subarray(1))).toBeUndefined();
  });

  it("give a RESP's payload back only for the RESP it was made for", () => {
    const info = { nodeId: NODE_ID, mtu: 9000, keepaliveSeconds: 0 };
    const resp = newResp(7, 8);
    const payload = encodeRespPayload(resp, info);
    expect(decodeRespPayload(resp, payload)).toEqual(info);
    expect(decodeRespPayload(newResp(7, 9), payload)).toBeUndefined();
    expect(decodeRespPayload(newResp(6, 8), payload)).toBeUndefined();
    expect(decodeRespPayload(resp, payload.subarray(1))).toBeUndefined();
  });
});

describe("readUint64", () => {
  it.each([
    [0n, 0],
    [1n, 1],
    [2n ** 31n, 2 ** 31],
    [2n ** 32n - 1n, 2 ** 32 - 1],
    [2n ** 32n, 2 ** 32],
    [2n ** 48n - 1n, 2 ** 48 - 1],
    [2n ** 53n - 1n, 2 ** 53 - 1],
    [2n ** 53n, Number.POSITIVE_INFINITY],
    [2n ** 64n - 1n, Number.POSITIVE_INFINITY],
  ])("reads %s as %s", (written, read) => {
    const bytes = new Uint8Array(10);
    viewOf(bytes).setBigUint64(2, written, true);
    expect(readUint64(viewOf(bytes), 2)).toBe(read);
  });
});
