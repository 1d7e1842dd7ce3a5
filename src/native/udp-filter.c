/*
 * A filter of the UDP socket: the kernel drops what does not begin like a message, before it takes
 * room in the socket's buffer.
 *
 * Sources: man 7 socket (SO_ATTACH_FILTER), Documentation/networking/filter.rst. What a message
 * begins with is TypeScript's to say. The traps: the filter sees the datagram from its UDP header
 * on, in network order; and it sees a run that the kernel joined (UDP_GRO) as one, so joining must
 * be off, or a genuine datagram behind a wrong one would go with it.
 */
#include "iptun.h"

#include <linux/filter.h>
#include <linux/sock_diag.h>

#define UDP_HEADER 8
/* Mask and value of a datagram's first four bytes. */
#define START_WORDS 2
#define STARTS_MAX 8
/* Length, two instructions; three a start; drop and accept. */
#define PROGRAM_MAX (2 + 3 * STARTS_MAX + 2)
#define WHOLE_DATAGRAM UINT32_MAX

static struct sock_filter instruction(uint16_t code, uint32_t value, size_t if_true,
                                      size_t if_false) {
  return (struct sock_filter){code, (uint8_t)if_true, (uint8_t)if_false, value};
}

/* Jumps count from the next instruction. Returns the number of instructions. */
static uint16_t write_program(struct sock_filter *program, uint32_t least, const int32_t *starts,
                              size_t count) {
  size_t drop = 2 + 3 * count;
  size_t accept = drop + 1;
  size_t at = 0;
  program[at++] = instruction(BPF_LD | BPF_W | BPF_LEN, 0, 0, 0);
  program[at] = instruction(BPF_JMP | BPF_JGE | BPF_K, UDP_HEADER + least, 0, drop - at - 1);
  at++;
  for (size_t i = 0; i < count; i++, starts += START_WORDS) {
    program[at++] = instruction(BPF_LD | BPF_W | BPF_ABS, UDP_HEADER, 0, 0);
    program[at++] = instruction(BPF_ALU | BPF_AND | BPF_K, (uint32_t)starts[0], 0, 0);
    program[at] = instruction(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)starts[1], accept - at - 1, 0);
    at++;
  }
  program[at++] = instruction(BPF_RET | BPF_K, 0, 0, 0);
  program[at++] = instruction(BPF_RET | BPF_K, WHOLE_DATAGRAM, 0, 0);
  return (uint16_t)at;
}

static int attach(int fd, uint32_t least, const int32_t *starts, size_t count) {
  struct sock_filter program[PROGRAM_MAX];
  struct sock_fprog given = {write_program(program, least, starts, count), program};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &given, sizeof given) < 0 ? -errno : 0;
}

int filter_detach(int fd) {
  int none = 0;
  if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none) == 0) return 0;
  /* There was none. */
  return errno == ENOENT ? 0 : -errno;
}

napi_value udp_filter(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpFilter", 3);
  int fd = take_int(&call, 0);
  int32_t least = take_int(&call, 1);
  struct rows starts = take_rows(&call, 2);
  if (call.failed) return NULL;
  size_t count = starts.length / START_WORDS;
  if (least < 0 || least > UINT16_MAX || count > STARTS_MAX || starts.length % START_WORDS != 0)
    return give_int(&call, -EINVAL);
  return give_int(&call, count == 0 ? filter_detach(fd) : attach(fd, (uint32_t)least, starts.data, count));
}

/* SO_MEMINFO, Linux 4.12. The kernel's number comes round after 2^32. */
napi_value udp_dropped(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpDropped", 1);
  int fd = take_int(&call, 0);
  uint32_t memory[SK_MEMINFO_VARS] = {0};
  socklen_t length = sizeof memory;
  if (call.failed) return NULL;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0) return give_int(&call, -errno);
  return give_int(&call, (int32_t)(memory[SK_MEMINFO_DROPS] & INT32_MAX));
}
