/**
 * The data path's cipher against published vectors and against libsodium.
 *
 * The addon takes T || P and a 48-bit counter and always authenticates its own 16-byte header, so a
 * vector with another nonce or other associated data cannot go through it as it stands. The chain is:
 * libsodium and node's OpenSSL give the published bytes; the addon gives what they give, for the same
 * keys and for random ones. Sources: draft-irtf-cfrg-xchacha-03 §2.2.1 and A.3.1, RFC 8439 §2.8.2.
 */
import { createCipheriv } from "node:crypto";
import sodium from "libsodium-wrappers";
import { beforeAll, describe, expect, it } from "vitest";
import { testNative } from "../native/native.ts";
import {
  dataHeader,
  extendedNonce,
  OVERHEAD_BYTES,
  openRows,
  openStatus,
  randomBytes,
  randomFrom,
  sealRows,
  sealStatus,
} from "../native/sealing.ts";

const native = testNative();
const SUNSCREEN = Buffer.from(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
);
const AD = hex("50515253c0c1c2c3c4c5c6c7");
const KEY = range(0x80, 32);
const LARGEST_BYTES = 65_503;

beforeAll(() => sodium.ready);

describe("HChaCha20", () => {
  it("gives the subkey of draft-irtf-cfrg-xchacha-03 §2.2.1", () => {
    const material = Buffer.concat([range(0, 32), hex("000000090000004a0000000031415927")]);
    const subkey = hex("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");

    const sealed = sealOne(material, SUNSCREEN, 7, 1);

    expect(sealed).toEqual(chacha20Poly1305(subkey, nonceOf(1), dataHeader(7, 1), SUNSCREEN));
  });
});

describe("XChaCha20-Poly1305", () => {
  it("is in libsodium what draft-irtf-cfrg-xchacha-03 A.3.1 publishes", () => {
    const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
      SUNSCREEN,
      AD,
      null,
      range(0x40, 24),
      KEY,
    );
    expect(Buffer.from(sealed).toString("hex")).toBe(
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb" +
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452" +
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9" +
        "21f9664c97637da9768812f615c68b13b52e" +
        "c0875924c1c7987947deafd8780acf49",
    );
  });

  it("is in the addon what libsodium makes of the same key and the first 16 bytes of that nonce", () => {
    const material = Buffer.concat([KEY, range(0x40, 16)]);
    expect(sealOne(material, SUNSCREEN, 1, 2 ** 40 + 3)).toEqual(
      sodiumSeal(material, SUNSCREEN, 1, 2 ** 40 + 3),
    );
  });
});

describe("ChaCha20-Poly1305", () => {
  it("is in node's OpenSSL, which the addon calls, what RFC 8439 §2.8.2 publishes", () => {
    const sealed = chacha20Poly1305(KEY, hex("070000004041424344454647"), AD, SUNSCREEN);
    expect(Buffer.from(sealed.subarray(AD.length)).toString("hex")).toBe(
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6" +
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36" +
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
        "3ff4def08e4b7a9de576d26586cec64b6116" +
        "1ae10b594f09e26a7e902ecbd0600691",
    );
  });
});

describe("the addon and libsodium", () => {
  it("open what the other sealed, 10,000 times, 0 to 65,503 bytes", () => {
    const random = randomFrom(0xc0ffee);
    const bytes = randomBytes(random, 2 * LARGEST_BYTES);
    const material = randomBytes(random, 48);
    const datagram = new Uint8Array(LARGEST_BYTES + OVERHEAD_BYTES);
    native.keyLoad(0, material);
    let failures = 0;

    for (let round = 0; round < 10_000; round++) {
      const length = round < 2 ? round * LARGEST_BYTES : random() % (LARGEST_BYTES + 1);
      const at = random() % LARGEST_BYTES;
      const counter = (random() % 0x10000) * 2 ** 32 + random();
      const packet = bytes.subarray(at, at + length);
      const isOpened =
        round % 2 === 0
          ? sodiumOpens(material, packet, counter, datagram)
          : addonOpens(material, packet, counter, datagram);
      if (!isOpened) failures++;
    }

    expect(failures).toBe(0);
  }, 60_000);

  it("agree on a fresh key each time", () => {
    const random = randomFrom(0xbeef);
    for (let round = 0; round < 200; round++) {
      const material = randomBytes(random, 48);
      const packet = randomBytes(random, random() % 200);
      expect(sealOne(material, packet, round, round)).toEqual(
        sodiumSeal(material, packet, round, round),
      );
    }
  });
});

/** libsodium opens what the addon sealed into `datagram`. */
function sodiumOpens(
  material: Uint8Array,
  packet: Uint8Array,
  counter: number,
  datagram: Uint8Array,
): boolean {
  const rows = sealRows([
    { ...counterFields(counter), IN_LENGTH: packet.length, RECEIVER_INDEX: 9 },
  ]);
  native.seal(packet, datagram, rows, 1);
  const opened = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
    null,
    datagram.subarray(16, packet.length + OVERHEAD_BYTES),
    dataHeader(9, counter),
    extendedNonce(material, counter),
    material.subarray(0, 32),
  );
  return sealStatus(rows)[0] === 0 && Buffer.compare(opened, packet) === 0;
}

/** The addon opens what libsodium sealed. */
function addonOpens(
  material: Uint8Array,
  packet: Uint8Array,
  counter: number,
  datagram: Uint8Array,
): boolean {
  const sealed = sodiumSeal(material, packet, 9, counter);
  datagram.set(sealed);
  const rows = openRows([[0, sealed.length, 0]]);
  native.open(datagram, rows, 1);
  const opened = datagram.subarray(16, 16 + packet.length);
  return openStatus(rows)[0] === packet.length && Buffer.compare(opened, packet) === 0;
}

/** A whole DATA datagram from libsodium. */
function sodiumSeal(
  material: Uint8Array,
  packet: Uint8Array,
  receiverIndex: number,
  counter: number,
): Uint8Array {
  const header = dataHeader(receiverIndex, counter);
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    packet,
    header,
    null,
    extendedNonce(material, counter),
    material.subarray(0, 32),
  );
  return joined(header, sealed);
}

/** A whole DATA datagram from the addon, under a key loaded for it. */
function sealOne(
  material: Uint8Array,
  packet: Uint8Array,
  receiverIndex: number,
  counter: number,
): Uint8Array {
  const datagram = new Uint8Array(packet.length + OVERHEAD_BYTES);
  const rows = sealRows([
    {
      ...counterFields(counter),
      KEY_SLOT: 1,
      IN_LENGTH: packet.length,
      RECEIVER_INDEX: receiverIndex,
    },
  ]);
  native.keyLoad(1, material);
  native.seal(packet, datagram, rows, 1);
  native.keyWipe(1);
  return datagram;
}

/** `ad` || ciphertext || tag from node's OpenSSL. */
function chacha20Poly1305(
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  packet: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  cipher.setAAD(ad, { plaintextLength: packet.length });
  return joined(ad, cipher.update(packet), cipher.final(), cipher.getAuthTag());
}

function counterFields(counter: number): { COUNTER_LOW: number; COUNTER_HIGH: number } {
  return { COUNTER_LOW: (counter % 2 ** 32) | 0, COUNTER_HIGH: Math.floor(counter / 2 ** 32) };
}

function nonceOf(counter: number): Uint8Array {
  return extendedNonce(new Uint8Array(48), counter).subarray(12);
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** `length` bytes that count up from `first`. */
function range(first: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => first + index);
}

function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, "hex"));
}
