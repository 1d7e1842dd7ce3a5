/* Plain twins; see plain.h. */
#include "plain.h"

#include <openssl/evp.h>
#include <string.h>

#include "input.h"

enum { DONT_FRAGMENT = 0x4000 };

static uint32_t get32(const uint8_t *at) { return get16(at) << 16 | get16(at + 2); }

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

/* --- Cutting. --- */

static bool is_tcp_type(int32_t type) {
  return type == GSO_TCP4 || type == GSO_TCP6 || type == (GSO_TCP4 | GSO_ECN) ||
         type == (GSO_TCP6 | GSO_ECN);
}

/* Offset of the TCP or UDP header that an IPv6 chain leads to inside `end`, or -1. */
static int32_t chain_end(const uint8_t *packet, int32_t end, int wanted) {
  int next = packet[6];
  int32_t at = 40;
  for (;;) {
    if (next == wanted) return at;
    if (next != 0 && next != 43 && next != 60) return -1;
    if (at > end - 8) return -1;
    next = packet[at];
    at += (packet[at + 1] + 1) * 8;
  }
}

static int32_t transport_at(const int32_t *row, const uint8_t *packet) {
  int version = packet[0] >> 4;
  bool is_tcp = is_tcp_type(row[SEAL_GSO_TYPE]);
  int wanted = is_tcp ? 6 : 17;
  int32_t end = row[SEAL_HEADER_LENGTH];
  if (version == 4 && (row[SEAL_GSO_TYPE] & ~GSO_ECN) != GSO_TCP6) {
    return end >= 28 && packet[9] == wanted ? (packet[0] & 15) * 4 : -1;
  }
  if (version == 6 && (row[SEAL_GSO_TYPE] & ~GSO_ECN) != GSO_TCP4) {
    return end >= 40 ? chain_end(packet, end, wanted) : -1;
  }
  return -1;
}

bool plain_may_cut(const int32_t *row, const uint8_t *packet, int32_t length) {
  bool is_tcp = is_tcp_type(row[SEAL_GSO_TYPE]);
  int64_t header = row[SEAL_HEADER_LENGTH];
  int64_t size = row[SEAL_GSO_SIZE];
  if ((row[SEAL_FLAGS] & 1) == 0 || (!is_tcp && row[SEAL_GSO_TYPE] != GSO_UDP)) return false;
  if (header < 0 || header > 512 || size < 1 || size > 65535 - 512) return false;
  if (length <= header || row[SEAL_SEGMENTS] != (length - header + size - 1) / size) return false;
  int32_t transport = transport_at(row, packet);
  if (transport < (packet[0] >> 4 == 6 ? 40 : 20)) return false;
  if (row[SEAL_CHECKSUM_START] != transport) return false;
  if (row[SEAL_CHECKSUM_OFFSET] != (is_tcp ? 16 : 6)) return false;
  int64_t own = header - transport;
  if (!is_tcp) return own == 8;
  return own >= 20 && own == (packet[transport + 12] >> 4) * 4;
}

