/*
 * Target: the addon's `seal`, any row table and any packets, as a wrong caller might give them.
 *
 * The batch must do what its rows do one by one; a refused row changes nothing; a sealed one is
 * what the plain twins make of it, and no byte beside it changes.
 */
#include <stdlib.h>
#include <string.h>

#include "fake-napi.h"
#include "input.h"
#include "plain.h"

enum { MOST_ROWS = 5, MODE_EVP = 1, MODE_ONE_ARENA = 2, MODE_COUNT = 4, MODE_SEGMENTS = 8 };

struct arenas {
  uint8_t *packets;
  size_t packet_bytes;
  uint8_t *datagrams;
  size_t datagram_bytes;
  bool is_one;
};

static struct arenas copied(const struct arenas *from) {
  struct arenas copy = *from;
  copy.packets = copy_of(from->packets, from->packet_bytes);
  copy.datagrams = from->is_one ? copy.packets : copy_of(from->datagrams, from->datagram_bytes);
  return copy;
}

static void release(struct arenas *arenas) {
  free(arenas->packets);
  if (!arenas->is_one) free(arenas->datagrams);
}

static bool is_same(const struct arenas *a, const struct arenas *b) {
  return memcmp(a->packets, b->packets, a->packet_bytes) == 0 &&
         memcmp(a->datagrams, b->datagrams, a->datagram_bytes) == 0;
}

static int32_t seal(const struct arenas *arenas, int32_t *rows, size_t fields, int32_t count) {
  const struct value arguments[] = {bytes_value(arenas->packets, arenas->packet_bytes),
                                    bytes_value(arenas->datagrams, arenas->datagram_bytes),
                                    rows_value(rows, fields), int_value(count)};
  return call_addon("seal", arguments, 4);
}

/* Writes header and ciphertext of one datagram that the row should have made. */
static void expect_datagram(const int32_t *row, int32_t index, const uint8_t *text, int32_t length,
                            uint8_t *out) {
  uint64_t counter = (uint32_t)row[SEAL_COUNTER_LOW];
  counter += ((uint64_t)(uint32_t)row[SEAL_COUNTER_HIGH] << 32) + (uint64_t)index;
  CHECK(counter < UINT64_C(1) << 48);
  memcpy(out, (const uint8_t[]){4, 1, 0, 0}, 4);
  memcpy(out + 4, row + SEAL_RECEIVER_INDEX, 4);
  memcpy(out + 8, &counter, 8);
  plain_seal(key_of(loaded_addon(), row[SEAL_KEY_SLOT]), out, text, length);
}

/* Makes what the row should have made at `out`; returns its bytes. */
static int32_t expect_row(const struct arenas *before, const int32_t *row, uint8_t *out) {
  const uint8_t *in = before->packets + row[SEAL_IN_OFFSET];
  int32_t length = row[SEAL_IN_LENGTH];
  uint8_t *text = block_of((size_t)length);
  int32_t total = 0;
  for (int32_t i = 0; i < row[SEAL_SEGMENTS]; i++) {
    int32_t bytes = length;
    if (row[SEAL_SEGMENTS] > 1) {
      bytes = plain_segment(row, in, length, i, text);
    } else if (length > 0) {
      memcpy(text, in, (size_t)length);
      if (row[SEAL_FLAGS] & PACKET_NEEDS_CHECKSUM) text[0] |= 0x80;
    }
    expect_datagram(row, i, text, bytes, out + total);
    total += bytes + OVERHEAD_BYTES;
  }
  free(text);
  return total;
}

static void check_sealed(const struct arenas *before, const struct arenas *after,
                         const int32_t *row) {
  struct arenas expected = copied(before);
  bool is_many = row[SEAL_SEGMENTS] > 1;
  const uint8_t *in = before->packets + row[SEAL_IN_OFFSET];
  CHECK(row[SEAL_IN_OFFSET] >= 0 && row[SEAL_IN_LENGTH] >= 0);
  CHECK((size_t)row[SEAL_IN_OFFSET] + (size_t)row[SEAL_IN_LENGTH] <= before->packet_bytes);
  CHECK(row[SEAL_OUT_OFFSET] >= 0 && row[SEAL_OUT_LENGTH] >= OVERHEAD_BYTES);
  CHECK((size_t)row[SEAL_OUT_OFFSET] + (size_t)row[SEAL_OUT_LENGTH] <= before->datagram_bytes);
  CHECK(!is_many || plain_may_cut(row, in, row[SEAL_IN_LENGTH]));
  int32_t total = expect_row(before, row, expected.datagrams + row[SEAL_OUT_OFFSET]);
  CHECK(total == row[SEAL_OUT_LENGTH]);
  /* Cutting leaves the super-packet in ruins, and nothing else. */
  if (is_many)
    memcpy(expected.packets + row[SEAL_IN_OFFSET], after->packets + row[SEAL_IN_OFFSET],
           (size_t)row[SEAL_IN_LENGTH]);
  CHECK(is_same(&expected, after));
  release(&expected);
}

