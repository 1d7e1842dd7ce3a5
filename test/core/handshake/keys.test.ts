/**
 * Pre-shared keys: their text, what is refused, and the sub-keys that PROTOCOL §2 derives from them.
 */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  deriveKeyRing,
  formatKeyText,
  NOISE_GROUP_PROLOGUE,
  NOISE_PROLOGUE,
  parseKeyText,
  pskFault,
  transportMaterial,
  wipeKeyRing,
} from "../../../src/core/handshake/keys.ts";
import { asciiBytes } from "../../../src/core/handshake/noise.ts";
import { loadSodium } from "../../../src/crypto/sodium.ts";
import { toHex } from "../../vectors/vectors.ts";

const crypto = await loadSodium();
const psk = Uint8Array.from({ length: 32 }, (_, index) => index);
const text = Buffer.from(psk).toString("base64");

describe("deriveKeyRing", () => {
  it("derives every sub-key as keyed BLAKE2b of its label, and nothing else", () => {
    const ring = deriveKeyRing(crypto, psk);
    const expected = (label: string) => toHex(crypto.blake2b(32, [asciiBytes(label)], psk));
    expect(toHex(ring.noise)).toBe(expected("iptun/1 noise"));
    expect(toHex(ring.mac)).toBe(expected("iptun/1 mac"));
    expect(toHex(ring.challenge)).toBe(expected("iptun/1 challenge"));
    expect(ring.fingerprint).toBe(expected("iptun/1 fingerprint").slice(0, 8));
    const hint = expected("iptun/1 hint");
    expect(ring.hint).toBe(Number.parseInt(hint.slice(2, 4) + hint.slice(0, 2), 16));
    expect(ring.isGroup).toBe(false);
  });

  it("is frozen: the values of the key 00 01 .. 1f must never change", () => {
    const ring = deriveKeyRing(crypto, psk);
    const digest = createHash("sha256")
      .update(ring.noise)
      .update(ring.mac)
      .update(ring.challenge)
      .digest("hex");
    expect({ digest, hint: ring.hint, fingerprint: ring.fingerprint }).toEqual(FROZEN_PAIR);
  });

  it("gives a group's key other sub-keys throughout", () => {
    const pair = deriveKeyRing(crypto, psk);
    const group = deriveKeyRing(crypto, psk, true);
    const expected = crypto.blake2b(32, [asciiBytes("iptun/1 group noise")], psk);
    expect(group.noise).toEqual(expected);
    expect(group.isGroup).toBe(true);
    for (const name of ["noise", "mac", "challenge", "hint", "fingerprint"] as const) {
      expect(group[name]).not.toEqual(pair[name]);
    }
  });

  it("leaves the raw key as it was", () => {
    const copy = psk.slice();
    deriveKeyRing(crypto, copy);
    expect(copy).toEqual(psk);
  });

  it("is undone by wipeKeyRing, public names apart", () => {
    const ring = deriveKeyRing(crypto, psk);
    const { fingerprint } = ring;
    wipeKeyRing(crypto, ring);
    for (const key of [ring.noise, ring.mac, ring.challenge]) {
      expect(toHex(key)).toBe("00".repeat(32));
    }
    expect(ring.fingerprint).toBe(fingerprint);
  });
});

describe("transportMaterial", () => {
  it("is 48 bytes of BLAKE2b keyed with the Noise key over the label and the handshake hash", () => {
    const key = crypto.random(32);
    const hash = crypto.random(64);
    const material = transportMaterial(crypto, key, hash);
    const message = Uint8Array.of(...asciiBytes("iptun/1 data"), ...hash);
    expect(toHex(material)).toBe(toHex(crypto.blake2b(48, [message], key)));
  });

  it("differs by key and by hash", () => {
    const [a, b] = [crypto.random(32), crypto.random(32)];
    const [h, g] = [crypto.random(64), crypto.random(64)];
    const materials = [
      transportMaterial(crypto, a, h),
      transportMaterial(crypto, b, h),
      transportMaterial(crypto, a, g),
    ];
    expect(new Set(materials.map(toHex)).size).toBe(3);
  });
});

describe("the prologues", () => {
  it("are the ASCII of PROTOCOL §3", () => {
    expect(Buffer.from(NOISE_PROLOGUE).toString()).toBe("iptun/1");
    expect(Buffer.from(NOISE_GROUP_PROLOGUE).toString()).toBe("iptun/1 group");
  });
});

