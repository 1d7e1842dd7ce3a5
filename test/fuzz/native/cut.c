/*
 * Target: cutting a super-packet, any row and any bytes.
 *
 * What cut.c accepts and each segment it makes must equal the plain twin's; then the segments, laid
 * side by side as datagrams are opened, go through count_alike.
 */
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "plain.h"

/* Keeps one run short: a super-packet cut into single bytes is as long as the square of it. */
#define MOST_SEGMENTS 70

struct run {
  const int32_t *row;
  const uint8_t *packet;
  int32_t length;
};

/* The segments of one size, as a run of opened datagrams holds them. */
static void check_alike(const struct run *run, const struct cut *cut, int32_t count) {
  int32_t bytes = cut->header_length + cut->segment_size;
  size_t stride = (size_t)bytes + OVERHEAD_BYTES;
  uint8_t *opened = block_of((size_t)count * stride);
  for (int32_t i = 0; i < count; i++)
    plain_segment(run->row, run->packet, run->length, i, opened + (size_t)i * stride);
  int32_t alike = count_alike(opened, bytes, stride, count);
  CHECK(alike == plain_alike(opened, bytes, stride, count));
  CHECK(alike >= 1 && alike <= count);
  free(opened);
}

static void check_segments(const struct run *run, struct cut *cut) {
  int32_t most = cut->header_length + cut->segment_size;
  int32_t count = cut->segments < MOST_SEGMENTS ? cut->segments : MOST_SEGMENTS;
  uint8_t *expected = block_of((size_t)most);
  for (int32_t i = 0; i < count; i++) {
    int32_t length = cut_length(cut, i);
    CHECK(length > cut->header_length && length <= most);
    CHECK(plain_segment(run->row, run->packet, run->length, i, expected) == length);
    CHECK(memcmp(cut_segment(cut, i), expected, (size_t)length) == 0);
  }
  free(expected);
  int32_t whole = count < cut->segments ? count : count - 1;
  if (whole > 0) check_alike(run, cut, whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  int32_t row[SEAL_FIELDS] = {0};
  uint8_t mode = next_byte(&input);
  uint8_t growth = next_byte(&input);
  next_bytes(&input, row + SEAL_SEGMENTS, (SEAL_FIELDS - SEAL_SEGMENTS) * sizeof *row);
  size_t length;
  size_t more = mode & 2 ? (size_t)growth * growth * 2 : growth;
  uint8_t *packet = rest_of(&input, more, &length);
  /* A division is not to be guessed: mostly the number of segments is right. */
  if ((mode & 1) != 0 && row[SEAL_GSO_SIZE] > 0 && (int64_t)length > row[SEAL_HEADER_LENGTH])
    row[SEAL_SEGMENTS] =
        (int32_t)(((int64_t)length - row[SEAL_HEADER_LENGTH] - 1) / row[SEAL_GSO_SIZE] + 1);
  uint8_t *before = copy_of(packet, length);
  struct cut cut;
  bool is_cut = cut_begin(&cut, row, packet, (int32_t)length) == 0;
  CHECK(length == 0 || memcmp(packet, before, length) == 0);
  CHECK(is_cut == (length > 0 && plain_may_cut(row, before, (int32_t)length)));
  if (is_cut) check_segments(&(struct run){row, before, (int32_t)length}, &cut);
  free(before);
  free(packet);
  return 0;
}
