/*
 * Entry of the addon: exports, arguments and results, and the calls that need no file of their own.
 *
 * Written for Node-API 8. Wrong argument types throw a TypeError (a bug of the caller); everything
 * that the kernel or the data may cause is a negative number or a row's STATUS. The trap: node
 * exports thousands of symbols, so this is compiled with hidden visibility, or a name could be
 * interposed.
 */
#include "iptun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* libuv 1.22; writes a name such as "EPERM", or "Unknown system error" and the number. */
char *uv_err_name_r(int error, char *buffer, size_t length);

static napi_value layout(napi_env env, napi_callback_info info);
static napi_value close_fd(napi_env env, napi_callback_info info);
static napi_value clock_now(napi_env env, napi_callback_info info);
static napi_value errno_name(napi_env env, napi_callback_info info);

static const struct {
  const char *name;
  napi_callback function;
} exported[] = {
    {"layout", layout},          {"tunOpen", tun_open},       {"tunRead", tun_read},
    {"tunWrite", tun_write},     {"udpOpen", udp_open},       {"udpOffload", udp_offload},
    {"udpReceive", udp_receive}, {"udpSend", udp_send},       {"keyLoad", key_load},
    {"keyWipe", key_wipe},       {"keySlots", key_slots},     {"seal", aead_seal},
    {"open", aead_open},         {"watch", watch_begin},      {"watchEvents", watch_events},
    {"unwatch", watch_end},      {"close", close_fd},         {"clock", clock_now},
    {"errnoName", errno_name},   {"cipherKind", cipher_kind}, {"linkMtu", link_mtu},
    {"newsOpen", news_open},     {"newsRead", news_read},     {"udpBindDevice", udp_bind_device},
    {"privilegesDrop", privileges_drop},
    {"processLock", process_lock},
    {"signalsLeave", signals_leave},
    {"processExec", process_exec},
    {"udpSetMark", udp_set_mark},
    {"udpFilter", udp_filter},   {"udpDropped", udp_dropped},
    {"tunAdopt", tun_adopt},     {"udpAdopt", udp_adopt},     {"notify", notify_send},
    {"notifyListen", notify_listen}, {"notifyReceive", notify_receive}, {"descriptorKind", descriptor_kind},
};

NAPI_MODULE_INIT() {
  struct instance *self = calloc(1, sizeof *self);
  if (self == NULL) {
    napi_throw_error(env, "ENOMEM", "iptun.node: out of memory");
    return NULL;
  }
  /* The hook frees the instance once every uv handle is closed; a finalizer could come before that.
   */
  if (napi_add_async_cleanup_hook(env, instance_end, self, NULL) != napi_ok) {
    free(self);
    napi_throw_error(env, NULL, "iptun.node: no cleanup hook");
    return NULL;
  }
  cipher_choose(self);
  for (size_t i = 0; i < sizeof exported / sizeof exported[0]; i++) {
    napi_value function;
    if (napi_create_function(env, exported[i].name, NAPI_AUTO_LENGTH, exported[i].function, self,
                             &function) != napi_ok ||
        napi_set_named_property(env, exports, exported[i].name, function) != napi_ok) {
      napi_throw_error(env, NULL, "iptun.node: cannot export");
      return NULL;
    }
  }
  return exports;
}

/* --- Arguments and results. --- */

struct call call_begin(napi_env env, napi_callback_info info, const char *name, size_t count) {
  struct call call = {.env = env, .name = name};
  size_t given = CALL_ARGUMENTS;
  void *data = NULL;
  /* Missing arguments are filled with undefined, which fails the type checks below. */
  if (napi_get_cb_info(env, info, &given, call.argument, NULL, &data) != napi_ok) {
    call.failed = true;
  } else if (given < count) {
    napi_throw_type_error(env, NULL, "iptun.node: too few arguments");
    call.failed = true;
  }
  call.self = data;
  return call;
}

static void refuse(struct call *call, size_t index, const char *expected) {
  if (call->failed) return;
  call->failed = true;
  char text[96];
  snprintf(text, sizeof text, "%s: argument %zu must be %s", call->name, index + 1, expected);
  napi_throw_type_error(call->env, NULL, text);
}

int32_t take_int(struct call *call, size_t index) {
  int32_t value = 0;
  if (call->failed) return 0;
  if (napi_get_value_int32(call->env, call->argument[index], &value) != napi_ok)
    refuse(call, index, "an integer");
  return value;
}

static void *take_array(struct call *call, size_t index, napi_typedarray_type wanted,
                        size_t *length) {
  napi_typedarray_type type = napi_int8_array;
  void *data = NULL;
  *length = 0;
  if (call->failed) return NULL;
  if (napi_get_typedarray_info(call->env, call->argument[index], &type, length, &data, NULL,
                               NULL) != napi_ok ||
      type != wanted)
    refuse(call, index, wanted == napi_uint8_array ? "a Uint8Array" : "an Int32Array");
  return data;
}

struct bytes take_bytes(struct call *call, size_t index) {
  struct bytes bytes;
  bytes.data = take_array(call, index, napi_uint8_array, &bytes.length);
  /* An empty array may have no address; any other will do, since none of its bytes can be reached.
   */
  if (bytes.data == NULL && bytes.length == 0) bytes.data = (uint8_t *)call->self;
  return bytes;
}

struct rows take_rows(struct call *call, size_t index) {
  struct rows rows;
  rows.data = take_array(call, index, napi_int32_array, &rows.length);
  return rows;
}

