/** Endpoints and message rows: the same words in the same order, compared whole or in part. */
import { describe, expect, it } from "vitest";
import {
  type Endpoint,
  endpointFrom,
  endpointOfRow,
  isRowFrom,
  isRowTo,
  isSameRemote,
  isSameWay,
  withoutLocalSide,
  writeEndpoint,
} from "../../src/core/address.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";

/** Fields of a row that say where a datagram came from, and what each is the first word of. */
const REMOTE_SIDE = { REMOTE: 4, PORT: 1, SCOPE: 1 } as const;
const LOCAL_SIDE = { LOCAL: 4, DEVICE: 1 } as const;

describe("the words of an endpoint", () => {
  it("are the fields of a row from REMOTE to DEVICE, without a gap", () => {
    const fields = Object.entries({ ...REMOTE_SIDE, ...LOCAL_SIDE });
    let next: number = MESSAGE.REMOTE;
    for (const [name, words] of fields) {
      expect([name, MESSAGE[name as keyof typeof MESSAGE]]).toEqual([name, next]);
      next += words;
    }
  });

  it("come out of a row as they went in", () => {
    const row = fullRow();
    const copy = new Int32Array(MESSAGE_FIELDS);
    writeEndpoint(copy, 0, endpointOfRow(row, 0));
    expect(copy.subarray(MESSAGE.REMOTE, MESSAGE.DEVICE + 1)).toEqual(
      row.subarray(MESSAGE.REMOTE, MESSAGE.DEVICE + 1),
    );
    expect([copy[MESSAGE.OFFSET], copy[MESSAGE.TOS]]).toEqual([0, 0]);
  });

  it("are the address, port and scope that it was made from", () => {
    const address = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
    const { remote, port, scope, local, device } = endpointFrom(address, 1194, 3);
    expect(new Uint8Array(remote.buffer)).toEqual(address);
    expect([port, scope, device, ...local]).toEqual([1194, 3, 0, 0, 0, 0, 0]);
  });
});

describe("a row", () => {
  it("is from an endpoint where all of its remote side is equal, whatever the local one", () => {
    const endpoint = endpointOfRow(fullRow(), 0);
    for (const [index, isFrom] of changes()) {
      const row = fullRow();
      row[index] = 77;
      expect([index, isRowFrom(row, 0, endpoint)]).toEqual([index, isFrom === "local"]);
      expect([index, isRowTo(row, 0, endpoint)]).toEqual([index, isFrom === "remote"]);
    }
    expect([isRowFrom(fullRow(), 0, endpoint), isRowTo(fullRow(), 0, endpoint)]).toEqual([
      true,
      true,
    ]);
  });

  it("came the same way as another where both sides are equal", () => {
    for (const [index] of changes()) {
      const rows = new Int32Array(2 * MESSAGE_FIELDS);
      rows.set(fullRow());
      rows.set(fullRow(), MESSAGE_FIELDS);
      expect(isSameWay(rows, 0, MESSAGE_FIELDS)).toBe(true);
      rows[MESSAGE_FIELDS + index] = 77;
      expect([index, isSameWay(rows, 0, MESSAGE_FIELDS)]).toEqual([index, false]);
    }
  });
});

describe("without its local side", () => {
  it("an endpoint has the same remote one", () => {
    const endpoint = endpointOfRow(fullRow(), 0);
    const bare: Endpoint = withoutLocalSide(endpoint);
    expect(isSameRemote(bare, endpoint)).toBe(true);
    expect([bare.device, ...bare.local]).toEqual([0, 0, 0, 0, 0]);
    expect(bare.words.subarray(MESSAGE.LOCAL - MESSAGE.REMOTE)).toEqual(new Int32Array(5));
    expect(endpoint.device).not.toBe(0);
  });
});

/** A row whose fields all differ. */
function fullRow(): Int32Array {
  return Int32Array.from({ length: MESSAGE_FIELDS }, (_, index) => 100 + index);
}

/** Every field of both sides, and which side it is of. */
function changes(): readonly (readonly [number, "remote" | "local"])[] {
  return Array.from({ length: MESSAGE.DEVICE + 1 - MESSAGE.REMOTE }, (_, word) => {
    const index = MESSAGE.REMOTE + word;
    return [index, index < MESSAGE.LOCAL ? "remote" : "local"] as const;
  });
}
