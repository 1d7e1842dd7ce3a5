/*
 * What this process may do: capabilities, no_new_privs, and the exec that makes both hold everywhere.
 *
 * Sources: man 7 capabilities, man 2 capset, prctl and execve. The trap: capabilities and
 * no_new_privs belong to a thread, and node has several before any script runs. So the calling
 * thread drops what is to go, and the new image of the process starts with that thread alone; the
 * threads that it makes are as it is.
 */
#include "iptun.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* BOUNDED: strings of one list of arguments. */
#define MOST_STRINGS 4096

extern char **environ;

/* The bounding set but for `kept`. It takes CAP_SETPCAP; without it the set stays as it is, and
   no_new_privs sees to it that nothing comes of that. */
static void drop_bounding(int kept) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    if (capability != kept) (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

/* Keeps of the permitted set what is in `mask`, in all three sets. Returns what was kept, or -errno. */
static int keep_permitted(uint32_t mask, uint32_t *kept) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
  if (syscall(SYS_capget, &header, data) < 0) return -errno;
  *kept = data[0].permitted & mask;
  data[0] = (struct __user_cap_data_struct){*kept, *kept, *kept};
  data[1] = (struct __user_cap_data_struct){0};
  return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int drop_all_but(int kept) {
  uint32_t held = 0;
  drop_bounding(kept);
  int result = keep_permitted(1U << kept, &held);
  if (result < 0) return result;
  /* PR_CAP_AMBIENT (Linux 4.3): what a program that is executed by another user than root keeps. */
  int change = held != 0 ? PR_CAP_AMBIENT_RAISE : PR_CAP_AMBIENT_CLEAR_ALL;
  if (prctl(PR_CAP_AMBIENT, change, held != 0 ? kept : 0, 0, 0) < 0) return -errno;
  /* PR_SET_NO_NEW_PRIVS (Linux 3.5): no program that is executed has more than this thread. */
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

napi_value privileges_drop(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "privilegesDrop", 1);
  int kept = take_int(&call, 0);
  if (call.failed) return NULL;
  return give_int(&call, kept < 0 || kept > 31 ? -EINVAL : drop_all_but(kept));
}

napi_value process_lock(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "processLock", 0);
  struct rlimit none = {0, 0};
  if (call.failed) return NULL;
  /* Both end with the image: not dumpable means no core, no debugger and no /proc/PID/mem for
     other processes of this user. */
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
    return give_int(&call, -errno);
  return give_int(&call, 0);
}

napi_value signals_leave(napi_env env, napi_callback_info info) {
  static const int ending[] = {SIGTERM, SIGINT, SIGQUIT};
  static const int ignored[] = {SIGHUP, SIGUSR1, SIGUSR2};
  struct call call = call_begin(env, info, "signalsLeave", 0);
  if (call.failed) return NULL;
  for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
    signal(ending[i], SIG_DFL);
    signal(ignored[i], SIG_IGN);
  }
  return give_int(&call, 0);
}

/* Pointers to the strings in `text`, each ended by a zero byte, and NULL behind them; to be freed.
   NULL: the last is not ended, there are none or too many, or there is no memory. */
static char **strings_in(struct bytes text) {
  if (text.length == 0 || text.data[text.length - 1] != 0) return NULL;
  char **list = calloc(MOST_STRINGS + 1, sizeof *list);
  size_t count = 0;
  for (size_t at = 0; list != NULL && at < text.length; count++) {
    if (count == MOST_STRINGS) {
      free(list);
      return NULL;
    }
    list[count] = (char *)text.data + at;
    at += strlen(list[count]) + 1;
  }
  return list;
}

/* node sets FD_CLOEXEC on the first descriptors that it was given. Those that are closed stay so. */
static void pass_on(int descriptors) {
  for (int fd = 0; fd < descriptors; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) (void)fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
  }
}

napi_value process_exec(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "processExec", 3);
  struct bytes path = take_bytes(&call, 0);
  struct bytes arguments = take_bytes(&call, 1);
  int descriptors = take_int(&call, 2);
  if (call.failed) return NULL;
  if (path.length == 0 || path.data[path.length - 1] != 0) return give_int(&call, -EINVAL);
  char **list = strings_in(arguments);
  if (list == NULL) return give_int(&call, -EINVAL);
  pass_on(descriptors);
  /* Ends the other threads and begins the new image; returns only where it cannot. */
  execve((char *)path.data, list, environ);
  int error = errno;
  free(list);
  return give_int(&call, -error);
}
