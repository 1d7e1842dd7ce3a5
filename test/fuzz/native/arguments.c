/*
 * Target: every exported function with arguments of any type, number and value.
 *
 * A wrong type or too few arguments must throw, anything else must give a number; the fake kernel
 * answers system calls with the input's bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "fake-kernel.h"
#include "fake-napi.h"
#include "input.h"

enum { MOST_ARGUMENTS = 7, MOST_BYTES = 600 };

static struct input *kernel_input;

static int answer(void) {
  uint8_t say = next_byte(kernel_input);
  return say < 128 ? 0 : say < 160 ? say - 120 : -(int)(say - 150);
}

static ssize_t transfer(const struct iovec *vector, size_t count, bool is_write) {
  size_t room = 0;
  for (size_t i = 0; i < count; i++)
    room += vector[i].iov_len;
  if (kernel_input->left == 0) return -EAGAIN;
  int say = answer();
  if (say < 0 || is_write) return say;
  for (size_t i = 0; i < count; i++)
    memset(vector[i].iov_base, 0x45, vector[i].iov_len);
  return (ssize_t)room;
}

static int exchange(struct mmsghdr *messages, unsigned count) {
  (void)messages;
  (void)count;
  return kernel_input->left == 0 ? -EAGAIN : answer() < 0 ? -EIO : 0;
}

static int set_option(int level, int name, int value) {
  (void)level;
  (void)name;
  (void)value;
  return answer();
}

static int option(int level, int name) {
  (void)level;
  (void)name;
  return answer();
}

static int other(const char *name) {
  (void)name;
  return answer();
}

/* An argument with memory of its own. */
static struct value next_value(struct input *input) {
  uint8_t kind = next_byte(input) % 6;
  struct value value = {VALUE_UNDEFINED, 0, napi_uint8_array, NULL, 0};
  if (kind == 0) return value;
  if (kind == 1) return int_value(next_byte(input));
  if (kind == 2) return int_value(next_int(input));
  value.kind = kind == 5 ? VALUE_TEXT : VALUE_ARRAY;
  value.type = kind == 3 ? napi_uint8_array : napi_int32_array;
  if (next_byte(input) > 250) value.type = napi_float64_array;
  value.length = next_short(input) % MOST_BYTES;
  size_t size = value.type == napi_uint8_array ? 1 : value.type == napi_int32_array ? 4 : 8;
  /* node gives no address for an empty array. */
  value.data = value.length == 0 ? NULL : calloc(value.length, size);
  if (value.length > 0) next_bytes(input, value.data, value.length * size);
  return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  struct value arguments[MOST_ARGUMENTS];
  size_t index = next_byte(&input) % export_count();
  size_t count = next_byte(&input) % (MOST_ARGUMENTS + 1);
  int32_t result;
  for (size_t i = 0; i < count; i++)
    arguments[i] = next_value(&input);
  kernel_input = &input;
  fake_kernel = (struct fake_kernel){transfer, exchange, exchange, set_option, other, option};
  call_export(index, arguments, count, &result);
  for (size_t i = 0; i < count; i++)
    free(arguments[i].data);
  /* keyWipe and cipherKind may have changed what the next input meets. */
  reload_keys();
  return 0;
}
