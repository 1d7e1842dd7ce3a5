/*
 * Batched send: sendmmsg, with what each row asks for in control messages.
 *
 * Sources: man 2 sendmmsg, man 3 cmsg, man 7 ip, man 7 ipv6, man 7 udp. The traps: a datagram to a
 * mapped address takes IPv4's control messages (SOL_IP) on a dual-stack socket too; there is no
 * control message for IPv4's DF, only a socket option; and libc's sendmmsg may be a loop (musl),
 * hence syscall().
 */
#include "iptun.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put_control(struct msghdr *header, int level, int type, const void *data,
                        size_t length) {
  struct cmsghdr *control =
      (struct cmsghdr *)(void *)((uint8_t *)header->msg_control + header->msg_controllen);
  /* The padding between messages is sent along: it must not be what lay there. */
  memset(control, 0, CMSG_SPACE(length));
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(length);
  memcpy(CMSG_DATA(control), data, length);
  header->msg_controllen += CMSG_SPACE(length);
}

/* The local address and device to leave from. False: local and remote are of two families. */
static bool put_local(struct msghdr *header, const int32_t *row, bool is_v4) {
  uint8_t local[16];
  memcpy(local, row + MESSAGE_LOCAL, 16);
  int device = row[MESSAGE_DEVICE];
  bool is_chosen = !is_zero(local);
  if (!is_chosen && device == 0) return true;
  if (is_chosen && is_mapped(local) != is_v4) return false;
  if (is_v4) {
    struct in_pktinfo info = {.ipi_ifindex = device};
    memcpy(&info.ipi_spec_dst, local + 12, 4);
    put_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  } else {
    struct in6_pktinfo info = {.ipi6_ifindex = (unsigned)device};
    memcpy(&info.ipi6_addr, local, 16);
    put_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  }
  return true;
}

/* Returns 0 or -errno for a remote that this socket cannot name. */
static int put_remote(struct msghdr *header, union name *name, const int32_t *row, int family) {
  uint8_t remote[16];
  memcpy(remote, row + MESSAGE_REMOTE, 16);
  if (row[MESSAGE_PORT] < 1 || row[MESSAGE_PORT] > UINT16_MAX) return -EINVAL;
  memset(name, 0, sizeof *name);
  header->msg_name = name;
  if (family == AF_INET6) {
    name->v6.sin6_family = AF_INET6;
    name->v6.sin6_port = htons((uint16_t)row[MESSAGE_PORT]);
    name->v6.sin6_scope_id = (uint32_t)row[MESSAGE_SCOPE];
    memcpy(&name->v6.sin6_addr, remote, 16);
    header->msg_namelen = sizeof name->v6;
    return 0;
  }
  if (!is_mapped(remote)) return -EAFNOSUPPORT;
  name->v4.sin_family = AF_INET;
  name->v4.sin_port = htons((uint16_t)row[MESSAGE_PORT]);
  memcpy(&name->v4.sin_addr, remote + 12, 4);
  header->msg_namelen = sizeof name->v4;
  return 0;
}

