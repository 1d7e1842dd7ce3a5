/*
 * Target: the addon's `udpReceive`, with any messages from recvmmsg.
 *
 * Addresses, flags and control messages (segment size, packet info, ECN) are the input's. Each row
 * must say what a plain walk over the same control bytes says.
 */
#include <stdlib.h>
#include <string.h>

#include "fake-kernel.h"
#include "fake-napi.h"
#include "input.h"

enum { MOST_MESSAGES = 200 };

/* What the fake kernel gave for a message. */
struct given {
  uint8_t name[28];
  uint8_t control[CONTROL_BYTES];
  size_t control_bytes;
  int flags;
  int32_t length;
};

static struct input *kernel_input;
static struct given given[MOST_MESSAGES];
static int32_t given_count;

/* No message is longer than what is left: the kernel gives none that is, and libc's macros trust it
   there, each libc in a way of its own. */
static void limit_lengths(uint8_t *control, size_t bytes) {
  for (size_t at = 0; at + sizeof(struct cmsghdr) <= bytes;) {
    memset(control + at + 1, 0, sizeof(size_t) - 1);
    if (control[at] > bytes - at) control[at] = (uint8_t)(bytes - at);
    if (control[at] < sizeof(struct cmsghdr)) return;
    at += (control[at] + (size_t)7) & ~(size_t)7;
  }
}

static void give_message(struct mmsghdr *message, struct given *as) {
  struct msghdr *header = &message->msg_hdr;
  CHECK(header->msg_iovlen == 1 && header->msg_namelen >= sizeof as->name);
  CHECK(header->msg_controllen == CONTROL_BYTES);
  struct iovec *slot = header->msg_iov;
  uint8_t family = next_byte(kernel_input);
  next_bytes(kernel_input, as->name, sizeof as->name);
  as->name[0] = family & 1 ? AF_INET6 : AF_INET;
  as->name[1] = 0;
  as->flags = family & 2 ? MSG_TRUNC : 0;
  as->length = next_short(kernel_input);
  if ((size_t)as->length > slot->iov_len) as->length = (int32_t)slot->iov_len;
  as->control_bytes = next_byte(kernel_input) % (CONTROL_BYTES + 1);
  memset(as->control, 0, sizeof as->control);
  next_bytes(kernel_input, as->control, as->control_bytes);
  memcpy(header->msg_name, as->name, sizeof as->name);
  limit_lengths(as->control, as->control_bytes);
  memcpy(header->msg_control, as->control, CONTROL_BYTES);
  memset(slot->iov_base, 0x5a, (size_t)as->length);
  header->msg_controllen = as->control_bytes;
  header->msg_flags = as->flags;
  message->msg_len = (unsigned)as->length;
}

/* A byte says how many messages there are, or which error. */
static int receive(struct mmsghdr *messages, unsigned count) {
  uint8_t say = next_byte(kernel_input);
  unsigned ready = say < 200 ? say % 70 : count;
  if (say >= 250) return say == 250 && kernel_input->left > 0 ? -EINTR : -(int)say;
  if (kernel_input->left == 0) return -EAGAIN;
  if (ready > count) ready = count;
  for (unsigned i = 0; i < ready; i++) {
    CHECK(given_count < MOST_MESSAGES);
    give_message(&messages[i], &given[given_count++]);
  }
  return (int)ready;
}

/* --- What a row must say. --- */

static void map_address(int32_t *words, const uint8_t *v4) {
  uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};
  memcpy(bytes + 12, v4, 4);
  memcpy(words, bytes, 16);
}

struct control_header {
  size_t length;
  int level;
  int type;
};

