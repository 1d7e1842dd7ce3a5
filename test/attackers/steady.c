/*
 * Steady traffic beside an attack: numbered datagrams at a fixed rate, and when those were sent
 * that arrived.
 *
 *   steady send ADDRESS PORT RATE BYTES     until SIGTERM, or 900 s
 *   steady receive ADDRESS PORT             the same
 *
 * Each datagram says when it was sent (CLOCK_MONOTONIC, the same in every namespace), and both ends
 * count by that time, in slices of 100 ms: what was sent in a slice and what of it arrived, however
 * late. At the end each prints a line of JSON, the slices from its first on. The receiver says
 * besides how long the slowest of 100 took. The trap: a sender that waits for a processor would be
 * taken for loss of another time, so it asks for a priority of its own, sends what was late at
 * once, and counts only what its kernel took.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define NS_PER_SECOND 1000000000LL
#define SLICE_NS 100000000LL
#define TICK_NS 1000000
#define SECONDS_MAX 900
#define SLICES_MAX (SECONDS_MAX * 10 + 100)
#define BATCH 64
#define DATAGRAM_MAX 2048
#define BUFFER_BYTES (8 << 20)
/* Delays are counted in steps of 0.1 ms up to 2 s. */
#define DELAY_STEP_NS 100000
#define DELAY_STEPS 20000

struct slices {
  int64_t first;
  size_t count;
  uint32_t datagrams[SLICES_MAX];
};

static struct slices slices;
static uint64_t delays[DELAY_STEPS];
static volatile sig_atomic_t is_over;

static void end(int signal) {
  (void)signal;
  is_over = 1;
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

static void count(int64_t sent_at) {
  int64_t slice = sent_at / SLICE_NS;
  if (slices.count == 0) slices.first = slice;
  int64_t index = slice - slices.first;
  if (index < 0 || index >= SLICES_MAX) return;
  slices.datagrams[index]++;
  if ((size_t)index >= slices.count) slices.count = (size_t)index + 1;
}

/* What the slowest of 100 took at least, milliseconds. */
static double slowest_hundredth(void) {
  uint64_t all = 0, seen = 0;
  for (size_t i = 0; i < DELAY_STEPS; i++)
    all += delays[i];
  for (size_t i = 0; i < DELAY_STEPS; i++) {
    seen += delays[i];
    if (seen * 100 >= all * 99) return (double)i * DELAY_STEP_NS / 1e6;
  }
  return 0;
}

static void report(void) {
  printf("{\"first\":%lld,\"p99Ms\":%.1f,\"slices\":[", (long long)slices.first,
         slowest_hundredth());
  for (size_t i = 0; i < slices.count; i++)
    printf(i == 0 ? "%u" : ",%u", slices.datagrams[i]);
  puts("]}");
}

static struct sockaddr_in address_of(const char *address, const char *port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, address, &name.sin_addr) != 1) errx(2, "%s is no IPv4 address", address);
  return name;
}

static void sleep_until(int64_t at) {
  struct timespec time = {at / NS_PER_SECOND, at % NS_PER_SECOND};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

/* Sends `left` datagrams; a device that is down or full loses them, as it would any. */
static void send_due(int fd, size_t left, size_t bytes) {
  static uint8_t payload[BATCH][DATAGRAM_MAX];
  struct iovec vectors[BATCH];
  struct mmsghdr headers[BATCH];
  while (left > 0) {
    unsigned batch = left < BATCH ? (unsigned)left : BATCH;
    int64_t now = now_ns();
    for (unsigned i = 0; i < batch; i++) {
      memcpy(payload[i], &now, sizeof now);
      vectors[i] = (struct iovec){payload[i], bytes};
      headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    int sent = sendmmsg(fd, headers, batch, 0);
    for (int i = 0; i < sent; i++)
      count(now);
    left -= batch;
  }
}

static void send_steadily(int fd, double rate, size_t bytes) {
  int64_t start = now_ns();
  int64_t tick = start;
  double due = 0;
  while (!is_over && tick - start < SECONDS_MAX * NS_PER_SECOND) {
    send_due(fd, (size_t)due, bytes);
    due -= (double)(size_t)due;
    sleep_until(tick += TICK_NS);
    due += rate * TICK_NS / (double)NS_PER_SECOND;
  }
}

static void receive_one(const uint8_t *bytes, size_t length) {
  int64_t sent_at;
  if (length < sizeof sent_at) return;
  memcpy(&sent_at, bytes, sizeof sent_at);
  count(sent_at);
  int64_t step = (now_ns() - sent_at) / DELAY_STEP_NS;
  delays[step < 0 ? 0 : step < DELAY_STEPS ? step : DELAY_STEPS - 1]++;
}

static void receive(int fd) {
  static uint8_t payload[BATCH][DATAGRAM_MAX];
  struct iovec vectors[BATCH];
  struct mmsghdr headers[BATCH];
  int64_t end_at = now_ns() + SECONDS_MAX * NS_PER_SECOND;
  while (!is_over && now_ns() < end_at) {
    for (size_t i = 0; i < BATCH; i++) {
      vectors[i] = (struct iovec){payload[i], DATAGRAM_MAX};
      headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    int received = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < received; i++)
      receive_one(payload[i], headers[i].msg_len);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) errx(2, "usage: steady send ADDRESS PORT RATE BYTES | receive ADDRESS PORT");
  bool is_sender = strcmp(argv[1], "send") == 0;
  if (is_sender && argc < 6) errx(2, "a rate and a length are missing");
  struct sockaddr_in name = address_of(argv[2], argv[3]);
  /* Without SA_RESTART: a signal ends recvmmsg. */
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) err(1, "socket");
  int bytes = BUFFER_BYTES;
  setsockopt(fd, SOL_SOCKET, is_sender ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &bytes, sizeof bytes);
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  /* Refused without CAP_SYS_NICE. */
  sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
  if (is_sender) {
    size_t length = (size_t)atoi(argv[5]);
    if (length < sizeof(int64_t) || length > DATAGRAM_MAX) errx(2, "no length");
    if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0) err(1, "connect");
    puts("ready");
    fflush(stdout);
    send_steadily(fd, atof(argv[4]), length);
  } else {
    /* So that a signal between two calls is noticed. */
    struct timeval patience = {.tv_usec = 200000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0) err(1, "bind");
    puts("ready");
    fflush(stdout);
    receive(fd);
  }
  report();
  return 0;
}
