/*
 * Plain twins of src/native: cutting, likeness and the cipher, written for clearness alone.
 *
 * Cutting sums each header from scratch (RFC 1071) where cut.c keeps partial sums; likeness builds
 * the header that must come next and compares it; the cipher is EVP called in full for each
 * datagram.
 */
#ifndef FUZZ_PLAIN_H
#define FUZZ_PLAIN_H

#include "../../../src/native/iptun.h"

/* Whether a seal row may cut the `length` bytes at `packet`. */
bool plain_may_cut(const int32_t *row, const uint8_t *packet, int32_t length);
/* Writes segment `index` of an untouched super-packet that may be cut; returns its bytes. */
int32_t plain_segment(const int32_t *row, const uint8_t *packet, int32_t length, int32_t index,
                      uint8_t *out);
/* The same as count_alike. */
int32_t plain_alike(const uint8_t *first, int32_t length, size_t stride, int32_t count);

/* Seals `length` bytes behind the header at `datagram`, and adds the tag. */
void plain_seal(const uint8_t key[32], uint8_t *datagram, const uint8_t *in, int32_t length);
/* Opens `size` bytes at `datagram` into `out`, size - 32 bytes; false: the tag does not verify. */
bool plain_open(const uint8_t key[32], const uint8_t *datagram, int32_t size, uint8_t *out);

#endif
