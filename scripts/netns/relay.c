/*
 * A UDP relay in the middle of a path: loses, delays, reorders, records and replays datagrams.
 *
 *      site A  --->  [front socket | back socket]  --->  site B
 *
 * The front socket is what A takes for B; the back socket is what B takes for A. It obeys lines on
 * stdin and answers each with a line of JSON on stdout (relay.ts). Its chance is seeded, so a run can be
 * repeated. A delay begins with the kernel's own stamp of the arrival and is counted up to the
 * return of the send, so no time spent here is in nobody's count. The trap: that stamp is of the wall
 * clock, while deadlines must be of one that does not step.
 * BOUNDED: a direction records at most 200,000 datagrams, at most 16,384 wait in all (more are lost),
 * and at most 10,000 a second are replayed.
 */
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECORDED_MAX 200000
#define WAITING_MAX 16384
#define REPLAY_SLICE 50
#define REPLAY_SLICE_NS 5000000
/* Datagrams that are read from a socket before those that are due leave. */
#define READ_AT_ONCE 32
#define DATAGRAM_MAX 65535
#define ORDER_MAX 256
#define NS_PER_MS 1e6
#define NS_PER_SECOND 1000000000

enum direction { FORWARD = 0, BACKWARD = 1 };

struct datagram {
  unsigned owners;
  size_t length;
  uint8_t bytes[];
};

/* A datagram on its way; times are of the monotonic clock, in nanoseconds. */
struct waiting {
  int64_t arrived, due;
  enum direction direction;
  struct datagram *datagram;
  TAILQ_ENTRY(waiting) links;
};

TAILQ_HEAD(queue, waiting);

/* How long datagrams that were sent on had been here. */
struct delays {
  size_t count;
  int64_t sum_ns, least_ns;
};

/* Where datagrams of one direction come from and go to, and what became of them. */
struct way {
  int in, out;
  struct sockaddr_storage to;
  /* 0: nobody is known yet. */
  socklen_t to_length;
  size_t passed, lost;
  /* Under the present disturbance. */
  struct delays delays;
  /* The last arrival. */
  int64_t latest;
  size_t recorded_count;
  struct datagram *recorded[RECORDED_MAX];
};

/* Recorded datagrams that are sent again, up to `end`. */
struct replay {
  bool is_running;
  enum direction direction;
  size_t next, end;
  int64_t due;
};

struct relay {
  struct way way[2];
  double loss[2];
  double delay_ms, jitter_ms, duplicate;
  uint32_t chance;
  bool is_open;
  struct replay replay;
  /* What is due first is first; of the same time, what arrived first. */
  struct queue waiting;
  size_t waiting_count;
};

static int64_t ns_of(struct timespec time) {
  return (int64_t)time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

static int64_t now_of(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return ns_of(time);
}

/* How far the wall clock is ahead of the monotonic one. Of three readings the quickest counts: this
   process may lose its processor between two clocks. */
static int64_t wall_ahead(void) {
  int64_t ahead = 0;
  int64_t quickest = INT64_MAX;
  for (int i = 0; i < 3; i++) {
    int64_t before = now_of(CLOCK_MONOTONIC);
    int64_t wall = now_of(CLOCK_REALTIME);
    int64_t took = now_of(CLOCK_MONOTONIC) - before;
    if (took >= quickest) continue;
    quickest = took;
    ahead = wall - before - took / 2;
  }
  return ahead;
}

/* Next number in [0, 1) of a 32-bit xorshift (Marsaglia 2003). */
static double next_chance(struct relay *relay) {
  relay->chance ^= relay->chance << 13;
  relay->chance ^= relay->chance >> 17;
  relay->chance ^= relay->chance << 5;
  return relay->chance / 4294967296.0;
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory == NULL) err(1, "malloc");
  return memory;
}

static void release(struct datagram *datagram) {
  if (--datagram->owners == 0) free(datagram);
}

/* --- Datagrams. --- */

/* Looks from the end: without jitter that is the place. */
static void enqueue(struct relay *relay, struct waiting entry) {
  struct waiting *added = allocate(sizeof *added);
  struct waiting *before = TAILQ_LAST(&relay->waiting, queue);
  *added = entry;
  while (before != NULL && before->due > added->due) before = TAILQ_PREV(before, queue, links);
  if (before == NULL) TAILQ_INSERT_HEAD(&relay->waiting, added, links);
  else TAILQ_INSERT_AFTER(&relay->waiting, before, added, links);
  added->datagram->owners++;
  relay->waiting_count++;
}

/* A site that restarts refuses datagrams for a moment: lost, as on any path. */
static void send_on(const struct way *way, const struct datagram *datagram) {
  if (way->to_length == 0) return;
  sendto(way->out, datagram->bytes, datagram->length, 0, (const struct sockaddr *)&way->to,
         way->to_length);
}

static void count(struct delays *delays, int64_t ns) {
  if (delays->count == 0 || ns < delays->least_ns) delays->least_ns = ns;
  delays->sum_ns += ns;
  delays->count++;
}

