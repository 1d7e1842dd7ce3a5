/** The keyed hash of tables whose keys strangers choose: the sources of the limiter, the flows of a paced peer. */

/**
 * HalfSipHash-1-3, 32-bit result, of whole words with their length block and three zeros behind them: the keyed hash
 * that Linux uses for its tables (linux/siphash.h).
 */
export function halfSipHash(message: Int32Array, seed0: number, seed1: number): number {
  let v0 = seed0;
  let v1 = seed1;
  let v2 = seed0 ^ 0x6c796765;
  let v3 = seed1 ^ 0x74656462;
  const closing = message.length - 3;
  for (let round = 0; round < message.length; round++) {
    const word = message[round] ?? 0;
    v3 ^= word;
    if (round === closing) v2 ^= 0xff;
    v0 = (v0 + v1) | 0;
    v1 = rotateLeft(v1, 5) ^ v0;
    v0 = rotateLeft(v0, 16);
    v2 = (v2 + v3) | 0;
    v3 = rotateLeft(v3, 8) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = rotateLeft(v3, 7) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = rotateLeft(v1, 13) ^ v2;
    v2 = rotateLeft(v2, 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
