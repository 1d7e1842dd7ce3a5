/*
 * Readiness: uv_poll on this thread's loop, and the end of the thread.
 *
 * libuv comes with the running node; only the few functions used are declared here (their ABI is
 * fixed within libuv 1). The traps: libuv stops a poll that reports an error, so the callback gets
 * a negative number and must start it anew or end it; and a handle's memory belongs to the loop
 * until its close callback has run, which at the end of a worker happens inside the async cleanup
 * hook.
 */
#include "iptun.h"

#include <stdlib.h>

typedef struct uv_handle_s uv_handle_t;
typedef struct uv_poll_s uv_poll_t;
typedef void (*uv_poll_cb)(uv_poll_t *handle, int status, int events);
typedef void (*uv_close_cb)(uv_handle_t *handle);

/* UV_POLL of enum uv_handle_type. */
#define UV_POLL_TYPE 8
/* UV_READABLE | UV_WRITABLE. */
#define EVENTS 3

size_t uv_handle_size(int type);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_close(uv_handle_t *handle, uv_close_cb on_closed);
int uv_poll_init(struct uv_loop_s *loop, uv_poll_t *handle, int fd);
int uv_poll_start(uv_poll_t *handle, int events, uv_poll_cb on_ready);
int uv_poll_stop(uv_poll_t *handle);

struct watch {
  struct instance *self;
  napi_env env;
  napi_ref callback;
  uv_poll_t *poll;
  int fd;
  int32_t id;
};

/* --- What libuv calls. --- */

/* An exception thrown by the callback becomes the thread's uncaught exception, never silence. */
static void report_exception(napi_env env) {
  bool is_pending = false;
  napi_value exception;
  /* Not pending: the worker is being terminated and JavaScript may no longer run. */
  if (napi_is_exception_pending(env, &is_pending) != napi_ok || !is_pending) return;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok)
    napi_fatal_exception(env, exception);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct watch *watch = uv_handle_get_data((uv_handle_t *)poll);
  napi_env env = watch->env;
  napi_handle_scope scope;
  napi_value callback, receiver, argument;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  /* make_callback, not call_function: it drains process.nextTick and promises afterwards. `watch`
     is not touched after it, because the callback may have ended it. */
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok &&
      napi_create_int32(env, status < 0 ? status : events, &argument) == napi_ok &&
      napi_make_callback(env, NULL, receiver, callback, 1, &argument, NULL) != napi_ok)
    report_exception(env);
  napi_close_handle_scope(env, scope);
}

static void finish(struct instance *self) {
  napi_async_cleanup_hook_handle hook = self->hook;
  evp_forget(self);
  keys_free(self);
  free(self);
  napi_remove_async_cleanup_hook(hook);
}

static void on_closed(uv_handle_t *handle) {
  struct instance *self = uv_handle_get_data(handle);
  free(handle);
  self->live_handles--;
  if (self->hook != NULL && self->live_handles == 0) finish(self);
}

/* --- The table of watches. --- */

static struct watch **free_place(struct instance *self) {
  for (size_t i = 0; i < WATCHES; i++)
    if (self->watches[i] == NULL) return &self->watches[i];
  return NULL;
}

static struct watch **place_of(struct instance *self, int32_t id) {
  for (size_t i = 0; i < WATCHES; i++)
    if (self->watches[i] != NULL && self->watches[i]->id == id) return &self->watches[i];
  return NULL;
}

/* Ends the watch at `place`; its handle lives on until the loop has closed it. */
static void end(struct watch **place) {
  struct watch *watch = *place;
  *place = NULL;
  uv_poll_stop(watch->poll);
  uv_handle_set_data((uv_handle_t *)watch->poll, watch->self);
  uv_close((uv_handle_t *)watch->poll, on_closed);
  napi_delete_reference(watch->env, watch->callback);
  free(watch);
}

static int set_events(struct watch *watch, int events) {
  if ((events & ~EVENTS) != 0) return -EINVAL;
  /* epoll_ctl(2) underneath, at the loop's next turn. libuv's errors are -errno on Linux. */
  return events == 0 ? uv_poll_stop(watch->poll) : uv_poll_start(watch->poll, events, on_ready);
}

/* Makes a watch without events. Returns 0 or -errno. */
static int begin(struct call *call, int fd, napi_value callback, struct watch **place) {
  struct uv_loop_s *loop = NULL;
  struct watch *watch = calloc(1, sizeof *watch);
  uv_poll_t *poll = calloc(1, uv_handle_size(UV_POLL_TYPE));
  int error = -ENOMEM;
  if (watch == NULL || poll == NULL) goto fail;
  error = -EINVAL;
  if (napi_get_uv_event_loop(call->env, &loop) != napi_ok) goto fail;
  if (napi_create_reference(call->env, callback, 1, &watch->callback) != napi_ok) goto fail;
  error = uv_poll_init(loop, poll, fd);
  if (error < 0) goto fail_reference;
  watch->self = call->self;
  watch->env = call->env;
  watch->poll = poll;
  watch->fd = fd;
  watch->id = ++call->self->last_watch_id;
  uv_handle_set_data((uv_handle_t *)poll, watch);
  call->self->live_handles++;
  *place = watch;
  return 0;

fail_reference:
  napi_delete_reference(call->env, watch->callback);
fail:
  free(poll);
  free(watch);
  return error;
}

/* --- What JavaScript calls. --- */

napi_value watch_begin(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "watch", 3);
  int fd = take_int(&call, 0);
  int events = take_int(&call, 1);
  napi_valuetype type = napi_undefined;
  if (call.failed) return NULL;
  if (napi_typeof(env, call.argument[2], &type) != napi_ok || type != napi_function) {
    napi_throw_type_error(env, NULL, "watch: argument 3 must be a function");
    return NULL;
  }
  struct watch **place = free_place(call.self);
  if (place == NULL) return give_int(&call, -EMFILE);
  int result = begin(&call, fd, call.argument[2], place);
  if (result < 0) return give_int(&call, result);
  result = set_events(*place, events);
  if (result == 0) return give_int(&call, (*place)->id);
  end(place);
  return give_int(&call, result);
}

napi_value watch_events(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "watchEvents", 2);
  int32_t id = take_int(&call, 0);
  int events = take_int(&call, 1);
  if (call.failed) return NULL;
  struct watch **place = place_of(call.self, id);
  return give_int(&call, place == NULL ? -EBADF : set_events(*place, events));
}

napi_value watch_end(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "unwatch", 1);
  int32_t id = take_int(&call, 0);
  if (call.failed) return NULL;
  struct watch **place = place_of(call.self, id);
  if (place == NULL) return give_int(&call, -EBADF);
  end(place);
  return give_int(&call, 0);
}

void watch_release(struct instance *self, int fd) {
  for (size_t i = 0; i < WATCHES; i++)
    if (self->watches[i] != NULL && self->watches[i]->fd == fd) end(&self->watches[i]);
}

void instance_end(napi_async_cleanup_hook_handle hook, void *data) {
  struct instance *self = data;
  self->hook = hook;
  for (size_t i = 0; i < WATCHES; i++)
    if (self->watches[i] != NULL) end(&self->watches[i]);
  if (self->live_handles == 0) finish(self);
}
