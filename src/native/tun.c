/*
 * TUN device: open, and read and write of batches of packets with a vnet header.
 *
 * One read or write a packet (the kernel takes no more), as many as there are in one call from
 * JavaScript. Source: Documentation/networking/tuntap.rst, linux/if_tun.h, linux/virtio_net.h. The
 * trap: the kernel cuts a packet that is longer than the buffer without a word, so one spare byte
 * is read behind every packet's room to notice it.
 */
#include "iptun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Pieces that one gathered write may join. */
#define MAX_PARTS 128
/* Packets start at multiples of it: a cache line, so that no two share one. */
#define ALIGNMENT 64

_Static_assert(sizeof(struct virtio_net_hdr) == 10, "the vnet header is 10 bytes");

/* --- Open. --- */

/* TUNSETVNETHDRSZ (2.6.33): 10 bytes, not the 12 of newer virtio. TUNSETOFFLOAD (2.6.27) takes the
   flags by value. 0 makes the kernel finish every checksum and cut every super-packet before we read
   it, whatever a persistent device was set to. */
static int set_up(int fd, int offloads) {
  int header = sizeof(struct virtio_net_hdr);
  if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) return -errno;
  return ioctl(fd, TUNSETOFFLOAD, (unsigned long)(unsigned)offloads) < 0 ? -errno : 0;
}

static int open_device(char name[IFNAMSIZ], int offloads) {
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  memcpy(request.ifr_name, name, IFNAMSIZ);
  /* TUNSETIFF creates the device, or attaches to a persistent one that this user owns; EBUSY when
     another process holds it. IFF_VNET_HDR since Linux 2.6.27. */
  int result = ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : set_up(fd, offloads);
  if (result == 0) {
    memcpy(name, request.ifr_name, IFNAMSIZ);
    return fd;
  }
  close(fd);
  return result;
}

/* Takes a descriptor that another process has opened. Returns 0, -ENOTTY (no TUN device), -EINVAL (of
   another kind), or -errno. */
static int adopt_device(int fd, char name[IFNAMSIZ], int offloads) {
  static const short wanted = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  struct ifreq request = {0};
  /* TUNGETIFF since Linux 2.6.27. EBADFD: the device was deleted. */
  if (ioctl(fd, TUNGETIFF, &request) < 0) return -errno;
  if ((request.ifr_flags & (wanted | IFF_TAP)) != wanted) return -EINVAL;
  memcpy(name, request.ifr_name, IFNAMSIZ);
  int result = prepare_inherited(fd);
  return result < 0 ? result : set_up(fd, offloads);
}

napi_value tun_open(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "tunOpen", 3);
  char name[IFNAMSIZ];
  int result = take_name(&call, 0, name);
  int offloads = take_int(&call, 1);
  struct bytes out = take_bytes(&call, 2);
  if (call.failed) return NULL;
  if (out.length < IFNAMSIZ) result = -EINVAL;
  if (result == 0) result = open_device(name, offloads);
  if (result >= 0) memcpy(out.data, name, IFNAMSIZ);
  return give_int(&call, result);
}

napi_value tun_adopt(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "tunAdopt", 3);
  char name[IFNAMSIZ] = {0};
  int fd = take_int(&call, 0);
  int offloads = take_int(&call, 1);
  struct bytes out = take_bytes(&call, 2);
  if (call.failed) return NULL;
  if (out.length < IFNAMSIZ) return give_int(&call, -EINVAL);
  int result = adopt_device(fd, name, offloads);
  if (result == 0) memcpy(out.data, name, IFNAMSIZ);
  return give_int(&call, result);
}

/* --- Read. --- */

static void fill_row(int32_t *row, const struct virtio_net_hdr *header) {
  memset(row, 0, PACKET_FIELDS * sizeof *row);
  row[PACKET_FLAGS] = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? PACKET_NEEDS_CHECKSUM : 0;
  row[PACKET_GSO_TYPE] = header->gso_type;
  row[PACKET_GSO_SIZE] = header->gso_size;
  row[PACKET_HEADER_LENGTH] = header->hdr_len;
  row[PACKET_CHECKSUM_START] = header->csum_start;
  row[PACKET_CHECKSUM_OFFSET] = header->csum_offset;
}

/* A system call on a descriptor and a buffer or vector, once more after EINTR. Through syscall(),
   because read(2) and its like are points of cancellation, which costs libc two atomic operations
   in a process of several threads. Returns bytes or -errno. */