/* Seals one row, and says what is true of it whatever it holds. */
static int32_t seal_one(const struct arenas *arenas, int32_t *row) {
  struct arenas before = copied(arenas);
  int32_t sealed = seal(arenas, row, SEAL_FIELDS, 1);
  int32_t status = row[SEAL_STATUS];
  CHECK(sealed == (status == 0));
  CHECK(status == 0 || status == -EINVAL || status == -ENOKEY || status == -EIO);
  CHECK((status == -ENOKEY) == (key_of(loaded_addon(), row[SEAL_KEY_SLOT]) == NULL));
  CHECK((status == 0) == (row[SEAL_OUT_LENGTH] != 0));
  /* EIO: OpenSSL refuses to encrypt over a part of its own input, which one arena allows. */
  CHECK(status != -EIO || arenas->is_one);
  if (status == -EINVAL || status == -ENOKEY) CHECK(is_same(arenas, &before));
  if (status == 0 && !arenas->is_one) check_sealed(&before, arenas, row);
  release(&before);
  return sealed;
}

/* A division is not to be guessed: the number of segments that the row's other fields mean. */
static void set_segments(int32_t *row) {
  int64_t payload = (int64_t)row[SEAL_IN_LENGTH] - row[SEAL_HEADER_LENGTH];
  if (payload < 1 || payload > INT32_MAX || row[SEAL_GSO_SIZE] < 1) return;
  row[SEAL_SEGMENTS] = (int32_t)((payload - 1) / row[SEAL_GSO_SIZE] + 1);
}

/* The batch must do what its rows do one by one. */
static void check_batch(const struct arenas *batch, int32_t *rows, int32_t count, int32_t told) {
  size_t fields = (size_t)count * SEAL_FIELDS;
  struct arenas single = copied(batch);
  int32_t *single_rows = copy_of(rows, fields * sizeof *rows);
  int32_t result = seal(batch, rows, fields, told);
  if (told < 0 || told > count) {
    CHECK(result == -EINVAL && is_same(batch, &single));
  } else {
    int32_t sealed = 0;
    for (int32_t i = 0; i < told; i++)
      sealed += seal_one(&single, single_rows + (size_t)i * SEAL_FIELDS);
    CHECK(result == sealed && is_same(batch, &single));
    CHECK(memcmp(rows, single_rows, fields * sizeof *rows) == 0);
  }
  free(single_rows);
  release(&single);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  uint8_t mode = next_byte(&input);
  int32_t count = next_byte(&input) % (MOST_ROWS + 1);
  int32_t told = mode & MODE_COUNT ? next_int(&input) : count;
  size_t room = next_short(&input);
  uint8_t growth = next_byte(&input);
  size_t row_bytes = (size_t)count * SEAL_FIELDS * sizeof(int32_t);
  int32_t *rows = block_of(row_bytes);
  next_bytes(&input, rows, row_bytes);
  if (mode & MODE_SEGMENTS)
    for (int32_t i = 0; i < count; i++)
      set_segments(rows + (size_t)i * SEAL_FIELDS);
  struct arenas batch = {.is_one = (mode & MODE_ONE_ARENA) != 0};
  batch.packets = rest_of(&input, (size_t)growth * 16, &batch.packet_bytes);
  batch.datagram_bytes = batch.is_one ? batch.packet_bytes : room;
  batch.datagrams = batch.is_one ? batch.packets : block_of(room);
  use_cipher((mode & MODE_EVP) != 0);
  check_batch(&batch, rows, count, told);
  free(rows);
  release(&batch);
  return 0;
}
