/*
 * System calls of src/native, answered by the fuzz target.
 *
 * The addon's files are compiled with names such as -Dsyscall=fake_syscall (scripts/fuzz-native),
 * so no fuzzed call reaches the kernel. A target says what each call does; what it leaves NULL
 * fails with ENOSYS.
 */
#ifndef FUZZ_FAKE_KERNEL_H
#define FUZZ_FAKE_KERNEL_H

#include "../../../src/native/iptun.h"

struct fake_kernel {
  /* read, readv, write, writev: bytes moved, or -errno. */
  ssize_t (*transfer)(const struct iovec *vector, size_t count, bool is_write);
  /* recvmmsg and sendmmsg: messages, or -errno. */
  int (*receive)(struct mmsghdr *messages, unsigned count);
  int (*send)(struct mmsghdr *messages, unsigned count);
  /* setsockopt: 0 or -errno; `value` is the int at its start. */
  int (*set_option)(int level, int name, int value);
  /* All others: 0, a descriptor, or -errno. */
  int (*other)(const char *name);
  /* getsockopt of an int: the value, or -errno. */
  int (*option)(int level, int name);
};

extern struct fake_kernel fake_kernel;

#endif
