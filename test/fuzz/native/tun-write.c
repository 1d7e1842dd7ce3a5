/*
 * Target: the addon's `tunWrite`, any rows with any chains and pieces.
 *
 * What the fake device is given must be the bytes that a plain walk over the rows lists, in order,
 * behind the vnet header that the first row asks for; statuses must be the device's answers; the
 * arena stays as it was.
 */
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "fake-kernel.h"
#include "fake-napi.h"
#include "input.h"

enum { MOST_ROWS = 24, MOST_PIECES = 128 };

/* The call in progress: rows as they were, the arena, and what the plain walk expects next. */
static struct {
  struct input *input;
  const int32_t *rows;
  int32_t count;
  const uint8_t *arena;
  size_t arena_bytes;
  int32_t next; /* the row that the plain walk looks at next */
  int32_t status[MOST_ROWS];
} call;

static const int32_t *row_at(int32_t index) { return call.rows + (size_t)index * PACKET_FIELDS; }

/* The row behind `index`; 0: none; -1: a bad chain. */
static int32_t row_behind(int32_t index) {
  int32_t next = row_at(index)[PACKET_NEXT];
  if (next == 0) return 0;
  if (next <= index || next >= call.count) return -1;
  return row_at(next)[PACKET_FLAGS] & PACKET_PART ? next : -1;
}

struct piece {
  size_t offset;
  size_t length;
};

/* Adds a row's pieces; returns how many there are, or -1. */
static int list_row(const int32_t *row, struct piece *pieces, int count) {
  int32_t wanted = row[PACKET_PIECES] == 0 ? 1 : row[PACKET_PIECES];
  if (wanted < 0 || wanted > MOST_PIECES - count) return -1;
  for (int32_t i = 0; i < wanted; i++) {
    int64_t offset = (int64_t)row[PACKET_OFFSET] + (int64_t)i * row[PACKET_STRIDE];
    if (offset < 0 || row[PACKET_LENGTH] < 0 ||
        offset + row[PACKET_LENGTH] > (int64_t)call.arena_bytes)
      return -1;
    pieces[count++] = (struct piece){(size_t)offset, (size_t)row[PACKET_LENGTH]};
  }
  return count;
}

/* The pieces of the packet that starts at a row, or -1. */
static int list_packet(int32_t index, struct piece *pieces) {
  const int32_t *first = row_at(index);
  int count = 0;
  if (first[PACKET_GSO_TYPE] < 0 || first[PACKET_GSO_TYPE] > 255) return -1;
  for (int32_t field = PACKET_GSO_SIZE; field <= PACKET_CHECKSUM_OFFSET; field++)
    if (first[field] < 0 || first[field] > 65535) return -1;
  for (int32_t row = index;;) {
    count = list_row(row_at(row), pieces, count);
    if (count < 0) return -1;
    row = row_behind(row);
    if (row <= 0) return row < 0 ? -1 : count;
  }
}

/* Looks for the next row that starts a good packet; returns its pieces, or 0 at the end. */
static int next_packet(struct piece *pieces) {
  for (; call.next < call.count; call.next++) {
    if (row_at(call.next)[PACKET_FLAGS] & PACKET_PART) continue;
    int count = list_packet(call.next, pieces);
    if (count > 0) return count;
  }
  return 0;
}

static void check_header(const uint8_t *bytes, const int32_t *row) {
  struct virtio_net_hdr header;
  memcpy(&header, bytes, sizeof header);
  CHECK(header.flags == (row[PACKET_FLAGS] & PACKET_NEEDS_CHECKSUM));
  CHECK(header.gso_type == row[PACKET_GSO_TYPE] && header.gso_size == row[PACKET_GSO_SIZE]);
  CHECK(header.hdr_len == row[PACKET_HEADER_LENGTH]);
  CHECK(header.csum_start == row[PACKET_CHECKSUM_START]);
  CHECK(header.csum_offset == row[PACKET_CHECKSUM_OFFSET]);
}

static size_t total_of(const struct iovec *vector, size_t count) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++)
    total += vector[i].iov_len;
  return total;
}

