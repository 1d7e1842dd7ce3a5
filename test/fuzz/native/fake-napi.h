/*
 * Just enough of Node-API to call the addon's exported functions as JavaScript would.
 *
 * Arguments are numbers, typed arrays, strings or undefined; a result is an integer, or a TypeError
 * was thrown. src/native/addon.c decodes them as in node, so a fuzz target enters where a caller
 * enters.
 */
#ifndef FUZZ_FAKE_NAPI_H
#define FUZZ_FAKE_NAPI_H

#include "../../../src/native/iptun.h"

enum value_kind { VALUE_UNDEFINED, VALUE_INT, VALUE_ARRAY, VALUE_TEXT };

struct value {
  enum value_kind kind;
  int32_t number;
  napi_typedarray_type type;
  void *data;
  size_t length; /* elements of an array, bytes of a text */
};

struct value int_value(int32_t number);
struct value bytes_value(uint8_t *data, size_t length);
struct value rows_value(int32_t *data, size_t length);

/* Loads the addon once; later calls return the same instance. Slots 0, 1 and the last hold keys. */
struct instance *loaded_addon(void);
/* Loads those keys and no other, and takes the primitives again. */
void reload_keys(void);
/* Takes EVP, or the primitives without it. */
void use_cipher(bool is_evp);
/* Functions that the addon exports. */
size_t export_count(void);
/* Calls export `index`; false: it threw. */
bool call_export(size_t index, const struct value *arguments, size_t count, int32_t *result);
/* Calls an export by name, which must not throw. */
int32_t call_addon(const char *name, const struct value *arguments, size_t count);

#endif
