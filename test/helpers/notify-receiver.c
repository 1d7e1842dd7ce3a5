/*
 * A service manager's socket for tests: notify-receiver PATH [deaf]. "@" begins an abstract name.
 *
 * Prints "ready", then one line a datagram, '|' for each line feed in it, with what the first
 * descriptor that came along holds in brackets. "deaf": binds, and reads nothing.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void print_descriptor(struct msghdr *message) {
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  char content[64] = {0};
  int count = 0, fds[8];
  if (header != NULL && header->cmsg_type == SCM_RIGHTS)
    count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  if (count == 0) return;
  memcpy(fds, CMSG_DATA(header), (size_t)count * sizeof(int));
  ssize_t length = pread(fds[0], content, sizeof content - 1, 0);
  printf(" [%d: %s]", count, length > 0 ? content : "");
  for (int i = 0; i < count; i++)
    close(fds[i]);
}

static int receive(int fd) {
  char text[4096];
  char control[CMSG_SPACE(8 * sizeof(int))];
  struct iovec part = {text, sizeof text - 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t length = recvmsg(fd, &message, 0);
  if (length < 0) return -1;
  for (ssize_t i = 0; i < length; i++)
    putchar(text[i] == '\n' ? '|' : text[i]);
  print_descriptor(&message);
  putchar('\n');
  return fflush(stdout);
}

int main(int count, char **arguments) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  size_t length = count > 1 ? strlen(arguments[1]) : 0;
  if (length == 0 || length >= sizeof name.sun_path) return 2;
  memcpy(name.sun_path, arguments[1], length);
  if (name.sun_path[0] == '@') name.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  if (bind(fd, (struct sockaddr *)&name, size) < 0) return 1;
  puts("ready");
  fflush(stdout);
  if (count > 2) pause();
  while (receive(fd) == 0)
    ;
  return 1;
}
