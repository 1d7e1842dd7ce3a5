/*
 * ChaCha20-Poly1305 (RFC 8439 §2.8) of OpenSSL's own ChaCha20 and Poly1305, without EVP around
 * them.
 *
 * Both primitives are OpenSSL's, assembly included; a node with OpenSSL inside exports them. Only
 * their composition is here, because the EVP layer costs as much as sealing 500 bytes. What is here
 * is compared with EVP on random input before it is used (chacha_agrees), and EVP takes over where
 * the functions are missing: node linked to a shared libcrypto. Nothing is decrypted before its tag
 * verified. The traps: the functions are internal to OpenSSL, so their types are repeated here by
 * hand; and keystream and one-time key lie in `struct chacha`, which its owner wipes after a batch
 * (EVP would keep them until its context is freed).
 */
#include "iptun.h"

#include <string.h>
#include <sys/random.h>

/* include/crypto/chacha.h and poly1305.h of OpenSSL 1.1.1 to 3.x. Key and counter (block number,
   then nonce) are little-endian words. */
__attribute__((weak)) void ChaCha20_ctr32(uint8_t *out, const uint8_t *in, size_t length,
                                          const uint32_t key[8], const uint32_t counter[4]);
__attribute__((weak)) size_t Poly1305_ctx_size(void);
__attribute__((weak)) void Poly1305_Init(void *context, const uint8_t key[32]);
__attribute__((weak)) void Poly1305_Update(void *context, const uint8_t *in, size_t length);
__attribute__((weak)) void Poly1305_Final(void *context, uint8_t tag[16]);
int CRYPTO_memcmp(const void *a, const void *b, size_t length);

enum {
  BLOCK_BYTES = 64,
  /* Keystream behind the first block, whose half is the one-time key (RFC 8439 §2.6). One call
     makes both, because the assembly costs the same for 64 as for 256 bytes; 1,024 in all, because
     that is what it makes at a time beyond 512, and the rest of a common packet costs half as much
     by the way for short lengths. Nanoseconds a packet of 64, 512 and 1,400 bytes in batches of 45,
     fastest of 1,200, AVX-512, in one run: sealing 281, 561 and 989, by EVP 725, 937 and 1,614;
     opening 265, 560 and 972, by EVP 785, 990 and 1,676. */
  AHEAD_BYTES = CHACHA_STREAM_BYTES - BLOCK_BYTES,
  /* What Poly1305's vector code takes at a time. */
  MAC_STEP_BYTES = 128,
};

/* May lie at any address, and over bytes of any type. */
typedef uint64_t lanes __attribute__((vector_size(16), aligned(1), may_alias));

static void xor_bytes(uint8_t *out, const uint8_t *in, const uint8_t *stream, size_t length) {
  size_t i = 0;
  for (; i + sizeof(lanes) <= length; i += sizeof(lanes))
    *(lanes *)(out + i) = *(const lanes *)(in + i) ^ *(const lanes *)(stream + i);
  for (; i < length; i++)
    out[i] = in[i] ^ stream[i];
}

/* Counter words of a datagram: the nonce is four zero bytes and the header's counter. */
static void set_counter(uint32_t counter[4], uint32_t block, const uint8_t *datagram) {
  counter[0] = block;
  counter[1] = 0;
  memcpy(counter + 2, datagram + 8, 8);
}

/* Makes the one-time key and the keystream for the first bytes of `length`. */
static void make_stream(struct chacha *chacha, const uint8_t *key, const uint8_t *datagram,
                        size_t length) {
  uint32_t counter[4];
  size_t bytes = length < AHEAD_BYTES ? BLOCK_BYTES + length : CHACHA_STREAM_BYTES;
  set_counter(counter, 0, datagram);
  memset(chacha->stream, 0, bytes);
  ChaCha20_ctr32(chacha->stream, chacha->stream, bytes, (const uint32_t *)(const void *)key,
                 counter);
}

/* Encrypts or decrypts, which is the same; `in` may be the place behind the header. */
static void apply_stream(const struct chacha *chacha, const uint8_t *key, uint8_t *datagram,
                         const uint8_t *in, size_t length) {
  uint32_t counter[4];
  uint8_t *out = datagram + HEADER_BYTES;
  size_t first = length < AHEAD_BYTES ? length : AHEAD_BYTES;
  xor_bytes(out, in, chacha->stream + BLOCK_BYTES, first);
  if (length == first) return;
  set_counter(counter, CHACHA_STREAM_BYTES / BLOCK_BYTES, datagram);
  ChaCha20_ctr32(out + first, in + first, length - first, (const uint32_t *)(const void *)key,
                 counter);
}

