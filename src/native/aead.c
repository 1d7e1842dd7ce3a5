/*
 * The batch cipher: seal packets into DATA datagrams, open them in place.
 *
 * ChaCha20-Poly1305 (RFC 8439) of the OpenSSL inside node, under the HChaCha20 subkey of keys.c,
 * which together is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 §2.3). The header's bytes are
 * written here and listed in PROTOCOL "DATA". Not here: the cipher itself, which is chacha.c where
 * this node has what that needs, else evp.c. The trap: a key may be gone or another one in every
 * batch, so nothing about keys is kept from one to the next.
 */
#include "iptun.h"

#include <endian.h>
#include <string.h>

/* Counters are below it (PROTOCOL "DATA"). */
#define COUNTER_END (UINT64_C(1) << 48)

struct batch {
  struct instance *self;
  struct bytes packets;
  struct bytes datagrams;
  int32_t slot_in_context; /* whose key the context of evp.c holds; -1: none */
  struct chacha chacha;    /* wiped at the end of the batch */
};

/* --- The cipher. --- */

void cipher_choose(struct instance *self) {
  self->cipher = CIPHER_EVP;
  if (evp_begin(self) == 0 && chacha_agrees(self)) self->cipher = CIPHER_PRIMITIVES;
  evp_forget(self);
}

napi_value cipher_kind(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "cipherKind", 1);
  int wanted = take_int(&call, 0);
  if (call.failed) return NULL;
  if (wanted == CIPHER_EVP) call.self->cipher = CIPHER_EVP;
  if (wanted == CIPHER_PRIMITIVES && call.self->cipher != wanted) cipher_choose(call.self);
  return give_int(&call, call.self->cipher);
}

/* Readies `batch`. 0 or -errno. */
static int batch_begin(struct batch *batch) {
  batch->slot_in_context = -1;
  return batch->self->cipher == CIPHER_EVP ? evp_begin(batch->self) : 0;
}

static void batch_end(struct batch *batch) { explicit_bzero(&batch->chacha, sizeof batch->chacha); }

/* The key to give to the context: NULL where it has it, which saves its set-up again. */
static const uint8_t *key_to_give(struct batch *batch, int32_t slot) {
  if (slot == batch->slot_in_context) return NULL;
  batch->slot_in_context = slot;
  return key_of(batch->self, slot);
}

/* Encrypts `length` bytes at `in` behind the header of `datagram` and adds the tag. `in` may be the
   place where the ciphertext goes. */
static bool seal_datagram(struct batch *batch, int32_t slot, uint8_t *datagram, const uint8_t *in,
                          int length) {
  if (batch->self->cipher == CIPHER_PRIMITIVES) {
    chacha_seal(&batch->chacha, key_of(batch->self, slot), datagram, in, (size_t)length);
    return true;
  }
  if (evp_seal(batch->self, key_to_give(batch, slot), datagram, in, length)) return true;
  batch->slot_in_context = -1;
  return false;
}

/* Decrypts in place. Returns whether the tag verified. */
static bool open_datagram(struct batch *batch, int32_t slot, uint8_t *datagram, int length) {
  if (batch->self->cipher == CIPHER_PRIMITIVES)
    return chacha_open(&batch->chacha, key_of(batch->self, slot), datagram, (size_t)length);
  if (evp_open(batch->self, key_to_give(batch, slot), datagram, length)) return true;
  batch->slot_in_context = -1;
  return false;
}

/* --- Seal. --- */

static void write_header(uint8_t *header, const int32_t *row, uint64_t counter) {
  static const uint8_t type_and_version[4] = {4, 1};
  uint32_t receiver = htole32((uint32_t)row[SEAL_RECEIVER_INDEX]);
  counter = htole64(counter);
  memcpy(header, type_and_version, 4);
  memcpy(header + 4, &receiver, 4);
  memcpy(header + 8, &counter, 8);
}

