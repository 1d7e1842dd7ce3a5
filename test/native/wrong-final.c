/*
 * A Poly1305_Final that is not Poly1305's: linked into a build of the addon by cipher-fallback.test.ts.
 *
 * It stands for a function of the same name that does something else.
 */
#include <stdint.h>
#include <string.h>

void wrong_final(void *context, uint8_t tag[16]);

void wrong_final(void *context, uint8_t tag[16]) {
  memcpy(tag, context, 16);
}