static void expect_control(int32_t *row, const struct control_header *header, const uint8_t *data) {
  size_t bytes = header->length - sizeof *header;
  int number;
  memcpy(&number, data, sizeof number);
  if (header->level == IPPROTO_IP && header->type == IP_PKTINFO && bytes >= 12) {
    memcpy(row + MESSAGE_DEVICE, data, 4);
    map_address(row + MESSAGE_LOCAL, data + 4);
  } else if (header->level == IPPROTO_IPV6 && header->type == IPV6_PKTINFO && bytes >= 20) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(data, mapped, 12) == 0) return;
    memcpy(row + MESSAGE_LOCAL, data, 16);
    memcpy(row + MESSAGE_DEVICE, data + 16, 4);
  } else if (header->level == IPPROTO_IP && header->type == IP_TOS && bytes >= 1) {
    row[MESSAGE_TOS] = data[0];
  } else if (header->level == IPPROTO_IPV6 && header->type == IPV6_TCLASS && bytes >= 4) {
    row[MESSAGE_TOS] = number;
  } else if (header->level == IPPROTO_UDP && header->type == UDP_GRO && bytes >= 4) {
    row[MESSAGE_SEGMENT] = number;
  }
}

static void expect_controls(int32_t *row, const struct given *as) {
  struct control_header header;
  uint8_t bytes[CONTROL_BYTES + 64] = {0};
  memcpy(bytes, as->control, CONTROL_BYTES);
  for (size_t at = 0; at + sizeof header <= as->control_bytes;) {
    memcpy(&header, bytes + at, sizeof header);
    if (header.length < sizeof header) return;
    expect_control(row, &header, bytes + at + sizeof header);
    at += (header.length + 7) & ~(size_t)7;
  }
}

static void check_row(const int32_t *row, const struct given *as, int32_t offset) {
  int32_t expected[MESSAGE_FIELDS] = {0};
  expected[MESSAGE_OFFSET] = offset;
  expected[MESSAGE_LENGTH] = as->length;
  expected[MESSAGE_STATUS] = as->flags == MSG_TRUNC ? MESSAGE_TRUNCATED : 0;
  expected[MESSAGE_PORT] = as->name[2] << 8 | as->name[3];
  if (as->name[0] == AF_INET) {
    map_address(expected + MESSAGE_REMOTE, as->name + 4);
  } else {
    memcpy(expected + MESSAGE_REMOTE, as->name + 8, 16);
    memcpy(expected + MESSAGE_SCOPE, as->name + 24, 4);
  }
  expect_controls(expected, as);
  if (expected[MESSAGE_SEGMENT] >= as->length) expected[MESSAGE_SEGMENT] = 0;
  CHECK(memcmp(row, expected, sizeof expected) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  int32_t capacity = next_byte(&input) % MOST_MESSAGES;
  int32_t stride = next_short(&input) % 2048;
  int32_t budget = next_int(&input);
  size_t length = (size_t)capacity * (size_t)stride + next_byte(&input) % 4;
  uint8_t lie = next_byte(&input);
  /* A caller that is wrong by one, or by much. */
  int32_t told = lie < 240 ? capacity : next_int(&input);
  int32_t told_stride = lie % 8 > 0 ? stride : next_int(&input);
  size_t fields = (size_t)capacity * MESSAGE_FIELDS;
  int32_t *rows = block_of(fields * sizeof *rows);
  uint8_t *arena = block_of(length);
  kernel_input = &input;
  given_count = 0;
  fake_kernel = (struct fake_kernel){.receive = receive};
  const struct value arguments[] = {int_value(3),           bytes_value(arena, length),
                                    int_value(told_stride), rows_value(rows, fields),
                                    int_value(told),        int_value(budget)};
  int32_t result = call_addon("udpReceive", arguments, 6);
  bool is_wrong = told_stride < 1 || told < 0 || told > capacity || budget < 1 ||
                  (int64_t)told * told_stride > (int64_t)length;
  CHECK(!is_wrong || (result == -EINVAL && given_count == 0));
  CHECK(result <= told || is_wrong);
  CHECK(given_count == (result > 0 ? result : 0));
  for (int32_t i = 0; i < result; i++)
    check_row(rows + (size_t)i * MESSAGE_FIELDS, &given[i], i * told_stride);
  free(arena);
  free(rows);
  return 0;
}
