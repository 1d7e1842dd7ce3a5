/**
 * What the core needs of cryptography, as two interfaces; `crypto/` implements them.
 *
 * `HandshakeCrypto` is called a few times a minute a peer; `Aead` once a batch. Both are synchronous.
 * A failed open is a value, never an exception.
 */

/** An entry of the addon's key table: one transport key of one direction. */
export type KeySlot = number & { readonly __keySlot: true };

/** An X25519 key pair, 32 bytes each. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  /** Overwritten with zeros when the handshake ends. */
  readonly secretKey: Uint8Array;
}

/** Primitives of the handshake. Source: libsodium. */
export interface HandshakeCrypto {
  /** `length` bytes from the system's CSPRNG. */
  random(length: number): Uint8Array;
  /** BLAKE2b (RFC 7693) of `length` bytes over `parts` in order, keyed when `key` is given (up to 64 bytes). */
  blake2b(length: number, parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array;
  keyPair(): KeyPair;
  /** X25519 (RFC 7748 §5), or undefined where the shared secret is all zero. */
  dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /** ChaCha20-Poly1305 (RFC 8439), 12-byte nonce, 16-byte tag appended. */
  seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** The plaintext, or undefined where the tag does not verify. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
  /** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), 24-byte nonce. */
  sealExtended(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  openExtended(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
  /** Constant-time comparison of two arrays of the same length. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  /** Overwrites with zeros. */
  wipe(bytes: Uint8Array): void;
}

/** The batch cipher of the data path. Source: the addon (OpenSSL), or a libsodium twin in the tests. */
export interface Aead {
  /** Takes T (32 bytes) || P (16 bytes), PROTOCOL "Transport keys"; undefined when the key table is full. */
  load(material: Uint8Array): KeySlot | undefined;
  /** Wipes and frees a slot. */
  wipe(slot: KeySlot): void;
  /** Seals `count` SEAL rows from the packet arena into the datagram arena; fills OUT_LENGTH and STATUS. */
  seal(packets: Uint8Array, datagrams: Uint8Array, rows: Int32Array, count: number): void;
  /** Opens `count` OPEN rows in place; fills STATUS. */
  open(datagrams: Uint8Array, rows: Int32Array, count: number): void;
}
