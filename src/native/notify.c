/*
 * Datagrams on Unix sockets, with descriptors: sd_notify's messages, and a running tunnel's device and
 * socket on their way to the process that takes its place.
 *
 * Sources: man 7 unix, man 3 sd_notify. The trap: a descriptor that came and finds no room in the
 * caller's array must be closed, or it stays open for ever.
 */
#include "iptun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Descriptors of one datagram. */
#define MAX_DESCRIPTORS 8

union rights {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
};

int prepare_inherited(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* The address of `path`; a first byte of zero or '@' makes it an abstract one. Returns its length, or
   -ENAMETOOLONG. */
static int fill_unix_name(struct sockaddr_un *name, struct bytes path) {
  memset(name, 0, sizeof *name);
  name->sun_family = AF_UNIX;
  if (path.length == 0 || path.length >= sizeof name->sun_path) return -ENAMETOOLONG;
  memcpy(name->sun_path, path.data, path.length);
  bool is_abstract = name->sun_path[0] == 0 || name->sun_path[0] == '@';
  if (is_abstract) name->sun_path[0] = 0;
  return (int)(offsetof(struct sockaddr_un, sun_path) + path.length + (is_abstract ? 0 : 1));
}

/* --- Send. --- */

static int send_to(const struct sockaddr_un *name, socklen_t length, struct bytes text,
                   struct rows descriptors) {
  union rights rights;
  struct iovec vector = {text.data, text.length};
  struct msghdr message = {
      .msg_name = (void *)name, .msg_namelen = length, .msg_iov = &vector, .msg_iovlen = 1};
  if (descriptors.length > 0) {
    size_t bytes = descriptors.length * sizeof(int);
    memset(&rights, 0, sizeof rights);
    rights.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(bytes)};
    memcpy(CMSG_DATA(&rights.header), descriptors.data, bytes);
    message.msg_control = &rights;
    message.msg_controllen = CMSG_SPACE(bytes);
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  /* EAGAIN where the receiver's queue is full: nobody here waits for it. */
  ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  int result = sent < 0 ? -errno : 0;
  close(fd);
  return result;
}

napi_value notify_send(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "notify", 3);
  struct bytes path = take_bytes(&call, 0);
  struct bytes text = take_bytes(&call, 1);
  struct rows descriptors = take_rows(&call, 2);
  struct sockaddr_un name;
  if (call.failed) return NULL;
  int length = fill_unix_name(&name, path);
  if (length < 0) return give_int(&call, length);
  if (descriptors.length > MAX_DESCRIPTORS) return give_int(&call, -EINVAL);
  return give_int(&call, send_to(&name, (socklen_t)length, text, descriptors));
}

/* --- What came. --- */

/* Values of DESCRIPTOR in io/native.ts. */
enum { KIND_OTHER, KIND_TUN, KIND_UDP, KIND_UNIX_LISTENER };

static int kind_of(int fd) {
  struct ifreq request = {0};
  if (ioctl(fd, TUNGETIFF, &request) == 0) return KIND_TUN;
  int domain = get_int(fd, SOL_SOCKET, SO_DOMAIN);
  if (domain == AF_UNIX) {
    bool is_listener = get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
    return is_listener ? KIND_UNIX_LISTENER : KIND_OTHER;
  }
  bool is_inet = domain == AF_INET || domain == AF_INET6;
  return is_inet && get_int(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP ? KIND_UDP : KIND_OTHER;
}

napi_value descriptor_kind(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "descriptorKind", 1);
  int fd = take_int(&call, 0);
  return call.failed ? NULL : give_int(&call, kind_of(fd));
}

/* --- Receive. --- */

napi_value notify_listen(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "notifyListen", 1);
  struct bytes path = take_bytes(&call, 0);
  struct sockaddr_un name;
  if (call.failed) return NULL;
  int length = fill_unix_name(&name, path);
  if (length < 0) return give_int(&call, length);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return give_int(&call, -errno);
  if (bind(fd, (struct sockaddr *)&name, (socklen_t)length) == 0) return give_int(&call, fd);
  int error = errno;
  close(fd);
  return give_int(&call, -error);
}

/* Puts the descriptors that came into `out` and closes those that do not fit. */
static void take_descriptors(struct msghdr *message, struct rows out) {
  size_t count = 0;
  for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one != NULL; one = CMSG_NXTHDR(message, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    size_t length = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < length; i++, count++) {
      int fd;
      memcpy(&fd, CMSG_DATA(one) + i * sizeof fd, sizeof fd);
      if (count < out.length) out.data[count] = fd;
      else close(fd);
    }
  }
}

static void close_all(struct rows descriptors) {
  for (size_t i = 0; i < descriptors.length; i++) {
    if (descriptors.data[i] >= 0) close(descriptors.data[i]);
    descriptors.data[i] = -1;
  }
}

napi_value notify_receive(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "notifyReceive", 3);
  int fd = take_int(&call, 0);
  struct bytes text = take_bytes(&call, 1);
  struct rows out = take_rows(&call, 2);
  if (call.failed) return NULL;
  union rights rights;
  struct iovec vector = {text.data, text.length};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = &rights,
                           .msg_controllen = sizeof rights};
  for (size_t i = 0; i < out.length; i++)
    out.data[i] = -1;
  ssize_t length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  if (length < 0) return give_int(&call, -errno);
  take_descriptors(&message, out);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) return give_int(&call, (int)length);
  close_all(out);
  return give_int(&call, -EMSGSIZE);
}
