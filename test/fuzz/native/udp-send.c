/*
 * Target: the addon's `udpSend`, any rows.
 *
 * What reaches sendmmsg must lie inside the arena, name an address, and carry well-formed control
 * messages that say what the row says; each row's status must be what the fake kernel answered.
 */
#include <stdlib.h>
#include <string.h>

#include "fake-kernel.h"
#include "fake-napi.h"
#include "input.h"

enum { MOST_ROWS = 160 };

/* The call in progress, as the fake kernel looks at it. */
static struct {
  struct input *input;
  const uint8_t *arena;
  size_t arena_bytes;
  const int32_t *rows;
  int32_t count;
  int family;
  bool has_dont_fragment;
  int32_t status[MOST_ROWS]; /* what became of each row; 1: not offered */
  int32_t next;              /* the first row that was not offered yet */
} call;

static bool is_v4(const int32_t *words) {
  static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
  return memcmp(words, prefix, sizeof prefix) == 0;
}

/* Whether a row can be sent at all by this socket. */
static bool is_good(const int32_t *row) {
  static const int32_t nothing[4];
  int64_t end = (int64_t)row[MESSAGE_OFFSET] + row[MESSAGE_LENGTH];
  bool has_local = memcmp(row + MESSAGE_LOCAL, nothing, sizeof nothing) != 0;
  if (row[MESSAGE_OFFSET] < 0 || row[MESSAGE_LENGTH] < 0 || end > (int64_t)call.arena_bytes)
    return false;
  if (row[MESSAGE_TOS] < 0 || row[MESSAGE_TOS] > 255) return false;
  if (row[MESSAGE_HOPS] < 0 || row[MESSAGE_HOPS] > 255) return false;
  if (row[MESSAGE_SEGMENT] < 0 || row[MESSAGE_SEGMENT] > 65535) return false;
  if (row[MESSAGE_PORT] < 1 || row[MESSAGE_PORT] > 65535) return false;
  if (call.family != AF_INET6 && !is_v4(row + MESSAGE_REMOTE)) return false;
  return !has_local || is_v4(row + MESSAGE_LOCAL) == is_v4(row + MESSAGE_REMOTE);
}

static void check_name(const struct msghdr *header, const int32_t *row) {
  const union name *name = header->msg_name;
  uint8_t remote[16];
  memcpy(remote, row + MESSAGE_REMOTE, 16);
  if (call.family == AF_INET6) {
    CHECK(header->msg_namelen == sizeof name->v6 && name->v6.sin6_family == AF_INET6);
    CHECK(ntohs(name->v6.sin6_port) == row[MESSAGE_PORT]);
    CHECK(memcmp(&name->v6.sin6_addr, remote, 16) == 0);
    return;
  }
  CHECK(header->msg_namelen == sizeof name->v4 && name->v4.sin_family == AF_INET);
  CHECK(ntohs(name->v4.sin_port) == row[MESSAGE_PORT]);
  CHECK(memcmp(&name->v4.sin_addr, remote + 12, 4) == 0);
}

/* The number that a control message carries. */
static int number_of(const uint8_t *control) {
  int number;
  memcpy(&number, control + sizeof(struct cmsghdr), sizeof number);
  return number;
}

static void check_control(const struct msghdr *header, const int32_t *row) {
  size_t at = 0;
  bool has_segment = false;
  bool has_tos = false;
  bool has_hops = false;
  bool v4 = is_v4(row + MESSAGE_REMOTE);
  CHECK(header->msg_controllen <= CONTROL_BYTES);
  CHECK((header->msg_controllen == 0) == (header->msg_control == NULL));
  while (at < header->msg_controllen) {
    struct cmsghdr control;
    const uint8_t *bytes = (const uint8_t *)header->msg_control + at;
    memcpy(&control, bytes, sizeof control);
    CHECK(control.cmsg_len > sizeof control && control.cmsg_len <= header->msg_controllen - at);
    if (control.cmsg_level == IPPROTO_UDP) {
      uint16_t segment;
      memcpy(&segment, bytes + sizeof control, sizeof segment);
      CHECK(control.cmsg_type == UDP_SEGMENT && segment == row[MESSAGE_SEGMENT]);
      has_segment = true;
    } else if (control.cmsg_type == (v4 ? IP_TOS : IPV6_TCLASS)) {
      CHECK(number_of(bytes) == row[MESSAGE_TOS]);
      has_tos = true;
    } else if (control.cmsg_type == (v4 ? IP_TTL : IPV6_HOPLIMIT)) {
      CHECK(number_of(bytes) == row[MESSAGE_HOPS]);
      has_hops = true;
    }
    at += (control.cmsg_len + 7) & ~(size_t)7;
  }
  CHECK(at == header->msg_controllen);
  CHECK(has_tos == (row[MESSAGE_TOS] != 0));
  CHECK(has_hops == (row[MESSAGE_HOPS] != 0));
  CHECK(has_segment == (row[MESSAGE_SEGMENT] > 0 && row[MESSAGE_SEGMENT] < row[MESSAGE_LENGTH]));
}

