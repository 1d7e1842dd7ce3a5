/*
 * What the fuzz targets share: reading an input byte by byte, and the check that ends a run.
 *
 * An input that is too short goes on as zeros, so every input means something. Blocks are allocated
 * in their exact size, so that AddressSanitizer sees one byte too many.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
  const uint8_t *data;
  size_t left;
};

uint8_t next_byte(struct input *input);
uint16_t next_short(struct input *input);
int32_t next_int(struct input *input);
/* Fills `length` bytes; returns how many of them the input had. */
size_t next_bytes(struct input *input, void *bytes, size_t length);

/* A heap block of its own for what is left of the input, grown by `more` bytes of a pattern. */
uint8_t *rest_of(struct input *input, size_t more, size_t *length);
/* A heap block of its own, of zeros. */
void *block_of(size_t length);
/* A copy in a heap block of its own. */
void *copy_of(const void *bytes, size_t length);

/* Entry of each target, as libFuzzer wants it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

_Noreturn void check_failed(const char *what, const char *file, int line);
/* Unlike assert it is never compiled away. */
#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) check_failed(#condition, __FILE__, __LINE__);                                \
  } while (0)

#endif