/* Fills message `at` of the scratch from a row. Returns 0 or -errno. */
static int prepare_message(struct udp_scratch *udp, size_t at, struct bytes arena,
                           const int32_t *row, int family) {
  struct msghdr *header = &udp->header[at].msg_hdr;
  uint8_t *data = slice(arena, row[MESSAGE_OFFSET], row[MESSAGE_LENGTH]);
  int tos = row[MESSAGE_TOS];
  int hops = row[MESSAGE_HOPS];
  int32_t segment = row[MESSAGE_SEGMENT];
  udp->header[at] = (struct mmsghdr){0};
  if (data == NULL || tos < 0 || tos > UINT8_MAX || hops < 0 || hops > UINT8_MAX) return -EINVAL;
  if (segment < 0 || segment > UINT16_MAX) return -EINVAL;
  udp->vector[at] = (struct iovec){data, (size_t)row[MESSAGE_LENGTH]};
  header->msg_iov = &udp->vector[at];
  header->msg_iovlen = 1;
  header->msg_control = udp->control[at].bytes;
  int result = put_remote(header, &udp->name[at], row, family);
  if (result < 0) return result;
  uint8_t remote[16];
  memcpy(remote, row + MESSAGE_REMOTE, 16);
  bool is_v4 = is_mapped(remote);
  if (!put_local(header, row, is_v4)) return -EINVAL;
  /* IP_TOS as control message since Linux 3.13; IPV6_TCLASS since 2.6.14. */
  if (tos != 0 && is_v4) put_control(header, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
  if (tos != 0 && !is_v4) put_control(header, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
  /* IP_TTL as control message since Linux 3.13; IPV6_HOPLIMIT since 2.6.14. */
  if (hops != 0 && is_v4) put_control(header, IPPROTO_IP, IP_TTL, &hops, sizeof hops);
  if (hops != 0 && !is_v4) put_control(header, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
  if (segment > 0 && segment < row[MESSAGE_LENGTH]) {
    /* UDP_SEGMENT, Linux 4.18: the kernel cuts the message, after routing it once. */
    uint16_t size = (uint16_t)segment;
    put_control(header, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
  }
  if (header->msg_controllen == 0) header->msg_control = NULL;
  return 0;
}

/* A send in progress over `count` rows. */
struct send {
  struct udp_scratch *udp;
  int fd;
  int family;
  struct bytes arena;
  int32_t *rows;
  int32_t count;
  int sent;
  bool is_full; /* the socket's buffer is; nothing more is tried */
};

static int32_t *send_row(const struct send *send, int32_t index) {
  return send->rows + (size_t)index * MESSAGE_FIELDS;
}

static bool has_dont_fragment(const struct send *send, int32_t index) {
  return (send_row(send, index)[MESSAGE_FLAGS] & MESSAGE_DONT_FRAGMENT) != 0;
}

/* Sends the `length` prepared messages of the rows from `first`, and sets their STATUS. */
static void send_run(struct send *send, int32_t first, int32_t length) {
  for (int32_t done = 0; done < length;) {
    /* sendmmsg(2), Linux 3.0: stops at the first message that fails, and tells its errno only when
       that is the first of the call; so the rest is tried again from there. */
    long result = syscall(SYS_sendmmsg, send->fd, send->udp->header + done,
                          (unsigned)(length - done), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result > 0) {
      for (long i = 0; i < result; i++)
        send_row(send, first + done++)[MESSAGE_STATUS] = 0;
      send->sent += (int)result;
    } else if (result == 0 || errno != EINTR) {
      int error = result == 0 ? EIO : errno;
      send->is_full = error == EAGAIN;
      if (send->is_full) return;
      send_row(send, first + done++)[MESSAGE_STATUS] = -error;
    }
  }
}

/* Prepares rows from `first` while they are good and want the same DF. Returns how many; 0: the
   first is bad and its STATUS says why. */
static int32_t prepare_run(const struct send *send, int32_t first) {
  bool dont_fragment = has_dont_fragment(send, first);
  int32_t length = 0;
  while (length < UDP_BATCH && first + length < send->count) {
    int32_t *row = send_row(send, first + length);
    if (has_dont_fragment(send, first + length) != dont_fragment) break;
    int result = prepare_message(send->udp, (size_t)length, send->arena, row, send->family);
    if (result < 0) {
      if (length == 0) row[MESSAGE_STATUS] = result;
      break;
    }
    length++;
  }
  return length;
}

/* INVARIANT: between calls the socket has DF off, so no state has to be kept a descriptor. DF is
   rare (path probes), and switching costs a run of it four short system calls. */
static int send_all(struct send *send) {
  int32_t first = 0;
  for (int32_t i = 0; i < send->count; i++)
    send_row(send, i)[MESSAGE_STATUS] = -EAGAIN;
  while (first < send->count && !send->is_full) {
    int32_t length = prepare_run(send, first);
    if (length == 0) {
      first++;
      continue;
    }
    bool dont_fragment = has_dont_fragment(send, first);
    int result = dont_fragment ? set_dont_fragment(send->fd, send->family, true) : 0;
    if (result == 0) send_run(send, first, length);
    if (result == 0 && dont_fragment) result = set_dont_fragment(send->fd, send->family, false);
    if (result < 0) return result;
    first += length;
  }
  return send->sent;
}

napi_value udp_send(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpSend", 4);
  struct send send = {.udp = call.self == NULL ? NULL : &call.self->udp};
  send.fd = take_int(&call, 0);
  send.arena = take_bytes(&call, 1);
  struct rows rows = take_rows(&call, 2);
  send.count = take_int(&call, 3);
  if (call.failed) return NULL;
  if (!holds_rows(rows, send.count, MESSAGE_FIELDS)) return give_int(&call, -EINVAL);
  send.rows = rows.data;
  /* SO_DOMAIN, Linux 2.6.32; also the test that `fd` is a socket at all. */
  send.family = get_int(send.fd, SOL_SOCKET, SO_DOMAIN);
  return give_int(&call, send.family < 0 ? send.family : send_all(&send));
}