describe("pskFault", () => {
  it.each([
    [new Uint8Array(0), "has 0 bytes, expected 32"],
    [new Uint8Array(31).fill(1), "has 31 bytes, expected 32"],
    [new Uint8Array(33), "has 33 bytes, expected 32"],
    [new Uint8Array(32), "is all zero"],
    [new Uint8Array(32).fill(0xff), "is one byte repeated"],
    [new Uint8Array(32).fill(0x41), "is one byte repeated"],
  ])("refuses %#", (key, fault) => {
    expect(pskFault(key)).toBe(fault);
  });

  it("accepts a key of which one byte differs", () => {
    const key = new Uint8Array(32);
    key[31] = 1;
    expect(pskFault(key)).toBeUndefined();
    expect(pskFault(psk)).toBeUndefined();
  });
});

describe("parseKeyText", () => {
  it.each(["", "\n", "\r\n"])("reads one line with the ending %j", (ending) => {
    expect(parseKeyText(text + ending)).toEqual({ key: psk, isGroup: false });
    expect(parseKeyText(`group:${text}${ending}`)).toEqual({ key: psk, isGroup: true });
    expect(parseKeyText(Buffer.from(text + ending))).toEqual({ key: psk, isGroup: false });
  });

  it.each([
    ["nothing", ""],
    ["a line end only", "\n"],
    ["a group without key", "group:"],
    ["two line ends", `${text}\n\n`],
    ["a bare CR", `${text}\r`],
    ["two lines", `${text}\n${text}`],
    ["a leading space", ` ${text}`],
    ["a trailing space", `${text} `],
    ["a byte order mark", `\ufeff${text}`],
    ["a group in capitals", `GROUP:${text}`],
    ["a group twice", `group:group:${text}`],
    ["a space after the group", `group: ${text}`],
    ["hexadecimal", "00".repeat(16) + "0f".repeat(16)],
    ["a passphrase", "correct horse battery staple"],
    ["no padding", text.slice(0, -1)],
    ["too much padding", `${text}=`],
    ["padding inside", `${text.slice(0, 10)}=${text.slice(11)}`],
    ["padding alone", "===="],
    ["the URL alphabet", `${text.slice(0, 10)}-_${text.slice(12)}`],
    ["unused bits that are set", `${text.slice(0, -2)}9=`],
    ["a character beyond ASCII", `${text.slice(0, 10)}\u{1f511}${text.slice(12)}`],
    ["31 bytes", Buffer.from(psk.subarray(1)).toString("base64")],
    ["33 bytes", Buffer.from([...psk, 1]).toString("base64")],
    ["64 bytes", Buffer.from([...psk, ...psk]).toString("base64")],
    ["all zero", Buffer.alloc(32).toString("base64")],
    ["one byte repeated", Buffer.alloc(32, 7).toString("base64")],
  ])("refuses %s, and the fault repeats none of it", (_, bad) => {
    const result = parseKeyText(bad);
    expect(parseKeyText(Buffer.from(bad))).toEqual(result);
    if (!("fault" in result)) throw new Error("accepted");
    expect(result.fault).not.toBe("");
    for (let at = 0; at + 5 <= bad.length; at++) {
      const piece = bad.slice(at, at + 5);
      if (piece !== "group") expect(result.fault).not.toContain(piece);
    }
  });

  it("reads what formatKeyText wrote, for every key", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.boolean(), (key, isGroup) => {
        fc.pre(pskFault(key) === undefined);
        expect(parseKeyText(formatKeyText(key, isGroup))).toEqual({ key, isGroup });
      }),
    );
  });

  it("never throws on junk, and takes only what Buffer would write", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String({ maxLength: 50 })), (junk) => {
        const result = parseKeyText(junk);
        if ("fault" in result) return;
        expect(Buffer.from(result.key).toString("base64")).toBe(
          junk.replace(/^group:|\r?\n$/g, ""),
        );
      }),
      { numRuns: 2000 },
    );
  });
});

describe("formatKeyText", () => {
  it("writes what Buffer writes, at every length", () => {
    for (let length = 0; length <= 64; length++) {
      const bytes = crypto.random(length);
      expect(formatKeyText(bytes, false)).toBe(Buffer.from(bytes).toString("base64"));
    }
  });

  it("marks a group's key", () => {
    expect(formatKeyText(psk, true)).toBe(`group:${text}`);
  });
});

/** Computed with Python's hashlib.blake2b; a change breaks every link in use. */
const FROZEN_PAIR = {
  digest: "a919aeb503a3b079f68bc1de70ca9b3efd91ef6c215eeb175683d481730149ad",
  hint: 39_166,
  fingerprint: "08376df3",
};