static uint64_t first_counter(const int32_t *row) {
  return (uint64_t)(uint32_t)row[SEAL_COUNTER_HIGH] << 32 | (uint32_t)row[SEAL_COUNTER_LOW];
}

/* Seals one row of one segment. Returns the bytes written, or -errno. */
static int seal_packet(struct batch *batch, const int32_t *row) {
  int32_t length = row[SEAL_IN_LENGTH];
  if (length > INT32_MAX - OVERHEAD_BYTES) return -EINVAL;
  uint8_t *in = slice(batch->packets, row[SEAL_IN_OFFSET], length);
  uint8_t *out = slice(batch->datagrams, row[SEAL_OUT_OFFSET], length + OVERHEAD_BYTES);
  uint64_t counter = first_counter(row);
  if (out == NULL || in == NULL || counter >= COUNTER_END) return -EINVAL;
  bool is_unfinished = length > 0 && (row[SEAL_FLAGS] & PACKET_NEEDS_CHECKSUM) != 0;
  uint8_t first = length > 0 ? in[0] : 0;
  write_header(out, row, counter);
  /* The mark is set for the length of the call and taken back: one byte, where a copy would be all
     of them. Encrypted in place, that byte is ciphertext and stays. */
  if (is_unfinished) in[0] = first | UNFINISHED_CHECKSUM;
  bool is_sealed = seal_datagram(batch, row[SEAL_KEY_SLOT], out, in, length);
  if (is_unfinished && in != out + HEADER_BYTES) in[0] = first;
  return is_sealed ? length + OVERHEAD_BYTES : -EIO;
}

/* Where the `total` bytes of a cut super-packet go, or NULL: outside the arena, or over the packet,
   which is not yet read to its end when the first of them are written. */
static uint8_t *room_for_segments(const struct batch *batch, const int32_t *row,
                                  const struct cut *cut, int64_t total) {
  if (total > INT32_MAX) return NULL;
  uint8_t *out = slice(batch->datagrams, row[SEAL_OUT_OFFSET], (int32_t)total);
  if (out == NULL || (out < cut->packet + cut->length && cut->packet < out + total)) return NULL;
  return out;
}

/* Seals one row of several segments. Returns the bytes written, or -errno. */
static int seal_segments(struct batch *batch, const int32_t *row) {
  struct cut cut;
  int32_t length = row[SEAL_IN_LENGTH];
  uint8_t *in = slice(batch->packets, row[SEAL_IN_OFFSET], length);
  uint64_t counter = first_counter(row);
  if (in == NULL || cut_begin(&cut, row, in, length) < 0) return -EINVAL;
  int64_t more = (int64_t)(cut.segments - 1) * cut.header_length;
  int64_t total = length + more + (int64_t)cut.segments * OVERHEAD_BYTES;
  uint8_t *out = room_for_segments(batch, row, &cut, total);
  if (out == NULL || counter > COUNTER_END - (uint64_t)cut.segments) return -EINVAL;
  for (int32_t i = 0; i < cut.segments; i++) {
    int32_t bytes = cut_length(&cut, i);
    write_header(out, row, counter++);
    if (!seal_datagram(batch, row[SEAL_KEY_SLOT], out, cut_segment(&cut, i), bytes)) return -EIO;
    out += bytes + OVERHEAD_BYTES;
  }
  return (int)total;
}

/* Seals one row. Returns 0 or -errno. */
static int seal_row(struct batch *batch, int32_t *row) {
  row[SEAL_OUT_LENGTH] = 0;
  if (key_of(batch->self, row[SEAL_KEY_SLOT]) == NULL) return -ENOKEY;
  if (row[SEAL_SEGMENTS] < 1) return -EINVAL;
  int length = row[SEAL_SEGMENTS] == 1 ? seal_packet(batch, row) : seal_segments(batch, row);
  if (length < 0) return length;
  row[SEAL_OUT_LENGTH] = length;
  return 0;
}