/* The row that a message was made of: the next good one. */
static int32_t row_of(int32_t from) {
  while (from < call.count && !is_good(call.rows + (size_t)from * MESSAGE_FIELDS)) {
    call.status[from] = -1;
    from++;
  }
  CHECK(from < call.count);
  return from;
}

static void check_message(const struct msghdr *header, const int32_t *row) {
  CHECK(header->msg_iovlen == 1);
  CHECK(header->msg_iov->iov_base == call.arena + row[MESSAGE_OFFSET]);
  CHECK(header->msg_iov->iov_len == (size_t)row[MESSAGE_LENGTH]);
  CHECK(((row[MESSAGE_FLAGS] & MESSAGE_DONT_FRAGMENT) != 0) == call.has_dont_fragment);
  check_name(header, row);
  check_control(header, row);
}

/* A byte says how many of the messages go, or why the first does not. */
static int take_messages(struct mmsghdr *messages, unsigned count) {
  uint8_t say = next_byte(call.input);
  int32_t at = call.next;
  CHECK(count >= 1 && count <= UDP_BATCH);
  for (unsigned i = 0; i < count; i++, at++) {
    at = row_of(at);
    check_message(&messages[i].msg_hdr, call.rows + (size_t)at * MESSAGE_FIELDS);
  }
  if (say == 255 && call.input->left > 0) return -EINTR;
  if (say == 254) return -EAGAIN;
  int taken = say < 200 ? (int)count : (say - 200) % (int)(count + 1);
  int32_t first = row_of(call.next);
  if (say >= 240 || taken == 0) {
    int error = taken == 0 ? EIO : say % 2 ? EMSGSIZE : ENOBUFS;
    call.status[first] = -error;
    call.next = first + 1;
    return say >= 240 && taken > 0 ? -error : 0;
  }
  for (int i = 0; i < taken; i++) {
    call.next = row_of(call.next);
    call.status[call.next++] = 0;
  }
  return taken;
}

static int set_option(int level, int name, int value) {
  if (level == IPPROTO_IP && name == IP_MTU_DISCOVER)
    call.has_dont_fragment = value == IP_PMTUDISC_PROBE;
  return 0;
}

static int option(int level, int name) {
  CHECK(level == SOL_SOCKET && name == SO_DOMAIN);
  return call.family;
}

static void check_status(const int32_t *rows, int32_t result) {
  int32_t sent = 0;
  for (int32_t i = 0; i < call.count; i++) {
    const int32_t *row = rows + (size_t)i * MESSAGE_FIELDS;
    int32_t status = row[MESSAGE_STATUS];
    if (!is_good(row)) {
      /* Behind a full socket nothing was looked at. */
      CHECK(status == -EINVAL || status == -EAFNOSUPPORT || (i >= call.next && status == -EAGAIN));
    } else {
      CHECK(status == (call.status[i] == 1 ? -EAGAIN : call.status[i]));
    }
    if (status == 0) sent++;
  }
  CHECK(sent == result);
}

/* Each row is of the input, or the one before with one field changed. */
static void read_rows(struct input *input, int32_t *rows, int32_t count) {
  for (int32_t i = 0; i < count; i++) {
    int32_t *row = rows + (size_t)i * MESSAGE_FIELDS;
    uint8_t change = next_byte(input);
    if (i == 0 || change == 0) {
      next_bytes(input, row, MESSAGE_FIELDS * sizeof *row);
      continue;
    }
    memcpy(row, row - MESSAGE_FIELDS, MESSAGE_FIELDS * sizeof *row);
    if (change >= 128) row[change % MESSAGE_FIELDS] = next_int(input);
  }
}

static void begin_call(struct input *input, int family) {
  memset(&call, 0, sizeof call);
  call.input = input;
  call.family = family;
  for (size_t i = 0; i < MOST_ROWS; i++)
    call.status[i] = 1;
  fake_kernel =
      (struct fake_kernel){.send = take_messages, .set_option = set_option, .option = option};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  uint8_t mode = next_byte(&input);
  size_t arena_bytes = next_short(&input);
  int32_t most = next_byte(&input) % MOST_ROWS;
  int32_t told = mode & 8 ? next_int(&input) : most;
  size_t fields = (size_t)most * MESSAGE_FIELDS;
  int32_t *rows = block_of(fields * sizeof *rows);
  uint8_t *arena = block_of(arena_bytes);
  read_rows(&input, rows, most);
  begin_call(&input, mode & 1 ? AF_INET6 : AF_INET);
  call.arena = arena;
  call.arena_bytes = arena_bytes;
  call.rows = rows;
  call.count = told;
  const struct value arguments[] = {int_value(3), bytes_value(arena, arena_bytes),
                                    rows_value(rows, fields), int_value(told)};
  int32_t result = call_addon("udpSend", arguments, 4);
  if (told < 0 || told > most) {
    CHECK(result == -EINVAL);
  } else {
    CHECK(result >= 0);
    check_status(rows, result);
  }
  CHECK(!call.has_dont_fragment);
  free(arena);
  free(rows);
  return 0;
}