static uint8_t *joined(const struct iovec *vector, size_t count) {
  size_t done = 0;
  uint8_t *bytes = block_of(total_of(vector, count));
  for (size_t i = 0; i < count; i++) {
    if (vector[i].iov_len > 0) memcpy(bytes + done, vector[i].iov_base, vector[i].iov_len);
    done += vector[i].iov_len;
  }
  return bytes;
}

static void check_written(const struct iovec *vector, size_t count, const struct piece *pieces,
                          int piece_count) {
  size_t at = sizeof(struct virtio_net_hdr);
  uint8_t *bytes = joined(vector, count);
  size_t total = total_of(vector, count);
  check_header(bytes, row_at(call.next));
  for (int i = 0; i < piece_count; i++) {
    CHECK(at + pieces[i].length <= total);
    /* Compared with the arena as it was: the header may lie over bytes in front. */
    CHECK(memcmp(bytes + at, call.arena + pieces[i].offset, pieces[i].length) == 0);
    at += pieces[i].length;
  }
  CHECK(at == total);
  free(bytes);
}

static ssize_t write_device(const struct iovec *vector, size_t count, bool is_write) {
  struct piece pieces[MOST_PIECES];
  int piece_count = next_packet(pieces);
  uint8_t say = next_byte(call.input);
  CHECK(is_write && piece_count > 0);
  check_written(vector, count, pieces, piece_count);
  if (say == 250 && call.input->left > 0) return -EINTR;
  int32_t status = say > 250 ? -(int32_t)(say - 240) : say == 249 ? -EINVAL : 0;
  if (status != -EINVAL) {
    int32_t row = call.next;
    do
      call.status[row] = status;
    while ((row = row_behind(row)) > 0);
  }
  call.next++;
  return status < 0 ? status : (ssize_t)total_of(vector, count);
}

/* Each status is the device's answer, and nothing else of the rows is another. */
static void check_rows(int32_t *rows, int32_t result) {
  struct piece pieces[MOST_PIECES];
  CHECK(next_packet(pieces) == 0);
  CHECK(result >= 0 && result <= call.count);
  for (int32_t i = 0; i < call.count; i++) {
    int32_t *row = rows + (size_t)i * PACKET_FIELDS;
    CHECK(row[PACKET_STATUS] == call.status[i]);
    row[PACKET_STATUS] = row_at(i)[PACKET_STATUS];
  }
}

static void begin_call(struct input *input, const int32_t *rows, int32_t count,
                       const uint8_t *arena, size_t arena_bytes) {
  memset(&call, 0, sizeof call);
  call.input = input;
  call.rows = rows;
  call.count = count;
  call.arena = arena;
  call.arena_bytes = arena_bytes;
  for (size_t i = 0; i < MOST_ROWS; i++)
    call.status[i] = -EINVAL;
  fake_kernel = (struct fake_kernel){.transfer = write_device};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  uint8_t mode = next_byte(&input);
  size_t arena_bytes = next_short(&input) % 4096;
  int32_t count = next_byte(&input) % MOST_ROWS;
  int32_t told = mode & 1 ? next_int(&input) : count;
  size_t fields = (size_t)count * PACKET_FIELDS;
  size_t row_bytes = fields * sizeof(int32_t);
  int32_t *rows = block_of(row_bytes);
  uint8_t *arena = block_of(arena_bytes);
  next_bytes(&input, rows, row_bytes);
  for (size_t i = 0; i < arena_bytes; i++)
    arena[i] = (uint8_t)(i * 13 + 1);
  int32_t *rows_before = copy_of(rows, row_bytes);
  uint8_t *arena_before = copy_of(arena, arena_bytes);
  begin_call(&input, rows_before, told, arena_before, arena_bytes);
  const struct value arguments[] = {int_value(3), bytes_value(arena, arena_bytes),
                                    rows_value(rows, fields), int_value(told)};
  int32_t result = call_addon("tunWrite", arguments, 4);
  bool is_wrong = told < 0 || told > count;
  CHECK(!is_wrong || result == -EINVAL);
  if (!is_wrong) check_rows(rows, result);
  CHECK(memcmp(rows, rows_before, row_bytes) == 0);
  CHECK(memcmp(arena, arena_before, arena_bytes) == 0);
  free(arena_before);
  free(rows_before);
  free(arena);
  free(rows);
  return 0;
}
