/*
 * Counts the packets at the head of a run that one super-packet would have been cut into.
 *
 * The reverse of cut.c: the headers of plain TCP and UDP packets (no IPv4 options, no IPv6
 * extension headers, an unfinished checksum) are equal but for the IPv4 id, which counts on or
 * stays (RFC 6864 §4.1: it may where fragmenting is forbidden), the IPv4 checksum that goes with
 * it, and the TCP sequence number, which grows by the payload. Not here: whether such packets may
 * be joined, which the first one's flags decide. The trap: nothing is known of the first packet
 * either.
 */
#include "iptun.h"

#include <string.h>

enum {
  IPV4_PLAIN = 0x45,
  IPV6_FIRST_NIBBLE = 0x60,
  PORTS_BYTES = 4,
};
/* Flags and offset of an IPv4 packet that is whole and must stay so. */
#define DONT_FRAGMENT 0x4000

struct shape {
  int32_t transport; /* offset of the transport header */
  int32_t header;    /* bytes of all headers */
  bool is_v6;
  bool is_tcp;
  uint32_t payload;
  uint32_t id_step; /* from one IPv4 id to the next */
};

static uint32_t get32(const uint8_t *at) {
  return get16(at) << 16 | get16(at + 2);
}

static bool set_shape(struct shape *shape, const uint8_t *packet, int32_t length) {
  if (length < IPV4_BYTES + UDP_BYTES) return false;
  shape->is_v6 = (packet[0] & 0xf0) == (UNFINISHED_CHECKSUM | IPV6_FIRST_NIBBLE);
  if (!shape->is_v6 && packet[0] != (UNFINISHED_CHECKSUM | IPV4_PLAIN)) return false;
  shape->transport = shape->is_v6 ? IPV6_BYTES : IPV4_BYTES;
  uint8_t protocol = packet[shape->is_v6 ? 6 : 9];
  shape->is_tcp = protocol == IPPROTO_TCP;
  if (!shape->is_tcp && protocol != IPPROTO_UDP) return false;
  shape->header = shape->transport + UDP_BYTES;
  if (shape->is_tcp) {
    if (length < shape->transport + TCP_BYTES) return false;
    shape->header = shape->transport + 4 * (packet[shape->transport + 12] >> 4);
    if (shape->header < shape->transport + TCP_BYTES) return false;
  }
  shape->payload = (uint32_t)(length - shape->header);
  return length > shape->header;
}

/* The step from the first IPv4 id to the second. False: neither of the two that cutting makes. */
static bool set_id_step(struct shape *shape, const uint8_t *first, const uint8_t *second) {
  shape->id_step = (get16(second + 4) - get16(first + 4)) & 0xffff;
  return shape->id_step == 1 || (shape->id_step == 0 && get16(first + 6) == DONT_FRAGMENT);
}

static bool is_equal(const uint8_t *a, const uint8_t *b, int32_t from, int32_t end) {
  return memcmp(a + from, b + from, (size_t)(end - from)) == 0;
}

/* Version, class, length, id, flags, TTL, protocol, addresses and ports. */
static bool continues_ip(const struct shape *shape, const uint8_t *first, const uint8_t *packet,
                         uint32_t index) {
  int32_t end = shape->transport + PORTS_BYTES;
  if (shape->is_v6) return is_equal(first, packet, 0, end);
  uint32_t id = (get16(first + 4) + index * shape->id_step) & 0xffff;
  return is_equal(first, packet, 0, 4) && get16(packet + 4) == id &&
         is_equal(first, packet, 6, 10) && is_equal(first, packet, 12, end);
}

static bool continues(const struct shape *shape, const uint8_t *first, const uint8_t *packet,
                      uint32_t index) {
  int32_t rest = shape->transport + PORTS_BYTES;
  if (!continues_ip(shape, first, packet, index)) return false;
  if (shape->is_tcp) {
    uint32_t sequence = get32(first + rest) + index * shape->payload;
    if (get32(packet + rest) != sequence) return false;
    rest += 4;
  }
  return is_equal(first, packet, rest, shape->header);
}

int32_t count_alike(const uint8_t *first, int32_t length, size_t stride, int32_t count) {
  struct shape shape = {0};
  if (count < 2 || !set_shape(&shape, first, length)) return 1;
  if (!shape.is_v6 && !set_id_step(&shape, first, first + stride)) return 1;
  int32_t alike = 1;
  while (alike < count && continues(&shape, first, first + (size_t)alike * stride, (uint32_t)alike))
    alike++;
  return alike;
}
