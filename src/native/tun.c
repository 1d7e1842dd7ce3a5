/*
 * TUN device: open, and read and write of batches of packets with a vnet header.
 *
 * One readv or writev a packet (the kernel takes no more), as many as there are in one call from
 * JavaScript. Source: Documentation/networking/tuntap.rst, linux/if_tun.h, linux/virtio_net.h. The
 * trap: the kernel cuts a packet that is longer than the buffer without a word, so one spare byte
 * lies behind every slot to notice it.
 */
#include "iptun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Rows that one gathered write may join. */
#define MAX_PARTS 128

_Static_assert(sizeof(struct virtio_net_hdr) == 10, "the vnet header is 10 bytes");

/* --- Open. --- */

static int open_device(char name[IFNAMSIZ], int offloads) {
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  int header = sizeof(struct virtio_net_hdr);
  int error;
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  memcpy(request.ifr_name, name, IFNAMSIZ);
  /* TUNSETIFF creates the device, or attaches to a persistent one that this user owns; EBUSY when
     another process holds it. IFF_VNET_HDR since Linux 2.6.27. */
  if (ioctl(fd, TUNSETIFF, &request) < 0) goto fail;
  /* TUNSETVNETHDRSZ (2.6.33): 10 bytes, not the 12 of newer virtio. */
  if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) goto fail;
  /* TUNSETOFFLOAD (2.6.27) takes the flags by value. 0 makes the kernel finish every checksum and
     cut every super-packet before we read it, whatever a persistent device was set to. */
  if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(unsigned)offloads) < 0) goto fail;
  memcpy(name, request.ifr_name, IFNAMSIZ);
  return fd;

fail:
  error = errno;
  close(fd);
  return -error;
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

/* Reads one packet into `room` bytes at `slot`. Returns its length (room + 1: cut), or -errno. */
static ssize_t read_packet(int fd, uint8_t *slot, size_t room, struct virtio_net_hdr *header) {
  uint8_t spare;
  struct iovec vector[] = {{header, sizeof *header}, {slot, room}, {&spare, 1}};
  ssize_t length;
  /* readv(2) on a TUN returns one packet: header and bytes, what does not fit is lost. EAGAIN: the
     queue is empty. EBADFD: the device was deleted. */
  do
    length = readv(fd, vector, 3);
  while (length < 0 && errno == EINTR);
  if (length < 0) return -errno;
  return length < (ssize_t)sizeof *header ? -EIO : length - (ssize_t)sizeof *header;
}

static int read_packets(int fd, struct bytes arena, int32_t stride, int32_t headroom, int32_t *rows,
                        int32_t capacity) {
  int32_t room = stride - headroom;
  for (int32_t i = 0; i < capacity; i++) {
    struct virtio_net_hdr header;
    size_t offset = (size_t)i * (size_t)stride + (size_t)headroom;
    ssize_t length = read_packet(fd, arena.data + offset, (size_t)room, &header);
    if (length < 0) return i > 0 ? i : (int)length;
    int32_t *row = rows + (size_t)i * PACKET_FIELDS;
    fill_row(row, &header);
    row[PACKET_OFFSET] = (int32_t)offset;
    row[PACKET_LENGTH] = length > room ? room : (int32_t)length;
    row[PACKET_STATUS] = length > room ? -EMSGSIZE : 0;
  }
  return capacity;
}

napi_value tun_read(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "tunRead", 6);
  int fd = take_int(&call, 0);
  struct bytes arena = take_bytes(&call, 1);
  int32_t stride = take_int(&call, 2);
  int32_t headroom = take_int(&call, 3);
  struct rows rows = take_rows(&call, 4);
  int32_t capacity = take_int(&call, 5);
  if (call.failed) return NULL;
  if (!holds_slots(arena, stride, capacity) || !holds_rows(rows, capacity, PACKET_FIELDS) ||
      headroom < 0 || headroom >= stride || arena.length > INT32_MAX)
    return give_int(&call, -EINVAL);
  return give_int(&call, read_packets(fd, arena, stride, headroom, rows.data, capacity));
}

/* --- Write. --- */

/* One past the last row of the packet that starts at `first`. */
static int32_t packet_end(const int32_t *rows, int32_t first, int32_t count) {
  int32_t end = first;
  while (end < count && rows[(size_t)end * PACKET_FIELDS + PACKET_FLAGS] & PACKET_MORE)
    end++;
  return end < count ? end + 1 : count;
}

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

/* Writes the packet of `parts` rows. Returns 0 or -errno. */
static int write_packet(int fd, struct bytes arena, const int32_t *row, int32_t parts) {
  struct virtio_net_hdr header;
  struct iovec vector[1 + MAX_PARTS] = {{&header, sizeof header}};
  size_t total = sizeof header;
  ssize_t written;
  if (parts > MAX_PARTS || !fill_header(&header, row)) return -EINVAL;
  for (int32_t i = 0; i < parts; i++, row += PACKET_FIELDS) {
    bool goes_on = (row[PACKET_FLAGS] & PACKET_MORE) != 0;
    uint8_t *data = slice(arena, row[PACKET_OFFSET], row[PACKET_LENGTH]);
    if (data == NULL || goes_on != (i + 1 < parts)) return -EINVAL;
    vector[1 + i] = (struct iovec){data, (size_t)row[PACKET_LENGTH]};
    total += (size_t)row[PACKET_LENGTH];
  }
  /* writev(2) on a TUN hands one packet to the stack, whole or not at all. EIO: the link is down.
     EBADFD: the device was deleted. EINVAL: vnet header or IP version make no sense. */
  do
    written = writev(fd, vector, 1 + parts);
  while (written < 0 && errno == EINTR);
  if (written < 0) return -errno;
  return (size_t)written == total ? 0 : -EIO;
}

static int write_packets(int fd, struct bytes arena, int32_t *rows, int32_t count) {
  int written = 0;
  for (int32_t first = 0; first < count;) {
    int32_t end = packet_end(rows, first, count);
    int status = write_packet(fd, arena, rows + (size_t)first * PACKET_FIELDS, end - first);
    if (status == 0) written++;
    for (; first < end; first++)
      rows[(size_t)first * PACKET_FIELDS + PACKET_STATUS] = status;
  }
  return written;
}

napi_value tun_write(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "tunWrite", 4);
  int fd = take_int(&call, 0);
  struct bytes arena = take_bytes(&call, 1);
  struct rows rows = take_rows(&call, 2);
  int32_t count = take_int(&call, 3);
  if (call.failed) return NULL;
  if (!holds_rows(rows, count, PACKET_FIELDS)) return give_int(&call, -EINVAL);
  return give_int(&call, write_packets(fd, arena, rows.data, count));
}
