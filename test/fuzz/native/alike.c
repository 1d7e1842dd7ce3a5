/*
 * Target: likeness of opened datagrams, any size and any bytes.
 *
 * The first packet is repeated as a cutter would repeat it, and the rest of the input changes bytes
 * of that; pure noise would be alike never.
 */
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "plain.h"

enum { MOST_BYTES = 2048, MOST_COUNT = 70 };

static void put_next(uint8_t *packet, const uint8_t *last, int32_t length, uint32_t id_step,
                     uint32_t sequence_step) {
  memcpy(packet, last, (size_t)length);
  if (length < 6) return;
  bool is_v6 = packet[0] >> 4 == 0xe;
  int32_t sequence = is_v6 ? 44 : 24;
  if (!is_v6) {
    uint32_t id = get16(packet + 4) + id_step;
    packet[4] = (uint8_t)(id >> 8);
    packet[5] = (uint8_t)id;
  }
  if (length < sequence + 4 || packet[is_v6 ? 6 : 9] != 6) return;
  for (int32_t at = sequence + 3; at >= sequence; at--, sequence_step >>= 8) {
    sequence_step += packet[at];
    packet[at] = (uint8_t)sequence_step;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  uint32_t id_step = next_byte(&input) & 3;
  int32_t length = next_short(&input) % MOST_BYTES;
  uint32_t sequence_step = next_short(&input);
  int32_t count = next_byte(&input) % MOST_COUNT;
  uint8_t edits = next_byte(&input);
  size_t stride = (size_t)length + next_byte(&input);
  /* No byte of the last packet's tail belongs to it. */
  size_t total = count == 0 ? (size_t)length : (size_t)(count - 1) * stride + (size_t)length;
  uint8_t *packets = block_of(total);
  next_bytes(&input, packets, (size_t)length < total ? (size_t)length : total);
  for (int32_t i = 1; i < count; i++)
    put_next(packets + (size_t)i * stride, packets + (size_t)(i - 1) * stride, length, id_step,
             sequence_step);
  for (; edits > 0 && input.left > 0 && total > 0; edits--) {
    size_t at = next_short(&input) * (size_t)(1 + edits % 4) % total;
    packets[at] ^= next_byte(&input);
  }
  uint8_t *before = copy_of(packets, total);
  int32_t alike = count_alike(packets, length, stride, count);
  CHECK(memcmp(packets, before, total) == 0);
  CHECK(alike == plain_alike(packets, length, stride, count));
  free(before);
  free(packets);
  return 0;
}
