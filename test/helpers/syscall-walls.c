/*
 * Runs a program under the system call walls of a systemd unit: syscall-walls LIST PROGRAM...
 *
 * LIST is a file of the names that are allowed; all else is EPERM, as SystemCallErrorNumber says.
 * The rest is as systemd's shared/seccomp-util.c does it for RestrictAddressFamilies (internet,
 * netlink, unix), RestrictNamespaces, LockPersonality and RestrictSUIDSGID (chmod alone).
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned long NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                        CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
static const unsigned long SET_ID = S_ISUID | S_ISGID;

static int allow_some(scmp_filter_ctx filter) {
  static const unsigned long families[] = {AF_INET, AF_INET6, AF_NETLINK, AF_UNIX};
  static const unsigned long personalities[] = {0, 0xffffffff};
  int result = 0;
  for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
    result |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                               SCMP_A0(SCMP_CMP_EQ, families[i]));
  for (size_t i = 0; i < sizeof personalities / sizeof personalities[0]; i++)
    result |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
                               SCMP_A0(SCMP_CMP_EQ, personalities[i]));
  result |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
  /* Its flags lie in memory, where no filter looks; libc falls back to clone. */
  result |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  result |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fchmod), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, SET_ID, 0));
  result |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fchmodat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, SET_ID, 0));
  result |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(chmod), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, SET_ID, 0));
  return result;
}

static int is_told_apart(const char *name) {
  static const char *const names[] = {"socket", "personality", "clone", "clone3", "unshare",
                                      "setns",  "fchmod",      "fchmodat", "chmod"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(name, names[i]) == 0) return 1;
  return 0;
}

static int allow_listed(scmp_filter_ctx filter, FILE *list) {
  char name[64];
  while (fscanf(list, "%63s", name) == 1) {
    int number = seccomp_syscall_resolve_name(name);
    /* Negative: another architecture's. */
    if (number < 0 || is_told_apart(name)) continue;
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    if (result < 0) return result;
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  FILE *list = fopen(arguments[1], "r");
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (list == NULL || filter == NULL) return 1;
  if (allow_listed(filter, list) != 0 || allow_some(filter) != 0 || seccomp_load(filter) != 0) {
    fprintf(stderr, "syscall-walls: no filter\n");
    return 1;
  }
  fclose(list);
  execvp(arguments[2], arguments + 2);
  perror("syscall-walls");
  return 1;
}