/* The ones' complement sum of an IPv4 header whose checksum field is zero. */
static uint32_t header_checksum(const uint8_t *ip) {
  uint32_t sum = 0;
  for (int32_t at = 0; at < (ip[0] & 15) * 4; at += 2)
    sum += get16(ip + at);
  while (sum > 0xffff)
    sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/* A partial checksum whose pseudo-header tells `now` bytes where it told `before`. */
static uint32_t repaired_sum(uint32_t sum, int64_t before, int64_t now) {
  int64_t value = ((int64_t)sum - before + now) % 65535;
  if (value < 0) value += 65535;
  return value == 0 ? 0xffff : (uint32_t)value;
}

static void patch_ip(uint8_t *out, int32_t index, int32_t total) {
  if (out[0] >> 4 == 6) {
    put16(out + 4, (uint32_t)(total - 40));
    return;
  }
  put16(out + 2, (uint32_t)total);
  put16(out + 4, (get16(out + 4) + (uint32_t)index) & 0xffff);
  put16(out + 10, 0);
  put16(out + 10, header_checksum(out));
}

int32_t plain_segment(const int32_t *row, const uint8_t *packet, int32_t length, int32_t index,
                      uint8_t *out) {
  int32_t header = row[SEAL_HEADER_LENGTH];
  int32_t size = row[SEAL_GSO_SIZE];
  int32_t start = header + index * size;
  int32_t payload = length - start < size ? length - start : size;
  int32_t transport = row[SEAL_CHECKSUM_START];
  bool is_last = start + payload == length;
  bool is_tcp = is_tcp_type(row[SEAL_GSO_TYPE]);
  uint8_t *own = out + transport;
  uint8_t *sum = own + row[SEAL_CHECKSUM_OFFSET];
  memcpy(out, packet, (size_t)header);
  memcpy(out + header, packet + start, (size_t)payload);
  patch_ip(out, index, header + payload);
  put16(sum, repaired_sum(get16(sum), length - transport, header + payload - transport));
  if (is_tcp) {
    put32(own + 4, get32(own + 4) + (uint32_t)index * (uint32_t)size);
    if (index > 0) own[13] &= 0x7f;
    if (!is_last) own[13] &= 0xf6;
  } else {
    put16(own + 4, (uint32_t)(header + payload - transport));
  }
  out[0] |= 0x80;
  return header + payload;
}

/* --- Likeness. --- */

/* Bytes of the headers of a marked plain TCP or UDP packet with payload; 0: it is none. */
static int32_t plain_headers(const uint8_t *packet, int32_t length) {
  bool is_v6 = length > 0 && packet[0] >> 4 == 0xe;
  int32_t ip = is_v6 ? 40 : 20;
  if (length < 28 || (!is_v6 && packet[0] != 0xc5)) return 0;
  int protocol = packet[is_v6 ? 6 : 9];
  if (protocol == 17) return length > ip + 8 ? ip + 8 : 0;
  if (protocol != 6 || length < ip + 20) return 0;
  int32_t header = ip + (packet[ip + 12] >> 4) * 4;
  return header >= ip + 20 && length > header ? header : 0;
}

int32_t plain_alike(const uint8_t *first, int32_t length, size_t stride, int32_t count) {
  uint8_t next[40 + 60];
  int32_t alike = 1;
  int32_t header = count < 2 ? 0 : plain_headers(first, length);
  if (header == 0) return 1;
  bool is_v6 = first[0] >> 4 == 0xe;
  bool is_tcp = first[is_v6 ? 6 : 9] == 6;
  int32_t transport = is_v6 ? 40 : 20;
  uint32_t step = is_v6 ? 0 : (get16(first + stride + 4) - get16(first + 4)) & 0xffff;
  if (step > 1 || (!is_v6 && step == 0 && get16(first + 6) != DONT_FRAGMENT)) return 1;
  memcpy(next, first, (size_t)header);
  for (; alike < count; alike++) {
    const uint8_t *packet = first + (size_t)alike * stride;
    if (is_tcp)
      put32(next + transport + 4, get32(next + transport + 4) + (uint32_t)(length - header));
    if (!is_v6) {
      put16(next + 4, (get16(next + 4) + step) & 0xffff);
      /* The header's checksum goes with the id. */
      memcpy(next + 10, packet + 10, 2);
    }
    if (memcmp(next, packet, (size_t)header) != 0) break;
  }
  return alike;
}

/* --- The cipher. --- */

static EVP_CIPHER_CTX *cipher(const uint8_t key[32], const uint8_t *header, int is_sealing) {
  static EVP_CIPHER_CTX *context;
  uint8_t nonce[12] = {0};
  int ignored;
  memcpy(nonce + 4, header + 8, 8);
  if (context == NULL) context = EVP_CIPHER_CTX_new();
  CHECK(EVP_CipherInit_ex(context, EVP_chacha20_poly1305(), NULL, key, nonce, is_sealing) == 1);
  CHECK(EVP_CipherUpdate(context, NULL, &ignored, header, 16) == 1);
  return context;
}

void plain_seal(const uint8_t key[32], uint8_t *datagram, const uint8_t *in, int32_t length) {
  EVP_CIPHER_CTX *context = cipher(key, datagram, 1);
  int ignored;
  CHECK(length == 0 || EVP_CipherUpdate(context, datagram + 16, &ignored, in, length) == 1);
  CHECK(EVP_CipherFinal_ex(context, datagram + 16 + length, &ignored) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, datagram + 16 + length) == 1);
}

bool plain_open(const uint8_t key[32], const uint8_t *datagram, int32_t size, uint8_t *out) {
  EVP_CIPHER_CTX *context = cipher(key, datagram, 0);
  uint8_t tag[16];
  int ignored;
  memcpy(tag, datagram + size - 16, sizeof tag);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1);
  CHECK(size == 32 || EVP_CipherUpdate(context, out, &ignored, datagram + 16, size - 32) == 1);
  return EVP_CipherFinal_ex(context, out, &ignored) == 1;
}
