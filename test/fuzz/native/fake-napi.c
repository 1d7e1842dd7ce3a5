/* The part of Node-API that src/native uses, over plain structs; see fake-napi.h. */
#include "fake-napi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"

#define MOST_EXPORTS 64
#define MOST_ARGUMENTS 8

struct function {
  char name[32];
  napi_callback callback;
};

struct napi_callback_info__ {
  const struct value *arguments;
  size_t count;
};

/* All the state of the fake environment: libFuzzer runs one thread. */
static struct instance *instance;
static struct function exported[MOST_EXPORTS];
static size_t exports;
static bool has_thrown;
static struct value undefined;
static struct value result_value;

struct value int_value(int32_t number) {
  return (struct value){.kind = VALUE_INT, .number = number};
}

struct value bytes_value(uint8_t *data, size_t length) {
  return (struct value){
      .kind = VALUE_ARRAY, .type = napi_uint8_array, .data = data, .length = length};
}

struct value rows_value(int32_t *data, size_t length) {
  return (struct value){
      .kind = VALUE_ARRAY, .type = napi_int32_array, .data = data, .length = length};
}

static const struct value *value_of(napi_value handle) {
  return (const struct value *)(const void *)handle;
}

static napi_value handle_of(const struct value *value) {
  return (napi_value)(void *)(uintptr_t)value;
}

/* --- Node-API. --- */

napi_value napi_register_module_v1(napi_env env, napi_value exports_object);

napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t *count,
                             napi_value *arguments, napi_value *this_value, void **data) {
  (void)env;
  (void)this_value;
  for (size_t i = 0; i < *count; i++)
    arguments[i] = handle_of(i < info->count ? &info->arguments[i] : &undefined);
  *count = info->count;
  *data = instance;
  return napi_ok;
}

napi_status napi_get_value_int32(napi_env env, napi_value handle, int32_t *result) {
  (void)env;
  if (value_of(handle)->kind != VALUE_INT) return napi_number_expected;
  *result = value_of(handle)->number;
  return napi_ok;
}

napi_status napi_get_typedarray_info(napi_env env, napi_value handle, napi_typedarray_type *type,
                                     size_t *length, void **data, napi_value *buffer,
                                     size_t *offset) {
  const struct value *value = value_of(handle);
  (void)env;
  (void)buffer;
  (void)offset;
  if (value->kind != VALUE_ARRAY) return napi_invalid_arg;
  *type = value->type;
  *length = value->length;
  *data = value->data;
  return napi_ok;
}

napi_status napi_get_value_string_utf8(napi_env env, napi_value handle, char *buffer, size_t size,
                                       size_t *length) {
  const struct value *value = value_of(handle);
  (void)env;
  if (value->kind != VALUE_TEXT) return napi_string_expected;
  *length = value->length;
  if (buffer == NULL) return napi_ok;
  if (*length >= size) *length = size - 1;
  if (*length > 0) memcpy(buffer, value->data, *length);
  buffer[*length] = 0;
  return napi_ok;
}

napi_status napi_throw_type_error(napi_env env, const char *code, const char *message) {
  (void)env;
  (void)code;
  CHECK(strlen(message) > 0);
  has_thrown = true;
  return napi_ok;
}

napi_status napi_throw_error(napi_env env, const char *code, const char *message) {
  return napi_throw_type_error(env, code, message);
}

napi_status napi_create_int32(napi_env env, int32_t number, napi_value *result) {
  (void)env;
  result_value = int_value(number);
  *result = handle_of(&result_value);
  return napi_ok;
}

napi_status napi_create_double(napi_env env, double number, napi_value *result) {
  (void)number;
  return napi_create_int32(env, 0, result);
}

napi_status napi_create_string_utf8(napi_env env, const char *text, size_t length,
                                    napi_value *result) {
  CHECK(length == NAPI_AUTO_LENGTH && strlen(text) < 64);
  return napi_create_int32(env, 0, result);
}

napi_status napi_create_arraybuffer(napi_env env, size_t length, void **data, napi_value *result) {
  static uint8_t buffer[4096];
  CHECK(length <= sizeof buffer);
  *data = buffer;
  return napi_create_int32(env, 0, result);
}

