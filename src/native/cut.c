/*
 * Cuts a super-packet into the packets that software segmentation in the kernel would make of it.
 *
 * TCP and UDP over IPv4 and IPv6. Each segment repeats the header; lengths, IPv4 id and checksum
 * (RFC 791), TCP sequence number and flags (RFC 9293; CWR as RFC 3168 §6.1.2 wants it) and the UDP
 * length are its own. Transport checksums stay partial (linux/virtio_net.h): the field holds the
 * folded sum of the pseudo-header, so it changes by the difference of the lengths, which holds for
 * IPv6 routing headers too, whose final destination is not in the IP header. Not here: sealing, and
 * which packets may be cut. The trap: no payload is copied; a header is written over the end of
 * the segment before, so the segments must be asked for, and used, in order.
 */
#include "iptun.h"

#include <string.h>

enum {
  TCP_CHECKSUM = 16,
  UDP_CHECKSUM = 6,
  TCP_FIN = 0x01,
  TCP_PSH = 0x08,
  TCP_CWR = 0x80,
};

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

static uint32_t fold(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

/* --- What may be cut. --- */

/* Walks the extension headers that a packet can be cut behind (RFC 8200 §4: hop-by-hop options,
   routing, destination options). Returns the offset of the `wanted` header, or 0. */
static int32_t ipv6_transport(const uint8_t *packet, int32_t end, uint8_t wanted) {
  uint8_t next = packet[6];
  int32_t at = IPV6_BYTES;
  while (next != wanted) {
    if ((next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) ||
        at + 8 > end)
      return 0;
    next = packet[at];
    at += 8 * (1 + packet[at + 1]);
  }
  return at;
}

/* Offset of the TCP or UDP header, or 0 where the packet has none. */
static int32_t transport_of(const struct cut *cut) {
  const uint8_t *packet = cut->packet;
  uint8_t wanted = cut->is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
  if (cut->header_length < IPV4_BYTES + UDP_BYTES) return 0;
  if (packet[0] >> 4 != (cut->is_v6 ? 6 : 4)) return 0;
  if (!cut->is_v6) return packet[9] == wanted ? 4 * (packet[0] & 15) : 0;
  return cut->header_length < IPV6_BYTES ? 0 : ipv6_transport(packet, cut->header_length, wanted);
}

/* Whether the transport header ends where the headers do. */
static bool ends_header(const struct cut *cut) {
  int32_t room = cut->header_length - cut->transport;
  if (cut->transport < (cut->is_v6 ? IPV6_BYTES : IPV4_BYTES)) return false;
  if (!cut->is_tcp) return room == UDP_BYTES;
  return room >= TCP_BYTES && room == 4 * (cut->packet[cut->transport + 12] >> 4);
}

static bool set_type(struct cut *cut, int32_t type) {
  int32_t plain = type & ~GSO_ECN;
  cut->is_tcp = plain == GSO_TCP4 || plain == GSO_TCP6;
  cut->is_v6 = plain == GSO_TCP6 || (plain == GSO_UDP && cut->packet[0] >> 4 == 6);
  return cut->is_tcp || type == GSO_UDP;
}

/* Whether `segments` of the given size hold the payload, and each fits its length field. */
static bool set_sizes(struct cut *cut, const int32_t *row) {
  cut->header_length = row[SEAL_HEADER_LENGTH];
  cut->segment_size = row[SEAL_GSO_SIZE];
  cut->segments = row[SEAL_SEGMENTS];
  int32_t most = UINT16_MAX - CUT_HEADER_BYTES;
  if (cut->header_length < 0 || cut->header_length > CUT_HEADER_BYTES) return false;
  if (cut->segment_size < 1 || cut->segment_size > most) return false;
  int32_t payload = cut->length - cut->header_length;
  return payload > 0 && cut->segments == (payload - 1) / cut->segment_size + 1;
}

static void set_fields(struct cut *cut) {
  const uint8_t *ip = cut->header;
  const uint8_t *transport = ip + cut->transport;
  uint32_t length = (uint32_t)(cut->length - cut->transport);
  cut->transport_sum = get16(transport + (cut->is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM));
  cut->transport_sum += ~fold(length) & 0xffff;
  if (cut->is_tcp) {
    cut->sequence = get16(transport + 4) << 16 | get16(transport + 6);
    cut->flags = transport[13];
  }
  if (cut->is_v6) return;
  cut->id = get16(ip + 4);
  cut->ip_sum = 0;
  for (int32_t at = 0; at < cut->transport; at += 2)
    if (at != 2 && at != 4 && at != 10) cut->ip_sum += get16(ip + at);
}

int cut_begin(struct cut *cut, const int32_t *row, uint8_t *packet, int32_t length) {
  cut->packet = packet;
  cut->length = length;
  if (length < 1 || (row[SEAL_FLAGS] & PACKET_NEEDS_CHECKSUM) == 0) return -EINVAL;
  if (!set_type(cut, row[SEAL_GSO_TYPE]) || !set_sizes(cut, row)) return -EINVAL;
  cut->transport = transport_of(cut);
  int32_t field = cut->is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
  if (!ends_header(cut) || row[SEAL_CHECKSUM_START] != cut->transport ||
      row[SEAL_CHECKSUM_OFFSET] != field)
    return -EINVAL;
  memcpy(cut->header, packet, (size_t)cut->header_length);
  set_fields(cut);
  cut->header[0] |= UNFINISHED_CHECKSUM;
  return 0;
}

/* --- One segment after another. --- */

int32_t cut_length(const struct cut *cut, int32_t index) {
  int32_t rest = cut->length - index * cut->segment_size;
  int32_t full = cut->header_length + cut->segment_size;
  return rest < full ? rest : full;
}

static void patch_ip(struct cut *cut, uint32_t index, uint32_t length) {
  uint8_t *ip = cut->header;
  if (cut->is_v6) {
    put16(ip + 4, length - IPV6_BYTES);
    return;
  }
  uint32_t id = (cut->id + index) & 0xffff;
  put16(ip + 2, length);
  put16(ip + 4, id);
  put16(ip + 10, ~fold(cut->ip_sum + length + id));
}

static void patch_transport(struct cut *cut, int32_t index, uint32_t length) {
  uint8_t *transport = cut->header + cut->transport;
  uint32_t own = length - (uint32_t)cut->transport;
  uint32_t sum = fold(cut->transport_sum + own);
  if (!cut->is_tcp) {
    put16(transport + 4, own);
    put16(transport + UDP_CHECKSUM, sum);
    return;
  }
  uint8_t flags = cut->flags;
  if (index > 0) flags &= (uint8_t)~TCP_CWR;
  if (index + 1 < cut->segments) flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
  put32(transport + 4, cut->sequence + (uint32_t)index * (uint32_t)cut->segment_size);
  transport[13] = flags;
  put16(transport + TCP_CHECKSUM, sum);
}

uint8_t *cut_segment(struct cut *cut, int32_t index) {
  uint8_t *start = cut->packet + (size_t)index * (size_t)cut->segment_size;
  uint32_t length = (uint32_t)cut_length(cut, index);
  patch_ip(cut, (uint32_t)index, length);
  patch_transport(cut, index, length);
  memcpy(start, cut->header, (size_t)cut->header_length);
  return start;
}
