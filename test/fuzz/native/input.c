/* Reading of inputs; see input.h. */
#include "input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t next_bytes(struct input *input, void *bytes, size_t length) {
  size_t given = length < input->left ? length : input->left;
  if (given > 0) memcpy(bytes, input->data, given);
  if (given < length) memset((uint8_t *)bytes + given, 0, length - given);
  input->data += given;
  input->left -= given;
  return given;
}

uint8_t next_byte(struct input *input) {
  uint8_t value = 0;
  next_bytes(input, &value, sizeof value);
  return value;
}

uint16_t next_short(struct input *input) {
  uint16_t value = 0;
  next_bytes(input, &value, sizeof value);
  return value;
}

int32_t next_int(struct input *input) {
  int32_t value = 0;
  next_bytes(input, &value, sizeof value);
  return value;
}

uint8_t *rest_of(struct input *input, size_t more, size_t *length) {
  *length = input->left + more;
  uint8_t *bytes = block_of(*length);
  size_t given = next_bytes(input, bytes, input->left);
  for (size_t i = given; i < *length; i++)
    bytes[i] = (uint8_t)(i * 7 + 3);
  return bytes;
}

void *block_of(size_t length) {
  void *block = calloc(1, length > 0 ? length : 1);
  CHECK(block != NULL);
  return block;
}

void *copy_of(const void *bytes, size_t length) {
  void *copy = block_of(length);
  if (length > 0) memcpy(copy, bytes, length);
  return copy;
}

void check_failed(const char *what, const char *file, int line) {
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  abort();
}