int take_name(struct call *call, size_t index, char name[IFNAMSIZ]) {
  size_t length = 0;
  memset(name, 0, IFNAMSIZ);
  if (call->failed) return -EINVAL;
  if (napi_get_value_string_utf8(call->env, call->argument[index], NULL, 0, &length) != napi_ok) {
    refuse(call, index, "a string");
    return -EINVAL;
  }
  if (length >= IFNAMSIZ) return -ENAMETOOLONG;
  napi_get_value_string_utf8(call->env, call->argument[index], name, IFNAMSIZ, &length);
  return strlen(name) == length ? 0 : -EINVAL;
}

napi_value give_int(const struct call *call, int value) {
  napi_value result = NULL;
  napi_create_int32(call->env, value, &result);
  return result;
}

uint8_t *slice(struct bytes arena, int32_t offset, int32_t length) {
  if (offset < 0 || length < 0 || arena.data == NULL) return NULL;
  if ((size_t)offset > arena.length || (size_t)length > arena.length - (size_t)offset) return NULL;
  return arena.data + offset;
}

bool holds_rows(struct rows rows, int32_t count, size_t fields) {
  return count >= 0 && (size_t)count <= rows.length / fields;
}

bool holds_slots(struct bytes arena, int32_t stride, int32_t capacity) {
  return stride > 0 && capacity >= 0 && (size_t)capacity <= arena.length / (size_t)stride;
}

/* --- Calls of a few lines. --- */

/* In the order of io/native.ts. */
static const int32_t LAYOUT[] = {
    MESSAGE_OFFSET,
    MESSAGE_LENGTH,
    MESSAGE_SEGMENT,
    MESSAGE_STATUS,
    MESSAGE_REMOTE,
    MESSAGE_PORT,
    MESSAGE_SCOPE,
    MESSAGE_LOCAL,
    MESSAGE_DEVICE,
    MESSAGE_TOS,
    MESSAGE_FLAGS,
    MESSAGE_HOPS,
    MESSAGE_FIELDS,
    MESSAGE_TRUNCATED,
    MESSAGE_DONT_FRAGMENT,
    PACKET_OFFSET,
    PACKET_LENGTH,
    PACKET_FLAGS,
    PACKET_GSO_TYPE,
    PACKET_GSO_SIZE,
    PACKET_HEADER_LENGTH,
    PACKET_CHECKSUM_START,
    PACKET_CHECKSUM_OFFSET,
    PACKET_STATUS,
    PACKET_NEXT,
    PACKET_PIECES,
    PACKET_STRIDE,
    PACKET_FIELDS,
    PACKET_NEEDS_CHECKSUM,
    PACKET_PART,
    GSO_NONE,
    GSO_TCP4,
    GSO_TCP6,
    GSO_UDP,
    GSO_ECN,
    SEAL_IN_OFFSET,
    SEAL_IN_LENGTH,
    SEAL_OUT_OFFSET,
    SEAL_OUT_LENGTH,
    SEAL_KEY_SLOT,
    SEAL_RECEIVER_INDEX,
    SEAL_COUNTER_LOW,
    SEAL_COUNTER_HIGH,
    SEAL_SEGMENTS,
    SEAL_FLAGS,
    SEAL_GSO_TYPE,
    SEAL_GSO_SIZE,
    SEAL_HEADER_LENGTH,
    SEAL_CHECKSUM_START,
    SEAL_CHECKSUM_OFFSET,
    SEAL_STATUS,
    SEAL_FIELDS,
    OPEN_OFFSET,
    OPEN_LENGTH,
    OPEN_KEY_SLOT,
    OPEN_STATUS,
    OPEN_MESSAGE,
    OPEN_IS_PREPAID,
    OPEN_SEGMENT,
    OPEN_OPENED,
    OPEN_FIELDS,
    OPENED_ALIKE,
    OPEN_FAILED,
};

static napi_value layout(napi_env env, napi_callback_info info) {
  (void)info;
  void *data = NULL;
  napi_value buffer, result;
  if (napi_create_arraybuffer(env, sizeof LAYOUT, &data, &buffer) != napi_ok) return NULL;
  memcpy(data, LAYOUT, sizeof LAYOUT);
  size_t count = sizeof LAYOUT / sizeof LAYOUT[0];
  if (napi_create_typedarray(env, napi_int32_array, count, buffer, 0, &result) != napi_ok)
    return NULL;
  return result;
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "close", 1);
  int fd = take_int(&call, 0);
  if (call.failed) return NULL;
  /* epoll must let go first: a descriptor closed under it could come back as another file. */
  watch_release(call.self, fd);
  /* close(2): Linux frees the descriptor even when it reports EINTR, so it is never called twice.
   */
  return give_int(&call, close(fd) == 0 || errno == EINTR ? 0 : -errno);
}

static napi_value clock_now(napi_env env, napi_callback_info info) {
  (void)info;
  struct timespec now = {0};
  /* CLOCK_BOOTTIME (Linux 2.6.39) goes on counting while the host is suspended. */
  clock_gettime(CLOCK_BOOTTIME, &now);
  napi_value result = NULL;
  napi_create_double(env, (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6, &result);
  return result;
}

static napi_value errno_name(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "errnoName", 1);
  int number = take_int(&call, 0);
  if (call.failed) return NULL;
  /* The negative form exists for every number. */
  int code = number > 0 ? -number : number;
  char text[64];
  uv_err_name_r(code, text, sizeof text);
  /* Two that libuv has no name for: a deleted TUN device, and a key slot that is empty. */
  if (code == -EBADFD) strcpy(text, "EBADFD");
  if (code == -ENOKEY) strcpy(text, "ENOKEY");
  if (text[0] != 'E') snprintf(text, sizeof text, "errno %lld", -(long long)code);
  napi_value result = NULL;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
  return result;
}
