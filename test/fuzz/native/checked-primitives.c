/*
 * OpenSSL's ChaCha20 and Poly1305 behind checks of what they are given.
 *
 * They are assembly, which AddressSanitizer does not see into; so every byte that a call may touch
 * is asked for before it is made. chacha.c is compiled against these names.
 */
#include <stddef.h>
#include <stdint.h>

#include "input.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef HAS_ADDRESS_SANITIZER
void *__asan_region_is_poisoned(void *start, size_t length);
#endif

/* include/crypto/chacha.h and poly1305.h of OpenSSL 3. */
void ChaCha20_ctr32(uint8_t *out, const uint8_t *in, size_t length, const uint32_t key[8],
                    const uint32_t counter[4]);
size_t Poly1305_ctx_size(void);
void Poly1305_Init(void *context, const uint8_t key[32]);
void Poly1305_Update(void *context, const uint8_t *in, size_t length);
void Poly1305_Final(void *context, uint8_t tag[16]);

void checked_ChaCha20_ctr32(uint8_t *out, const uint8_t *in, size_t length, const uint32_t key[8],
                            const uint32_t counter[4]);
void checked_Poly1305_Init(void *context, const uint8_t key[32]);
void checked_Poly1305_Update(void *context, const uint8_t *in, size_t length);
void checked_Poly1305_Final(void *context, uint8_t tag[16]);

static void check_bytes(const void *start, size_t length) {
#ifdef HAS_ADDRESS_SANITIZER
  CHECK(__asan_region_is_poisoned((void *)(uintptr_t)start, length) == NULL);
#else
  (void)start;
  (void)length;
#endif
}

void checked_ChaCha20_ctr32(uint8_t *out, const uint8_t *in, size_t length, const uint32_t key[8],
                            const uint32_t counter[4]) {
  check_bytes(out, length);
  check_bytes(in, length);
  check_bytes(key, 32);
  check_bytes(counter, 16);
  ChaCha20_ctr32(out, in, length, key, counter);
}

void checked_Poly1305_Init(void *context, const uint8_t key[32]) {
  check_bytes(context, Poly1305_ctx_size());
  check_bytes(key, 32);
  Poly1305_Init(context, key);
}

void checked_Poly1305_Update(void *context, const uint8_t *in, size_t length) {
  check_bytes(in, length);
  Poly1305_Update(context, in, length);
}

void checked_Poly1305_Final(void *context, uint8_t tag[16]) {
  check_bytes(tag, 16);
  Poly1305_Final(context, tag);
}
