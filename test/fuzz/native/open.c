/*
 * Target: the addon's `open`, any row table over genuine and spoilt datagrams.
 *
 * The target seals some runs itself and spoils bytes of them; the rows name any bytes. What opens,
 * how far, what it holds, and what is noted of alike packets must be what the plain twins say.
 */
#include <stdlib.h>
#include <string.h>

#include "fake-napi.h"
#include "input.h"
#include "plain.h"

enum {
  MOST_ROWS = 5,
  MOST_RUNS = 4,
  RUN_BYTES = 7,
  MOST_EDITS = 8,
  EDIT_BYTES = 3,
  MODE_EVP = 1,
  MODE_COUNT = 4,
};

/* Seals a run in place: `count` datagrams of `size` bytes whose plaintext is what lies there. */
static void seal_run(struct input *input, uint8_t *arena, size_t length) {
  size_t offset = next_short(input);
  size_t size = next_short(input) % 2048 + OVERHEAD_BYTES;
  int count = next_byte(input) % 80;
  uint8_t choice = next_byte(input);
  const uint8_t *key = key_of(loaded_addon(), choice & 1);
  uint64_t counter = next_byte(input);
  if (choice & 2 && offset + size <= length) {
    /* The same packet again and again is how alike ones look, ids and sequence numbers apart. */
    for (int i = 1; i < count && offset + (size_t)(i + 1) * size <= length; i++)
      memcpy(arena + offset + (size_t)i * size, arena + offset, size);
  }
  for (int i = 0; i < count && offset + size <= length; i++, counter++, offset += size) {
    uint8_t *datagram = arena + offset;
    memcpy(datagram, (const uint8_t[]){4, 1, 0, 0, 9, 9, 9, 9}, 8);
    memcpy(datagram + 8, &counter, 8);
    plain_seal(key, datagram, datagram + HEADER_BYTES, (int32_t)(size - OVERHEAD_BYTES));
  }
}

static int32_t open_rows(uint8_t *arena, size_t length, int32_t *rows, size_t fields,
                         int32_t count) {
  const struct value arguments[] = {bytes_value(arena, length), rows_value(rows, fields),
                                    int_value(count)};
  return call_addon("open", arguments, 3);
}

/* Whether the row names datagrams inside the arena; then `size` and `count` say which. */
static bool plain_run(const int32_t *row, size_t length, int32_t *size, int32_t *count) {
  int64_t total = row[OPEN_LENGTH];
  *size = row[OPEN_SEGMENT] == 0 ? row[OPEN_LENGTH] : row[OPEN_SEGMENT];
  if (row[OPEN_OFFSET] < 0 || total < 1 || *size < OVERHEAD_BYTES || total % *size != 0)
    return false;
  *count = (int32_t)(total / *size);
  return *count <= UINT16_MAX && row[OPEN_OFFSET] + total <= (int64_t)length;
}

/* Opens on the expected arena as far as it goes, and notes what is alike; returns how many opened.
 */
static int32_t expect_run(const int32_t *row, uint8_t *expected, int32_t size, int32_t count) {
  uint8_t *first = expected + row[OPEN_OFFSET];
  uint8_t *text = block_of((size_t)size);
  int32_t opened = 0;
  for (; opened < count; opened++) {
    uint8_t *datagram = first + (size_t)opened * (size_t)size;
    const uint8_t *key = key_of(loaded_addon(), row[OPEN_KEY_SLOT]);
    if (!plain_open(key, datagram, size, text)) break;
    memcpy(datagram + HEADER_BYTES, text, (size_t)size - OVERHEAD_BYTES);
  }
  for (int32_t done = 0; opened > 1 && done < opened;) {
    uint8_t *datagram = first + (size_t)done * (size_t)size;
    int32_t alike =
        plain_alike(datagram + HEADER_BYTES, size - OVERHEAD_BYTES, (size_t)size, opened - done);
    datagram[OPENED_ALIKE] = (uint8_t)alike;
    datagram[OPENED_ALIKE + 1] = (uint8_t)(alike >> 8);
    done += alike;
  }
  free(text);
  return opened;
}

