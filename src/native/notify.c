/*
 * Datagrams on Unix sockets, with descriptors: to the service manager (man 3 sd_notify), and from a
 * running tunnel to the process that takes its place.
 *
 * Node has no Unix datagram sockets. Nothing here waits: a manager that does not read gets nothing.
 * The traps: a path that begins with '@' is an abstract name, whose first byte is zero and whose end
 * is the length's, not a zero byte (man 7 unix); and a descriptor that came and finds no room in the
 * caller's array must be closed, or it stays open for ever.
 */
#include "iptun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

/* BOUNDED: descriptors of one message; the kernel takes 253. */
#define MOST_DESCRIPTORS 64

/* Room for them beside a datagram. */
union rights {
  struct cmsghdr header;
  uint8_t bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
};

int prepare_inherited(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* --- Send. --- */

/* Fills `name`; its length, or 0 where `path` is none. */
static socklen_t fill_name(struct sockaddr_un *name, struct bytes path) {
  memset(name, 0, sizeof *name);
  name->sun_family = AF_UNIX;
  bool is_known = path.length > 1 && (path.data[0] == '/' || path.data[0] == '@');
  if (!is_known || path.length >= sizeof name->sun_path) return 0;
  memcpy(name->sun_path, path.data, path.length);
  if (path.data[0] == '@') name->sun_path[0] = 0;
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.length);
}

static ssize_t send_message(struct sockaddr_un *name, socklen_t name_length, struct bytes text,
                            struct rows descriptors) {
  union rights control = {0};
  struct iovec part = {text.data, text.length};
  struct msghdr message = {
      .msg_name = name, .msg_namelen = name_length, .msg_iov = &part, .msg_iovlen = 1};
  size_t size = descriptors.length * sizeof(int);
  if (size > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(size);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&control.header), descriptors.data, size);
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  int error = errno;
  close(fd);
  return sent < 0 ? -error : 0;
}

napi_value notify_send(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "notify", 3);
  struct bytes path = take_bytes(&call, 0);
  struct bytes text = take_bytes(&call, 1);
  struct rows descriptors = take_rows(&call, 2);
  struct sockaddr_un name;
  if (call.failed) return NULL;
  socklen_t length = fill_name(&name, path);
  if (length == 0 || text.length == 0 || descriptors.length > MOST_DESCRIPTORS)
    return give_int(&call, -EINVAL);
  return give_int(&call, (int)send_message(&name, length, text, descriptors));
}

/* --- What came. --- */

/* Values of DESCRIPTOR in io/native.ts. */
enum { KIND_OTHER, KIND_TUN, KIND_UDP, KIND_UNIX_LISTENER };

static int kind_of(int fd) {
  struct ifreq request = {0};
  if (ioctl(fd, TUNGETIFF, &request) == 0) return KIND_TUN;
  int domain = get_int(fd, SOL_SOCKET, SO_DOMAIN);
  if (domain == AF_UNIX) {
    bool is_stream = get_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
    bool is_listener = get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
    return is_stream && is_listener ? KIND_UNIX_LISTENER : KIND_OTHER;
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
  socklen_t length = fill_name(&name, path);
  if (length == 0) return give_int(&call, -EINVAL);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return give_int(&call, -errno);
  if (bind(fd, (struct sockaddr *)&name, length) == 0) return give_int(&call, fd);
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