napi_status napi_create_typedarray(napi_env env, napi_typedarray_type type, size_t length,
                                   napi_value buffer, size_t offset, napi_value *result) {
  (void)type;
  (void)length;
  (void)buffer;
  (void)offset;
  return napi_create_int32(env, 0, result);
}

napi_status napi_add_async_cleanup_hook(napi_env env, napi_async_cleanup_hook hook, void *data,
                                        napi_async_cleanup_hook_handle *handle) {
  (void)env;
  (void)hook;
  (void)handle;
  instance = data;
  return napi_ok;
}

napi_status napi_create_function(napi_env env, const char *name, size_t length,
                                 napi_callback callback, void *data, napi_value *result) {
  CHECK(exports < MOST_EXPORTS && length == NAPI_AUTO_LENGTH && data == instance);
  struct function *function = &exported[exports++];
  snprintf(function->name, sizeof function->name, "%s", name);
  function->callback = callback;
  return napi_create_int32(env, 0, result);
}

napi_status napi_set_named_property(napi_env env, napi_value object, const char *name,
                                    napi_value value) {
  (void)env;
  (void)object;
  (void)name;
  (void)value;
  return napi_ok;
}

/* --- What src/native/poll.c and libuv would give: events are not parsed, so not fuzzed. --- */

static napi_value no_watch(napi_env env) {
  napi_value result;
  napi_create_int32(env, -ENOSYS, &result);
  return result;
}

napi_value watch_begin(napi_env env, napi_callback_info info) {
  (void)info;
  return no_watch(env);
}

napi_value watch_events(napi_env env, napi_callback_info info) {
  (void)info;
  return no_watch(env);
}

napi_value watch_end(napi_env env, napi_callback_info info) {
  (void)info;
  return no_watch(env);
}

void watch_release(struct instance *self, int fd) {
  (void)self;
  (void)fd;
}

void instance_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  (void)data;
}

char *uv_err_name_r(int error, char *buffer, size_t length);

char *uv_err_name_r(int error, char *buffer, size_t length) {
  snprintf(buffer, length, "Unknown system error %d", error);
  return buffer;
}

/* --- For the targets. --- */

static void load_keys(void) {
  uint8_t material[48];
  const int32_t slots[] = {0, 1, KEY_SLOTS - 1};
  for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
    for (size_t at = 0; at < sizeof material; at++)
      material[at] = (uint8_t)(i * 91 + at * 5 + 1);
    const struct value arguments[] = {int_value(slots[i]), bytes_value(material, sizeof material)};
    CHECK(call_addon("keyLoad", arguments, 2) == 0);
  }
}

struct instance *loaded_addon(void) {
  if (instance != NULL) return instance;
  napi_register_module_v1(NULL, handle_of(&undefined));
  CHECK(instance != NULL && !has_thrown && exports > 0);
  /* Else chacha.c would go unfuzzed: libcrypto must be linked statically. */
  CHECK(instance->cipher == CIPHER_PRIMITIVES);
  load_keys();
  return instance;
}

void reload_keys(void) {
  memset(instance->keys->isLoaded, 0, sizeof instance->keys->isLoaded);
  use_cipher(false);
  load_keys();
}

void use_cipher(bool is_evp) {
  /* Not by cipherKind: it would try both on random input each time. */
  loaded_addon()->cipher = is_evp ? CIPHER_EVP : CIPHER_PRIMITIVES;
}

size_t export_count(void) {
  loaded_addon();
  return exports;
}

bool call_export(size_t index, const struct value *arguments, size_t count, int32_t *result) {
  struct napi_callback_info__ info = {arguments, count};
  CHECK(index < exports && count <= MOST_ARGUMENTS);
  has_thrown = false;
  napi_value returned = exported[index].callback(NULL, &info);
  if (has_thrown) {
    CHECK(returned == NULL);
    return false;
  }
  CHECK(returned != NULL);
  *result = value_of(returned)->number;
  return true;
}

int32_t call_addon(const char *name, const struct value *arguments, size_t count) {
  int32_t result = 0;
  loaded_addon();
  for (size_t i = 0; i < exports; i++) {
    if (strcmp(exported[i].name, name) != 0) continue;
    CHECK(call_export(i, arguments, count, &result));
    return result;
  }
  fprintf(stderr, "the addon exports no %s\n", name);
  abort();
}