/* Tag of header and ciphertext, which lie together: both padded to 16 bytes, then both lengths. The
   header is as long as its padding, so it is all one run; its end goes with the rest in one piece.
 */
static void make_tag(struct chacha *chacha, const uint8_t *datagram, size_t length,
                     uint8_t tag[TAG_BYTES]) {
  uint8_t end[MAC_STEP_BYTES + TAG_BYTES + TAG_BYTES];
  size_t total = HEADER_BYTES + length;
  size_t rest = total % MAC_STEP_BYTES;
  size_t padded = (rest + 15) & ~(size_t)15;
  uint64_t lengths[2] = {HEADER_BYTES, length};
  memcpy(end, datagram + total - rest, rest);
  memset(end + rest, 0, padded - rest);
  memcpy(end + padded, lengths, sizeof lengths);
  Poly1305_Init(chacha->poly1305, chacha->stream);
  if (total > rest) Poly1305_Update(chacha->poly1305, datagram, total - rest);
  Poly1305_Update(chacha->poly1305, end, padded + sizeof lengths);
  Poly1305_Final(chacha->poly1305, tag);
}

void chacha_seal(struct chacha *chacha, const uint8_t *key, uint8_t *datagram, const uint8_t *in,
                 size_t length) {
  make_stream(chacha, key, datagram, length);
  apply_stream(chacha, key, datagram, in, length);
  make_tag(chacha, datagram, length, datagram + HEADER_BYTES + length);
}

bool chacha_open(struct chacha *chacha, const uint8_t *key, uint8_t *datagram, size_t length) {
  uint8_t tag[TAG_BYTES];
  make_stream(chacha, key, datagram, length);
  make_tag(chacha, datagram, length, tag);
  if (CRYPTO_memcmp(tag, datagram + HEADER_BYTES + length, TAG_BYTES) != 0) return false;
  apply_stream(chacha, key, datagram, datagram + HEADER_BYTES, length);
  return true;
}

/* --- Whether it may be used. --- */

static bool is_there(void) {
  return ChaCha20_ctr32 != NULL && Poly1305_ctx_size != NULL && Poly1305_Init != NULL &&
         Poly1305_Update != NULL && Poly1305_Final != NULL &&
         Poly1305_ctx_size() <= CHACHA_POLY1305_BYTES;
}

struct trial {
  struct chacha chacha;
  _Alignas(4) uint8_t key[32];
  uint8_t plaintext[TRIAL_BYTES];
  uint8_t expected[OVERHEAD_BYTES + TRIAL_BYTES];
  uint8_t actual[OVERHEAD_BYTES + TRIAL_BYTES];
};

/* Both must make the same datagram, of which one opens, and no other. */
static bool agrees_at(struct trial *trial, struct instance *self, size_t length) {
  size_t total = OVERHEAD_BYTES + length;
  memcpy(trial->actual, trial->expected, HEADER_BYTES);
  if (!evp_seal(self, trial->key, trial->expected, trial->plaintext, (int)length)) return false;
  chacha_seal(&trial->chacha, trial->key, trial->actual, trial->plaintext, length);
  if (memcmp(trial->actual, trial->expected, total) != 0) return false;
  trial->actual[total - 1] ^= 1;
  if (chacha_open(&trial->chacha, trial->key, trial->actual, length)) return false;
  trial->actual[total - 1] ^= 1;
  return chacha_open(&trial->chacha, trial->key, trial->actual, length) &&
         memcmp(trial->actual + HEADER_BYTES, trial->plaintext, length) == 0;
}

/* Lengths at which the code above takes another way, their neighbours, and a common packet. */
static const size_t trial_lengths[] = {
    0,
    1,
    15,
    16,
    17,
    63,
    64,
    65,
    111,
    112,
    113,
    255,
    256,
    1400,
    AHEAD_BYTES - 1,
    AHEAD_BYTES,
    AHEAD_BYTES + 1,
    TRIAL_BYTES - 1,
    TRIAL_BYTES,
};

/* getrandom(2), Linux 3.17, in pieces of 256 bytes, which no signal interrupts. */
static bool fill(uint8_t *bytes, size_t length) {
  while (length > 0) {
    size_t piece = length < 256 ? length : 256;
    if (getrandom(bytes, piece, 0) != (ssize_t)piece) return false;
    bytes += piece;
    length -= piece;
  }
  return true;
}

bool chacha_agrees(struct instance *self) {
  struct trial trial;
  bool agrees = is_there() && fill((uint8_t *)&trial, sizeof trial);
  for (size_t i = 0; agrees && i < sizeof trial_lengths / sizeof trial_lengths[0]; i++)
    agrees = agrees_at(&trial, self, trial_lengths[i]);
  explicit_bzero(&trial, sizeof trial);
  return agrees;
}
