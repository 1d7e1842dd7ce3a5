/*
 * A host that refuses what the addon can do without: preloaded by host.test.ts.
 *
 * No IPv6 sockets, no forced buffers, no locked memory. Only the addon's own calls are meant; node
 * itself opens no socket in that test.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol) {
  int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
  if (domain != AF_INET6) return real(domain, type, protocol);
  errno = EAFNOSUPPORT;
  return -1;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
  int (*real)(int, int, int, const void *, socklen_t) =
      (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
  if (level != SOL_SOCKET || (option != SO_RCVBUFFORCE && option != SO_SNDBUFFORCE))
    return real(fd, level, option, value, length);
  errno = EPERM;
  return -1;
}

int mlock(const void *address, size_t length) {
  (void)address;
  (void)length;
  errno = EPERM;
  return -1;
}
