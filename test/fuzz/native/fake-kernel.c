/* The system calls of src/native, handed to the fuzz target; see fake-kernel.h. */
#include "fake-kernel.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct fake_kernel fake_kernel;

long fake_syscall(long number, ...);
int fake_open(const char *path, int flags, ...);
int fake_ioctl(int fd, unsigned long request, ...);
int fake_socket(int domain, int type, int protocol);
int fake_bind(int fd, const struct sockaddr *address, socklen_t length);
int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int fake_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int fake_close(int fd);
int fake_connect(int fd, const struct sockaddr *address, socklen_t length);
int fake_fcntl(int fd, int command, ...);
int fake_prctl(int option, ...);
int fake_setrlimit(int resource, const void *limit);
int fake_execve(const char *path, char *const arguments[], char *const environment[]);
void (*fake_signal(int number, void (*handler)(int)))(int);
ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags);

static long with_errno(long result) {
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

static long moved(long number, va_list arguments) {
  (void)va_arg(arguments, int);
  void *data = va_arg(arguments, void *);
  size_t count = va_arg(arguments, size_t);
  struct iovec whole = {data, count};
  bool is_vector = number == SYS_readv || number == SYS_writev;
  bool is_write = number == SYS_write || number == SYS_writev;
  if (fake_kernel.transfer == NULL) return -ENOSYS;
  return fake_kernel.transfer(is_vector ? data : &whole, is_vector ? count : 1, is_write);
}

static long exchanged(long number, va_list arguments) {
  (void)va_arg(arguments, int);
  struct mmsghdr *messages = va_arg(arguments, struct mmsghdr *);
  unsigned count = va_arg(arguments, unsigned);
  int (*handler)(struct mmsghdr *, unsigned) =
      number == SYS_recvmmsg ? fake_kernel.receive : fake_kernel.send;
  return handler == NULL ? -ENOSYS : handler(messages, count);
}

static int other(const char *name) {
  return (int)with_errno(fake_kernel.other == NULL ? -ENOSYS : fake_kernel.other(name));
}

long fake_syscall(long number, ...) {
  va_list arguments;
  if (number == SYS_capget || number == SYS_capset) return other("capabilities");
  va_start(arguments, number);
  bool is_batch = number == SYS_recvmmsg || number == SYS_sendmmsg;
  long result = is_batch ? exchanged(number, arguments) : moved(number, arguments);
  va_end(arguments);
  return with_errno(result);
}

int fake_open(const char *path, int flags, ...) {
  (void)path;
  (void)flags;
  return other("open");
}

int fake_ioctl(int fd, unsigned long request, ...) {
  (void)fd;
  (void)request;
  return other("ioctl");
}

int fake_socket(int domain, int type, int protocol) {
  (void)domain;
  (void)type;
  (void)protocol;
  return other("socket");
}

int fake_bind(int fd, const struct sockaddr *address, socklen_t length) {
  (void)fd;
  (void)address;
  (void)length;
  return other("bind");
}

int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
  int number;
  (void)fd;
  if (fake_kernel.set_option == NULL || length < sizeof number) return (int)with_errno(-ENOSYS);
  memcpy(&number, value, sizeof number);
  return (int)with_errno(fake_kernel.set_option(level, name, number));
}

int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
  (void)fd;
  int result = fake_kernel.option == NULL ? -ENOSYS : fake_kernel.option(level, name);
  if (result < 0 || *length != sizeof result) return (int)with_errno(result < 0 ? result : -EINVAL);
  memcpy(value, &result, sizeof result);
  return 0;
}

int fake_getsockname(int fd, struct sockaddr *address, socklen_t *length) {
  (void)fd;
  memset(address, 0, *length);
  address->sa_family = AF_INET;
  return other("getsockname");
}

int fake_close(int fd) {
  (void)fd;
  return other("close");
}

int fake_connect(int fd, const struct sockaddr *address, socklen_t length) {
  (void)fd;
  (void)address;
  (void)length;
  return other("connect");
}

int fake_fcntl(int fd, int command, ...) {
  (void)fd;
  (void)command;
  return other("fcntl");
}

/* PR_CAPBSET_READ must come to an end, as the kernel's does. */
int fake_prctl(int option, ...) {
  return option == PR_CAPBSET_READ ? (int)with_errno(-EINVAL) : other("prctl");
}

int fake_setrlimit(int resource, const void *limit) {
  (void)resource;
  (void)limit;
  return other("setrlimit");
}

int fake_execve(const char *path, char *const arguments[], char *const environment[]) {
  (void)path;
  (void)environment;
  /* Every string is read to its end. */
  size_t bytes = 0;
  for (size_t i = 0; arguments[i] != NULL; i++)
    bytes += strlen(arguments[i]);
  return bytes == SIZE_MAX ? 0 : other("execve");
}

void (*fake_signal(int number, void (*handler)(int)))(int) {
  (void)number;
  return handler;
}

/* Every byte that would leave is read. */
ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags) {
  const uint8_t *text = message->msg_iov[0].iov_base;
  const uint8_t *control = message->msg_control;
  volatile uint8_t sum = 0;
  (void)fd;
  (void)flags;
  for (size_t i = 0; i < message->msg_iov[0].iov_len; i++)
    sum = (uint8_t)(sum + text[i]);
  for (size_t i = 0; i < message->msg_controllen; i++)
    sum = (uint8_t)(sum + control[i]);
  return other("sendmsg");
}
