/*
 * The key table: transport keys of this thread, in memory that is kept from swap, dumps and forks.
 *
 * One anonymous mapping, made when the first key comes, so that a thread without keys pays nothing.
 * Keys enter as T || P (PROTOCOL "Transport keys") and never leave. The trap: a slot that was never
 * loaded must not work as the all-zero key, hence the flag beside each key.
 */
#include "iptun.h"

#include <string.h>
#include <sys/mman.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static int make_table(struct instance *self) {
  if (self->keys != NULL) return 0;
  void *memory = mmap(NULL, sizeof(struct key_table), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  /* Best effort, all three: mlock(2) keeps the pages out of swap within RLIMIT_MEMLOCK;
     MADV_DONTDUMP (Linux 3.4) keeps them out of core files; MADV_WIPEONFORK (4.14) gives a child
     zeros. A host that refuses one of them still gets a tunnel. */
  (void)mlock(memory, sizeof(struct key_table));
  (void)madvise(memory, sizeof(struct key_table), MADV_DONTDUMP);
  (void)madvise(memory, sizeof(struct key_table), MADV_WIPEONFORK);
  self->keys = memory;
  return 0;
}

const uint8_t *key_of(const struct instance *self, int32_t slot) {
  if (self->keys == NULL || slot < 0 || slot >= KEY_SLOTS) return NULL;
  return self->keys->isLoaded[slot] ? self->keys->key[slot] : NULL;
}

void keys_free(struct instance *self) {
  if (self->keys == NULL) return;
  explicit_bzero(self->keys, sizeof(struct key_table));
  munmap(self->keys, sizeof(struct key_table));
  self->keys = NULL;
}

static int load(struct instance *self, int32_t slot, struct bytes material) {
  if (slot < 0 || slot >= KEY_SLOTS || material.length != 48) return -EINVAL;
  int result = make_table(self);
  if (result == 0) result = hchacha20(self->keys->key[slot], material.data, material.data + 32);
  if (result == 0) self->keys->isLoaded[slot] = 1;
  return result;
}

napi_value key_load(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "keyLoad", 2);
  int32_t slot = take_int(&call, 0);
  struct bytes material = take_bytes(&call, 1);
  if (call.failed) return NULL;
  return give_int(&call, load(call.self, slot, material));
}

napi_value key_wipe(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "keyWipe", 1);
  int32_t slot = take_int(&call, 0);
  if (call.failed) return NULL;
  if (slot < 0 || slot >= KEY_SLOTS) return give_int(&call, -EINVAL);
  if (call.self->keys != NULL) {
    explicit_bzero(call.self->keys->key[slot], sizeof call.self->keys->key[slot]);
    call.self->keys->isLoaded[slot] = 0;
  }
  evp_forget(call.self);
  return give_int(&call, 0);
}

napi_value key_slots(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "keySlots", 0);
  return call.failed ? NULL : give_int(&call, KEY_SLOTS);
}