static ssize_t transfer(long number, int fd, const void *data, size_t count) {
  long result;
  do
    result = syscall(number, fd, data, count);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

/* Reads the vnet header over the bytes in front of `slot`, which come back, and the spare byte into
   the free one behind its room: one buffer costs the kernel a fifth less than three. */
static ssize_t read_around(int fd, uint8_t *slot, size_t room, struct virtio_net_hdr *header) {
  struct virtio_net_hdr kept;
  uint8_t *start = slot - sizeof kept;
  memcpy(&kept, start, sizeof kept);
  ssize_t length = transfer(SYS_read, fd, start, sizeof kept + room + 1);
  memcpy(header, start, sizeof kept);
  memcpy(start, &kept, sizeof kept);
  return length;
}

/* Reads one packet of up to `room` bytes to `offset`. Returns its length (room + 1: cut), or
   -errno. The kernel gives one packet a read, and what does not fit is lost. EAGAIN: the queue is
   empty. EBADFD: the device was deleted. */
static ssize_t read_packet(int fd, struct bytes arena, size_t offset, size_t room,
                           struct virtio_net_hdr *header) {
  uint8_t *slot = arena.data + offset;
  uint8_t spare;
  struct iovec vector[] = {{header, sizeof *header}, {slot, room}, {&spare, 1}};
  bool has_both_sides = offset >= sizeof *header && offset + room < arena.length;
  ssize_t length =
      has_both_sides ? read_around(fd, slot, room, header) : transfer(SYS_readv, fd, vector, 3);
  if (length < 0) return length;
  return length < (ssize_t)sizeof *header ? -EIO : length - (ssize_t)sizeof *header;
}

/* Packs packets one behind another while `room` bytes are left for the next. */
static int read_packets(int fd, struct bytes arena, int32_t room, int32_t *rows, int32_t capacity) {
  size_t offset = 0;
  int32_t filled = 0;
  for (; filled < capacity && offset + (size_t)room <= arena.length; filled++) {
    struct virtio_net_hdr header;
    int32_t *row = rows + (size_t)filled * PACKET_FIELDS;
    ssize_t length = read_packet(fd, arena, offset, (size_t)room, &header);
    if (length < 0) return filled > 0 ? filled : (int)length;
    bool is_cut = length > room;
    fill_row(row, &header);
    row[PACKET_OFFSET] = (int32_t)offset;
    row[PACKET_LENGTH] = is_cut ? room : (int32_t)length;
    row[PACKET_STATUS] = is_cut ? -EMSGSIZE : 0;
    offset += ((size_t)row[PACKET_LENGTH] + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  }
  return filled;
}

napi_value tun_read(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "tunRead", 5);
  int fd = take_int(&call, 0);
  struct bytes arena = take_bytes(&call, 1);
  int32_t room = take_int(&call, 2);
  struct rows rows = take_rows(&call, 3);
  int32_t capacity = take_int(&call, 4);
  if (call.failed) return NULL;
  if (room < 1 || (size_t)room > arena.length || arena.length > INT32_MAX ||
      !holds_rows(rows, capacity, PACKET_FIELDS))
    return give_int(&call, -EINVAL);
  return give_int(&call, read_packets(fd, arena, room, rows.data, capacity));
}

/* --- Write. --- */

static bool is_field(int32_t value) {
  return value >= 0 && value <= UINT16_MAX;
}

static bool fill_header(struct virtio_net_hdr *header, const int32_t *row) {
  if (row[PACKET_GSO_TYPE] < 0 || row[PACKET_GSO_TYPE] > UINT8_MAX) return false;
  for (size_t i = PACKET_GSO_SIZE; i <= PACKET_CHECKSUM_OFFSET; i++)
    if (!is_field(row[i])) return false;
  header->flags = row[PACKET_FLAGS] & PACKET_NEEDS_CHECKSUM ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
  header->gso_type = (uint8_t)row[PACKET_GSO_TYPE];
  header->gso_size = (uint16_t)row[PACKET_GSO_SIZE];
  header->hdr_len = (uint16_t)row[PACKET_HEADER_LENGTH];
  header->csum_start = (uint16_t)row[PACKET_CHECKSUM_START];
  header->csum_offset = (uint16_t)row[PACKET_CHECKSUM_OFFSET];
  return true;
}

/* A write in progress over `count` rows. */
struct write {
  int fd;
  struct bytes arena;
  int32_t *rows;
  int32_t count;
};

static int32_t *write_row(const struct write *write, int32_t index) {
  return write->rows + (size_t)index * PACKET_FIELDS;
}

/* The row that `index` leads to; 0: none; -EINVAL: not further on, or not a part. */
static int32_t next_row(const struct write *write, int32_t index) {
  int32_t next = write_row(write, index)[PACKET_NEXT];
  if (next == 0) return 0;
  if (next <= index || next >= write->count) return -EINVAL;
  return write_row(write, next)[PACKET_FLAGS] & PACKET_PART ? next : -EINVAL;
}

/* Lists the pieces of a row behind `parts` others. Returns all, or -EINVAL. */
static int gather_row(const struct write *write, const int32_t *row, struct iovec *vector,
                      int parts) {
  int64_t offset = row[PACKET_OFFSET];
  int32_t pieces = row[PACKET_PIECES] == 0 ? 1 : row[PACKET_PIECES];
  if (pieces < 0 || pieces > MAX_PARTS - parts) return -EINVAL;
  for (int32_t i = 0; i < pieces; i++, offset += row[PACKET_STRIDE]) {
    if (offset < 0 || offset > INT32_MAX) return -EINVAL;
    uint8_t *data = slice(write->arena, (int32_t)offset, row[PACKET_LENGTH]);
    if (data == NULL) return -EINVAL;
    vector[parts++] = (struct iovec){data, (size_t)row[PACKET_LENGTH]};
  }
  return parts;
}

/* Lists the bytes of the packet that starts at row `index`. Returns its parts, or -EINVAL. */
static int gather(const struct write *write, int32_t index, struct iovec *vector) {
  int parts = 0;
  do {
    parts = gather_row(write, write_row(write, index), vector, parts);
    if (parts < 0) return parts;
    index = next_row(write, index);
  } while (index > 0);
  return index < 0 ? index : parts;
}

/* Writes one run of bytes, its header over those in front, which come back. */
static ssize_t write_around(int fd, uint8_t *data, size_t length,
                            const struct virtio_net_hdr *header) {
  struct virtio_net_hdr kept;
  uint8_t *start = data - sizeof kept;
  memcpy(&kept, start, sizeof kept);
  memcpy(start, header, sizeof kept);
  ssize_t written = transfer(SYS_write, fd, start, sizeof kept + length);
  memcpy(start, &kept, sizeof kept);
  return written;
}

/* Writes the packet that starts at row `index`. Returns 0 or -errno. */
static int write_packet(const struct write *write, int32_t index) {
  struct virtio_net_hdr header;
  struct iovec vector[1 + MAX_PARTS];
  const int32_t *row = write_row(write, index);
  if (!fill_header(&header, row)) return -EINVAL;
  vector[0] = (struct iovec){&header, sizeof header};
  int parts = gather(write, index, vector + 1);
  if (parts < 0) return parts;
  /* The kernel takes one packet a write, whole or not at all. EIO: the link is down. EBADFD: the
     device was deleted. EINVAL: vnet header or IP version make no sense. */
  bool is_one_run = parts == 1 && row[PACKET_OFFSET] >= (int32_t)sizeof header;
  ssize_t written = is_one_run
                        ? write_around(write->fd, vector[1].iov_base, vector[1].iov_len, &header)
                        : transfer(SYS_writev, write->fd, vector, 1 + (size_t)parts);
  return written < 0 ? (int)written : 0;
}

/* A packet whose chain is bad leaves -EINVAL in all its rows, and so do parts without a packet:
   every row has it until a write says otherwise. */
static int write_packets(const struct write *write) {
  int written = 0;
  for (int32_t i = 0; i < write->count; i++)
    write_row(write, i)[PACKET_STATUS] = -EINVAL;
  for (int32_t first = 0; first < write->count; first++) {
    if (write_row(write, first)[PACKET_FLAGS] & PACKET_PART) continue;
    int status = write_packet(write, first);
    if (status == 0) written++;
    if (status == -EINVAL) continue;
    int32_t row = first;
    do
      write_row(write, row)[PACKET_STATUS] = status;
    while ((row = next_row(write, row)) > 0);
  }
  return written;
}

napi_value tun_write(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "tunWrite", 4);
  struct write write = {.fd = take_int(&call, 0)};
  write.arena = take_bytes(&call, 1);
  struct rows rows = take_rows(&call, 2);
  write.count = take_int(&call, 3);
  if (call.failed) return NULL;
  if (!holds_rows(rows, write.count, PACKET_FIELDS)) return give_int(&call, -EINVAL);
  write.rows = rows.data;
  return give_int(&call, write_packets(&write));
}
