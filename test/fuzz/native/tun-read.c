/*
 * Target: the addon's `tunRead`, any vnet headers and lengths.
 *
 * The fake device gives packets of any length with any header in front. Rows must repeat the
 * headers, packets must lie where the rows say, and no other byte of the arena may be another
 * afterwards.
 */
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "fake-kernel.h"
#include "fake-napi.h"
#include "input.h"

enum { MOST_ROWS = 40, MOST_ARENA = 16384, HEADER = sizeof(struct virtio_net_hdr) };

/* What a read gave. */
struct given {
  uint8_t header[HEADER];
  uint8_t filler;
  size_t bytes; /* behind the header, one more than there is room for at most */
};

static struct input *kernel_input;
static struct given given[MOST_ROWS + 1];
static size_t given_count;
static size_t expected_room;

static size_t put(const struct iovec *vector, size_t count, const uint8_t *bytes, size_t length) {
  size_t done = 0;
  for (size_t i = 0; i < count && done < length; i++) {
    size_t piece = vector[i].iov_len < length - done ? vector[i].iov_len : length - done;
    memcpy(vector[i].iov_base, bytes + done, piece);
    done += piece;
  }
  return done;
}

static ssize_t read_device(const struct iovec *vector, size_t count, bool is_write) {
  static uint8_t packet[HEADER + MOST_ARENA + 1];
  struct given *now = &given[given_count];
  size_t room = 0;
  CHECK(!is_write);
  for (size_t i = 0; i < count; i++)
    room += vector[i].iov_len;
  /* Always one spare byte, or a cut packet would go unnoticed. */
  CHECK(room == HEADER + expected_room + 1);
  if (kernel_input->left == 0) return -EAGAIN;
  uint8_t say = next_byte(kernel_input);
  if (say >= 250) return say == 250 ? -EINTR : -(ssize_t)say;
  if (say >= 240) return say - 240;
  CHECK(given_count <= MOST_ROWS);
  next_bytes(kernel_input, now->header, HEADER);
  size_t bytes = say < 128 ? next_short(kernel_input) : expected_room - 60 + say % 64;
  now->filler = (uint8_t)(given_count + 1);
  memcpy(packet, now->header, HEADER);
  memset(packet + HEADER, now->filler, bytes < MOST_ARENA ? bytes : MOST_ARENA);
  if (bytes > MOST_ARENA) bytes = MOST_ARENA;
  now->bytes = put(vector, count, packet, HEADER + bytes) - HEADER;
  given_count++;
  return (ssize_t)(HEADER + now->bytes);
}

static void check_row(const int32_t *row, const struct given *as, size_t room) {
  struct virtio_net_hdr header;
  memcpy(&header, as->header, sizeof header);
  bool is_cut = as->bytes > room;
  CHECK(row[PACKET_LENGTH] == (int32_t)(is_cut ? room : as->bytes));
  CHECK(row[PACKET_STATUS] == (is_cut ? -EMSGSIZE : 0));
  CHECK(row[PACKET_FLAGS] == (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM));
  CHECK(row[PACKET_GSO_TYPE] == header.gso_type && row[PACKET_GSO_SIZE] == header.gso_size);
  CHECK(row[PACKET_HEADER_LENGTH] == header.hdr_len);
  CHECK(row[PACKET_CHECKSUM_START] == header.csum_start);
  CHECK(row[PACKET_CHECKSUM_OFFSET] == header.csum_offset);
  CHECK(row[PACKET_NEXT] == 0 && row[PACKET_PIECES] == 0 && row[PACKET_STRIDE] == 0);
}

/* Packets lie one behind another at multiples of 64, and all other bytes are as they were. */
static void check_arena(const uint8_t *arena, size_t length, const int32_t *rows, int32_t count,
                        size_t room) {
  uint8_t *expected = block_of(length);
  size_t offset = 0;
  for (int32_t i = 0; i < count; i++) {
    const int32_t *row = rows + (size_t)i * PACKET_FIELDS;
    CHECK((size_t)row[PACKET_OFFSET] == offset && offset + room <= length);
    memset(expected + offset, given[i].filler, (size_t)row[PACKET_LENGTH]);
    /* The spare byte of a packet that was cut may lie behind its room. */
    if (given[i].bytes > room && offset + room < length)
      expected[offset + room] = arena[offset + room];
    offset += ((size_t)row[PACKET_LENGTH] + 63) / 64 * 64;
  }
  CHECK(memcmp(arena, expected, length) == 0);
  free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  size_t length = next_short(&input) % MOST_ARENA;
  int32_t capacity = next_byte(&input) % MOST_ROWS;
  int32_t room = next_short(&input) % 4096;
  uint8_t lie = next_byte(&input);
  if (lie > 240) room = next_int(&input);
  int32_t told = lie % 16 == 15 ? next_int(&input) : capacity;
  int32_t *rows = block_of((size_t)capacity * PACKET_FIELDS * sizeof *rows);
  uint8_t *arena = block_of(length);
  kernel_input = &input;
  given_count = 0;
  expected_room = (size_t)room;
  fake_kernel = (struct fake_kernel){.transfer = read_device};
  const struct value arguments[] = {int_value(3), bytes_value(arena, length), int_value(room),
                                    rows_value(rows, (size_t)capacity * PACKET_FIELDS),
                                    int_value(told)};
  int32_t result = call_addon("tunRead", arguments, 5);
  if (room < 1 || (size_t)room > length || told < 0 || told > capacity) {
    CHECK(result == -EINVAL && given_count == 0);
  } else {
    CHECK(result <= told && given_count == (size_t)(result > 0 ? result : 0));
    for (int32_t i = 0; i < result; i++)
      check_row(rows + (size_t)i * PACKET_FIELDS, &given[i], (size_t)room);
    check_arena(arena, length, rows, result, (size_t)room);
  }
  free(arena);
  free(rows);
  return 0;
}