static void send_due(struct relay *relay) {
  struct waiting *first;
  while ((first = TAILQ_FIRST(&relay->waiting)) != NULL && first->due <= now_of(CLOCK_MONOTONIC)) {
    struct way *way = &relay->way[first->direction];
    send_on(way, first->datagram);
    count(&way->delays, now_of(CLOCK_MONOTONIC) - first->arrived);
    TAILQ_REMOVE(&relay->waiting, first, links);
    relay->waiting_count--;
    release(first->datagram);
    free(first);
  }
}

static void record(struct way *way, struct datagram *datagram) {
  if (way->recorded_count == RECORDED_MAX) return;
  way->recorded[way->recorded_count++] = datagram;
  datagram->owners++;
}

/* One datagram from a site: recorded, then dropped or sent on once or twice, each after its delay. */
static void take(struct relay *relay, enum direction direction, struct datagram *datagram,
                 int64_t arrived) {
  struct way *way = &relay->way[direction];
  double loss = relay->loss[direction];
  way->passed++;
  record(way, datagram);
  if (!relay->is_open || (loss > 0 && next_chance(relay) < loss) ||
      relay->waiting_count + 2 > WAITING_MAX) {
    way->lost++;
    return;
  }
  int copies = next_chance(relay) < relay->duplicate ? 2 : 1;
  for (int copy = 0; copy < copies; copy++) {
    double delay_ms = relay->delay_ms + next_chance(relay) * relay->jitter_ms;
    enqueue(relay, (struct waiting){.arrived = arrived,
                                    .due = arrived + (int64_t)(delay_ms * NS_PER_MS),
                                    .direction = direction,
                                    .datagram = datagram});
  }
}

/* When the kernel got the datagram, by the wall clock: the one control message that was asked for. */
static int64_t stamp_of(const struct msghdr *header) {
  const struct cmsghdr *control = CMSG_FIRSTHDR(header);
  struct timespec time;
  if (control == NULL || control->cmsg_type != SCM_TIMESTAMPNS) errx(1, "no time stamp");
  memcpy(&time, CMSG_DATA(control), sizeof time);
  return ns_of(time);
}

/* Returns whether there was one. */
static bool receive_one(struct relay *relay, enum direction direction, int64_t ahead) {
  static uint8_t bytes[DATAGRAM_MAX];
  struct way *way = &relay->way[direction];
  struct sockaddr_storage from;
  struct iovec vector = {bytes, sizeof bytes};
  union {
    struct cmsghdr aligned;
    uint8_t bytes[CMSG_SPACE(sizeof(struct timespec))];
  } control;
  struct msghdr header = {.msg_name = &from,
                          .msg_namelen = sizeof from,
                          .msg_iov = &vector,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control};
  ssize_t length = recvmsg(way->in, &header, MSG_DONTWAIT);
  if (length < 0) return false;
  struct datagram *datagram = allocate(sizeof *datagram + (size_t)length);
  *datagram = (struct datagram){.owners = 1, .length = (size_t)length};
  memcpy(datagram->bytes, bytes, (size_t)length);
  if (direction == FORWARD) {
    relay->way[BACKWARD].to = from;
    relay->way[BACKWARD].to_length = header.msg_namelen;
  }
  /* Never before the one before it: two readings of the clocks differ a little. */
  int64_t arrived = stamp_of(&header) - ahead;
  if (arrived > way->latest) way->latest = arrived;
  take(relay, direction, datagram, way->latest);
  release(datagram);
  return true;
}

static void receive(struct relay *relay, enum direction direction) {
  int64_t ahead = wall_ahead();
  for (int i = 0; i < READ_AT_ONCE && receive_one(relay, direction, ahead); i++) continue;
}

/* --- Orders and answers. --- */

/* How many recorded datagrams of each message type (first byte). */
static void print_types(const struct way *way) {
  size_t counts[256] = {0};
  const char *separator = "";
  for (size_t i = 0; i < way->recorded_count; i++)
    if (way->recorded[i]->length > 0) counts[way->recorded[i]->bytes[0]]++;
  for (int type = 0; type < 256; type++) {
    if (counts[type] == 0) continue;
    printf("%s\"%d\":%zu", separator, type, counts[type]);
    separator = ",";
  }
}

static void print_way(const struct way *way) {
  const struct delays *delays = &way->delays;
  double mean_ns = delays->count == 0 ? 0 : (double)delays->sum_ns / (double)delays->count;
  printf("{\"passed\":%zu,\"lost\":%zu,", way->passed, way->lost);
  printf("\"meanDelayMs\":%.4f,\"leastDelayMs\":%.4f,\"recorded\":{", mean_ns / NS_PER_MS,
         (double)delays->least_ns / NS_PER_MS);
  print_types(way);
  printf("}}");
}

static void answer(const struct relay *relay) {
  printf("{\"forward\":");
  print_way(&relay->way[FORWARD]);
  printf(",\"backward\":");
  print_way(&relay->way[BACKWARD]);
  puts("}");
  fflush(stdout);
}