static int seal_rows(struct batch *batch, int32_t *row, int32_t count) {
  int sealed = 0;
  for (int32_t i = 0; i < count; i++, row += SEAL_FIELDS) {
    row[SEAL_STATUS] = seal_row(batch, row);
    if (row[SEAL_STATUS] == 0) sealed++;
  }
  return sealed;
}

napi_value aead_seal(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "seal", 4);
  struct batch batch;
  batch.self = call.self;
  batch.packets = take_bytes(&call, 0);
  batch.datagrams = take_bytes(&call, 1);
  struct rows rows = take_rows(&call, 2);
  int32_t count = take_int(&call, 3);
  if (call.failed) return NULL;
  if (!holds_rows(rows, count, SEAL_FIELDS)) return give_int(&call, -EINVAL);
  int result = batch_begin(&batch);
  if (result == 0) result = seal_rows(&batch, rows.data, count);
  batch_end(&batch);
  return give_int(&call, result);
}

/* --- Open. --- */

/* Opens `count` datagrams of `size` bytes that follow one another, up to the first that fails.
   Returns how many opened. */
static int32_t open_run(struct batch *batch, int32_t slot, uint8_t *first, int32_t size,
                        int32_t count) {
  int32_t opened = 0;
  while (opened < count && open_datagram(batch, slot, first, size - OVERHEAD_BYTES)) {
    first += size;
    opened++;
  }
  return opened;
}

/* Notes in a run's headers, which nobody needs any more, which packets are alike. */
static void note_alike(uint8_t *datagram, int32_t size, int32_t count) {
  for (int32_t alike; count > 0; count -= alike) {
    alike = count_alike(datagram + HEADER_BYTES, size - OVERHEAD_BYTES, (size_t)size, count);
    uint16_t noted = htole16((uint16_t)alike);
    memcpy(datagram + OPENED_ALIKE, &noted, sizeof noted);
    datagram += (size_t)alike * (size_t)size;
  }
}

/* Opens one row. Returns the plaintext's length, OPEN_FAILED, or -errno. */
static int open_row(struct batch *batch, int32_t *row) {
  int32_t size = row[OPEN_SEGMENT] == 0 ? row[OPEN_LENGTH] : row[OPEN_SEGMENT];
  row[OPEN_OPENED] = 0;
  if (size < OVERHEAD_BYTES || row[OPEN_LENGTH] % size != 0) return -EINVAL;
  int32_t count = row[OPEN_LENGTH] / size;
  int32_t length = size - OVERHEAD_BYTES;
  uint8_t *first = slice(batch->datagrams, row[OPEN_OFFSET], row[OPEN_LENGTH]);
  if (first == NULL || count < 1 || count > UINT16_MAX) return -EINVAL;
  if (key_of(batch->self, row[OPEN_KEY_SLOT]) == NULL) return -ENOKEY;
  int32_t opened = open_run(batch, row[OPEN_KEY_SLOT], first, size, count);
  row[OPEN_OPENED] = opened;
  if (opened > 1) note_alike(first, size, opened);
  return opened == count ? length : OPEN_FAILED;
}

static int open_rows(struct batch *batch, int32_t *row, int32_t count) {
  int opened = 0;
  for (int32_t i = 0; i < count; i++, row += OPEN_FIELDS) {
    row[OPEN_STATUS] = open_row(batch, row);
    if (row[OPEN_STATUS] >= 0) opened++;
  }
  return opened;
}

napi_value aead_open(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "open", 3);
  struct batch batch;
  batch.self = call.self;
  batch.datagrams = take_bytes(&call, 0);
  struct rows rows = take_rows(&call, 1);
  int32_t count = take_int(&call, 2);
  if (call.failed) return NULL;
  if (!holds_rows(rows, count, OPEN_FIELDS)) return give_int(&call, -EINVAL);
  int result = batch_begin(&batch);
  if (result == 0) result = open_rows(&batch, rows.data, count);
  batch_end(&batch);
  return give_int(&call, result);
}
