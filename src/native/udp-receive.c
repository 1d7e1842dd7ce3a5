/*
 * Batched receive: recvmmsg, and what the kernel says about each datagram into its row.
 *
 * Sources: man 2 recvmmsg, man 3 cmsg, man 7 ip, man 7 ipv6, man 7 udp. The trap: an IPv4 datagram
 * on a dual-stack socket brings the local address twice, once a family.
 */
#include "iptun.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Messages a recvmmsg is asked for: at first, and at most. */
#define FEW_MESSAGES 8
#define MANY_MESSAGES 64

static void write_mapped(int32_t *words, const struct in_addr *address) {
  uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};
  memcpy(bytes + 12, address, 4);
  memcpy(words, bytes, 16);
}

static void prepare_slots(struct udp_scratch *udp, uint8_t *slot, int32_t stride, int32_t count) {
  for (int32_t i = 0; i < count; i++, slot += stride) {
    udp->vector[i] = (struct iovec){slot, (size_t)stride};
    udp->header[i] = (struct mmsghdr){0};
    udp->header[i].msg_hdr = (struct msghdr){
        .msg_name = &udp->name[i],
        .msg_namelen = sizeof udp->name[i],
        .msg_iov = &udp->vector[i],
        .msg_iovlen = 1,
        .msg_control = udp->control[i].bytes,
        .msg_controllen = CONTROL_BYTES,
    };
  }
}

static void read_remote(int32_t *row, const union name *name) {
  if (name->any.sa_family == AF_INET) {
    write_mapped(row + MESSAGE_REMOTE, &name->v4.sin_addr);
    row[MESSAGE_PORT] = ntohs(name->v4.sin_port);
    return;
  }
  memcpy(row + MESSAGE_REMOTE, &name->v6.sin6_addr, 16);
  row[MESSAGE_PORT] = ntohs(name->v6.sin6_port);
  /* The kernel fills the scope for link-local addresses only. */
  row[MESSAGE_SCOPE] = (int32_t)name->v6.sin6_scope_id;
}

static bool is_control(const struct cmsghdr *control, int level, int type, size_t length) {
  return control->cmsg_level == level && control->cmsg_type == type &&
         control->cmsg_len >= CMSG_LEN(length);
}

static int read_int(const struct cmsghdr *control) {
  int value;
  memcpy(&value, CMSG_DATA(control), sizeof value);
  return value;
}

/* A mapped datagram on a dual-stack socket brings IP_PKTINFO first, then IPV6_PKTINFO with the same
   address; IP_PKTINFO wins because its spec_dst can be answered from even after a broadcast. */
static void read_control(int32_t *row, const struct cmsghdr *control) {
  if (is_control(control, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo))) {
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(control), sizeof info);
    write_mapped(row + MESSAGE_LOCAL, &info.ipi_spec_dst);
    row[MESSAGE_DEVICE] = info.ipi_ifindex;
  } else if (is_control(control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo))) {
    struct in6_pktinfo info;
    memcpy(&info, CMSG_DATA(control), sizeof info);
    if (is_mapped(info.ipi6_addr.s6_addr)) return;
    memcpy(row + MESSAGE_LOCAL, &info.ipi6_addr, 16);
    row[MESSAGE_DEVICE] = (int32_t)info.ipi6_ifindex;
  } else if (is_control(control, IPPROTO_IP, IP_TOS, 1)) {
    row[MESSAGE_TOS] = *CMSG_DATA(control);
  } else if (is_control(control, IPPROTO_IPV6, IPV6_TCLASS, sizeof(int))) {
    row[MESSAGE_TOS] = read_int(control);
  } else if (is_control(control, IPPROTO_UDP, UDP_GRO, sizeof(int))) {
    /* Linux 5.0: the size of each datagram of a run that the kernel joined. */
    row[MESSAGE_SEGMENT] = read_int(control);
  }
}

static void fill_row(int32_t *row, int32_t offset, struct mmsghdr *received) {
  struct msghdr *header = &received->msg_hdr;
  memset(row, 0, MESSAGE_FIELDS * sizeof *row);
  row[MESSAGE_OFFSET] = offset;
  row[MESSAGE_LENGTH] = (int32_t)received->msg_len;
  row[MESSAGE_STATUS] = header->msg_flags & MSG_TRUNC ? MESSAGE_TRUNCATED : 0;
  read_remote(row, header->msg_name);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c))
    read_control(row, c);
  if (row[MESSAGE_SEGMENT] >= row[MESSAGE_LENGTH]) row[MESSAGE_SEGMENT] = 0;
}

/* One recvmmsg of `count` messages, at most UDP_BATCH. Returns how many, or -errno. */
static int receive_some(struct udp_scratch *udp, int fd, struct bytes arena, int32_t stride,
                        int32_t *rows, int32_t first, int32_t count) {
  long received;
  prepare_slots(udp, arena.data + (size_t)first * (size_t)stride, stride, count);
  /* recvmmsg(2), Linux 2.6.33: as many as are queued. An error after the first message is kept by
     the socket and comes with the next call. */
  do
    received = syscall(SYS_recvmmsg, fd, udp->header, (unsigned)count, MSG_DONTWAIT, NULL);
  while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  for (int32_t i = 0; i < (int32_t)received; i++)
    fill_row(rows + (size_t)(first + i) * MESSAGE_FIELDS, (first + i) * stride, &udp->header[i]);
  return (int)received;
}

/* How many messages to ask for, after `filled` with `bytes` together: few as long as each may be a
   run of 64 KB, many once they have turned out to be small. */
static int32_t to_ask_for(int32_t filled, int64_t bytes, int32_t budget) {
  if (filled == 0) return FEW_MESSAGES;
  int64_t fit = (budget - bytes) * filled / (bytes + 1);
  if (fit < FEW_MESSAGES) return FEW_MESSAGES;
  return fit < MANY_MESSAGES ? (int32_t)fit : MANY_MESSAGES;
}

static int64_t bytes_of(const int32_t *row, int32_t count) {
  int64_t bytes = 0;
  for (int32_t i = 0; i < count; i++, row += MESSAGE_FIELDS)
    bytes += row[MESSAGE_LENGTH];
  return bytes;
}

static int receive(struct udp_scratch *udp, int fd, struct bytes arena, int32_t stride,
                   int32_t *rows, int32_t capacity, int32_t budget) {
  int32_t filled = 0;
  int64_t bytes = 0;
  while (filled < capacity && bytes < budget) {
    int32_t wanted = to_ask_for(filled, bytes, budget);
    if (wanted > capacity - filled) wanted = capacity - filled;
    int result = receive_some(udp, fd, arena, stride, rows, filled, wanted);
    if (result < 0) return filled > 0 ? filled : result;
    bytes += bytes_of(rows + (size_t)filled * MESSAGE_FIELDS, result);
    filled += result;
    if (result < wanted) break;
  }
  return filled;
}

napi_value udp_receive(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpReceive", 6);
  int fd = take_int(&call, 0);
  struct bytes arena = take_bytes(&call, 1);
  int32_t stride = take_int(&call, 2);
  struct rows rows = take_rows(&call, 3);
  int32_t capacity = take_int(&call, 4);
  int32_t budget = take_int(&call, 5);
  if (call.failed) return NULL;
  if (!holds_slots(arena, stride, capacity) || !holds_rows(rows, capacity, MESSAGE_FIELDS) ||
      arena.length > INT32_MAX || budget < 1)
    return give_int(&call, -EINVAL);
  return give_int(&call, receive(&call.self->udp, fd, arena, stride, rows.data, capacity, budget));
}