/* The delays are counted anew: their mean would be of no disturbance that there was. */
static bool disturb(struct relay *relay, const char *order) {
  double *loss = relay->loss;
  relay->way[FORWARD].delays = relay->way[BACKWARD].delays = (struct delays){0};
  return sscanf(order, "disturb %lf %lf %lf %lf %lf %u", &loss[FORWARD], &loss[BACKWARD],
                &relay->delay_ms, &relay->jitter_ms, &relay->duplicate, &relay->chance) == 6;
}

/* What is recorded by now is sent again; the answer comes after the last. */
static void begin_replay(struct relay *relay, enum direction direction) {
  relay->replay = (struct replay){.is_running = true,
                                  .direction = direction,
                                  .end = relay->way[direction].recorded_count,
                                  .due = now_of(CLOCK_MONOTONIC)};
}

static void replay_due(struct relay *relay) {
  struct replay *replay = &relay->replay;
  if (!replay->is_running || replay->due > now_of(CLOCK_MONOTONIC)) return;
  const struct way *way = &relay->way[replay->direction];
  for (int i = 0; i < REPLAY_SLICE && replay->next < replay->end; i++)
    send_on(way, way->recorded[replay->next++]);
  replay->due += REPLAY_SLICE_NS;
  replay->is_running = replay->next < replay->end;
  if (!replay->is_running) answer(relay);
}

/* The lab writes an order at once and waits for its answer, so one read is one order. */
static void obey(struct relay *relay) {
  char order[ORDER_MAX];
  ssize_t length = read(STDIN_FILENO, order, sizeof order - 1);
  if (length <= 0) exit(0);
  order[length] = 0;
  if (strcmp(order, "replay forward\n") == 0) begin_replay(relay, FORWARD);
  else if (strcmp(order, "replay backward\n") == 0) begin_replay(relay, BACKWARD);
  else {
    if (strcmp(order, "open\n") == 0) relay->is_open = true;
    else if (strcmp(order, "close\n") == 0) relay->is_open = false;
    else if (strcmp(order, "report\n") != 0 && !disturb(relay, order))
      errx(1, "not an order: %s", order);
    answer(relay);
  }
}

/* --- The loop. --- */

/* Waits for a datagram, an order, or the next time at which something is due. */
static void wait_for_work(const struct relay *relay, struct pollfd *polls) {
  const struct waiting *first = TAILQ_FIRST(&relay->waiting);
  int64_t due = first != NULL ? first->due : INT64_MAX;
  if (relay->replay.is_running && relay->replay.due < due) due = relay->replay.due;
  int64_t left = due == INT64_MAX ? NS_PER_SECOND : due - now_of(CLOCK_MONOTONIC);
  if (left < 0) left = 0;
  struct timespec timeout = {left / NS_PER_SECOND, left % NS_PER_SECOND};
  polls[2].fd = relay->replay.is_running ? -1 : STDIN_FILENO;
  if (ppoll(polls, 3, &timeout, NULL) < 0 && errno != EINTR) err(1, "ppoll");
}

static struct addrinfo *parse(const char *address, const char *port) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                 .ai_socktype = SOCK_DGRAM};
  struct addrinfo *found;
  int error = getaddrinfo(address, port, &hints, &found);
  if (error != 0) errx(1, "%s port %s: %s", address, port, gai_strerror(error));
  return found;
}

static int open_socket(const char *address, const char *port) {
  struct addrinfo *own = parse(address, port);
  int on = 1;
  int fd = socket(own->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) err(1, "socket");
  /* Linux 2.6.22: the time at which the device gave the datagram to the network stack. */
  if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0) err(1, "SO_TIMESTAMPNS");
  if (bind(fd, own->ai_addr, own->ai_addrlen) < 0) err(1, "bind");
  freeaddrinfo(own);
  return fd;
}

int main(int argc, char **argv) {
  static struct relay relay = {.is_open = true, .chance = 1};
  if (argc != 6) errx(2, "usage: relay ADDRESS PORT BACK-ADDRESS TARGET TARGET-PORT");
  int front = open_socket(argv[1], argv[2]);
  int back = open_socket(argv[3], "0");
  struct addrinfo *target = parse(argv[4], argv[5]);
  relay.way[FORWARD].in = relay.way[BACKWARD].out = front;
  relay.way[BACKWARD].in = relay.way[FORWARD].out = back;
  memcpy(&relay.way[FORWARD].to, target->ai_addr, target->ai_addrlen);
  relay.way[FORWARD].to_length = target->ai_addrlen;
  freeaddrinfo(target);
  TAILQ_INIT(&relay.waiting);
  /* A path waits for no processor. Refused without CAP_SYS_NICE; the count is then of longer delays. */
  sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
  /* Where it is refused: a sleep may else end 50 microseconds late (man 2 prctl). */
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  struct pollfd polls[] = {{front, POLLIN, 0}, {back, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  answer(&relay);
  for (;;) {
    wait_for_work(&relay, polls);
    if (polls[2].revents != 0) obey(&relay);
    receive(&relay, FORWARD);
    receive(&relay, BACKWARD);
    send_due(&relay);
    replay_due(&relay);
  }
}