static void open_one(uint8_t *arena, size_t length, int32_t *row) {
  uint8_t *expected = copy_of(arena, length);
  int32_t size = 0;
  int32_t count = 0;
  bool has_key = key_of(loaded_addon(), row[OPEN_KEY_SLOT]) != NULL;
  bool is_run = plain_run(row, length, &size, &count);
  int32_t result = open_rows(arena, length, row, OPEN_FIELDS, 1);
  int32_t status = row[OPEN_STATUS];
  CHECK(result == (status >= 0));
  if (!is_run || !has_key) {
    CHECK(status == (is_run ? -ENOKEY : -EINVAL) && row[OPEN_OPENED] == 0);
  } else {
    int32_t opened = expect_run(row, expected, size, count);
    CHECK(row[OPEN_OPENED] == opened);
    CHECK(status == (opened == count ? size - OVERHEAD_BYTES : OPEN_FAILED));
    size_t failed = (size_t)row[OPEN_OFFSET] + (size_t)opened * (size_t)size;
    /* The text of a datagram that failed is worthless. */
    if (opened < count)
      memcpy(expected + failed + HEADER_BYTES, arena + failed + HEADER_BYTES,
             (size_t)size - OVERHEAD_BYTES);
  }
  CHECK(memcmp(arena, expected, length) == 0);
  free(expected);
}

/* The batch must do what its rows do one by one. */
static void check_batch(uint8_t *batch, size_t length, int32_t *rows, int32_t count, int32_t told) {
  size_t fields = (size_t)count * OPEN_FIELDS;
  uint8_t *single = copy_of(batch, length);
  int32_t *single_rows = copy_of(rows, fields * sizeof *rows);
  int32_t result = open_rows(batch, length, rows, fields, told);
  if (told < 0 || told > count) {
    CHECK(result == -EINVAL && memcmp(batch, single, length) == 0);
  } else {
    for (int32_t i = 0; i < told; i++)
      open_one(single, length, single_rows + (size_t)i * OPEN_FIELDS);
    CHECK(memcmp(batch, single, length) == 0);
    CHECK(memcmp(rows, single_rows, fields * sizeof *rows) == 0);
  }
  free(single_rows);
  free(single);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  uint8_t mode = next_byte(&input);
  int32_t count = next_byte(&input) % (MOST_ROWS + 1);
  int32_t told = mode & MODE_COUNT ? next_int(&input) : count;
  size_t row_bytes = (size_t)count * OPEN_FIELDS * sizeof(int32_t);
  uint8_t runs[MOST_RUNS * RUN_BYTES];
  uint8_t edits[MOST_EDITS * EDIT_BYTES];
  size_t run_count = next_byte(&input) % (MOST_RUNS + 1);
  size_t edit_count = next_byte(&input) % MOST_EDITS;
  uint8_t growth = next_byte(&input);
  int32_t *rows = block_of(row_bytes);
  next_bytes(&input, rows, row_bytes);
  next_bytes(&input, runs, run_count * RUN_BYTES);
  next_bytes(&input, edits, edit_count * EDIT_BYTES);
  struct input run_input = {runs, run_count * RUN_BYTES};
  size_t length;
  uint8_t *batch = rest_of(&input, (size_t)growth * 32, &length);
  use_cipher((mode & MODE_EVP) != 0);
  for (size_t i = 0; i < run_count; i++)
    seal_run(&run_input, batch, length);
  for (const uint8_t *edit = edits; edit < edits + edit_count * EDIT_BYTES && length > 0;
       edit += EDIT_BYTES)
    batch[(size_t)(edit[0] | edit[1] << 8) % length] ^= edit[2];
  check_batch(batch, length, rows, count, told);
  free(rows);
  free(batch);
  return 0;
}
