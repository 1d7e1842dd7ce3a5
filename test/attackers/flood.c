/*
 * An attacker: sends UDP datagrams over IPv4 with forged sources at a steady rate, and counts what
 * comes back.
 *
 *   flood DEVICE MAC ADDRESS PORT RATE SECONDS SOURCES CONTENT
 *
 *   SOURCES   random            any unicast address and port, another one for each datagram
 *             pool N            N addresses from 11.0.0.0 on, one after another
 *             one ADDRESS PORT  always the same
 *   CONTENT   junk HEX MIN MAX  the bytes HEX ("-": none), then random ones up to a random length
 * MIN..MAX file PATH COUNT   datagrams of a file (two bytes of length, little-endian, before each),
 * one after another; COUNT at most, 0: again from the first until the time is over
 *
 * It writes frames to its device (packet(7)) past the queueing discipline, because the kernel's own
 * UDP asks for a source that the host has. The UDP checksum is left out, which RFC 768 allows. At
 * the end it prints a line of JSON. The trap: a veth hands a frame to the other side's stack on the
 * sender's processor, so what this program is seen to use is for the greater part the receiver's
 * kernel. BOUNDED: it ends after SECONDS, never later; a rate that the machine does not carry
 * becomes a lower one.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SLICE_NS 1000000
#define NS_PER_SECOND 1000000000LL
/* Slices that are made up for when the processor was elsewhere; what is older is not sent at all.
 */
#define MOST_LATE_SLICES 20
#define NOISE_BYTES (1 << 20)
#define PAYLOAD_MAX 1472
#define SECONDS_MAX 900
/* The first address of a pool. */
#define POOL_BASE 0x0b000000U
/* Time for the last answers to come. */
#define SETTLE_NS 300000000

struct frame {
  struct ether_header ether;
  struct iphdr ip;
  struct udphdr udp;
  uint8_t payload[PAYLOAD_MAX];
} __attribute__((packed));

struct content {
  uint8_t prefix[PAYLOAD_MAX];
  size_t prefix_length, least, most;
  /* Of a file, else NULL. */
  uint8_t *file;
  size_t file_length, at;
  uint64_t left;
  bool is_counted;
};

struct sources {
  enum { ANY, POOL, ONE } kind;
  uint32_t size, next, address;
  uint16_t port;
};

struct tally {
  uint64_t sent, bytes, answers, answer_bytes;
};

static uint8_t noise[NOISE_BYTES + PAYLOAD_MAX];
static uint64_t chance;

/* xorshift64* (Vigna 2016). */
static uint32_t next_chance(void) {
  chance ^= chance >> 12;
  chance ^= chance << 25;
  chance ^= chance >> 27;
  return (uint32_t)((chance * 2685821657736338717ULL) >> 32);
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

static void sleep_until(int64_t at) {
  struct timespec time = {at / NS_PER_SECOND, at % NS_PER_SECOND};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
    continue;
}

/* --- What is sent. --- */

/* 1.0.0.0 to 223.255.255.255 without 127.0.0.0/8, which no stack takes from a wire. */
static uint32_t any_unicast(void) {
  for (;;) {
    uint32_t address = next_chance();
    uint32_t first = address >> 24;
    if (first > 0 && first < 224 && first != 127) return address;
  }
}

static void choose_source(struct sources *sources, struct frame *frame) {
  uint32_t address = sources->address;
  uint16_t port = sources->port;
  if (sources->kind == ANY) {
    address = any_unicast();
    port = (uint16_t)(1024 + next_chance() % 64000);
  } else if (sources->kind == POOL) {
    address = POOL_BASE + sources->next;
    sources->next = (sources->next + 1) % sources->size;
    port = 1194;
  }
  frame->ip.saddr = htonl(address);
  frame->udp.source = htons(port);
}

/* Writes a payload and returns its length. */
static size_t write_junk(const struct content *content, uint8_t *payload) {
  size_t length = content->least + next_chance() % (content->most - content->least + 1);
  size_t fixed = content->prefix_length < length ? content->prefix_length : length;
  memcpy(payload, content->prefix, fixed);
  memcpy(payload + fixed, noise + next_chance() % NOISE_BYTES, length - fixed);
  return length;
}

static size_t write_next(struct content *content, uint8_t *payload) {
  if (content->at + 2 > content->file_length) content->at = 0;
  size_t length = content->file[content->at] | (size_t)content->file[content->at + 1] << 8;
  content->at += 2;
  if (length > PAYLOAD_MAX || content->at + length > content->file_length)
    errx(1, "the file of datagrams is broken");
  memcpy(payload, content->file + content->at, length);
  content->at += length;
  return length;
}

/* The checksum of the IP header, whose own field is zero. */
static uint16_t header_sum(const struct frame *frame) {
  uint16_t words[sizeof frame->ip / 2];
  uint32_t sum = 0;
  memcpy(words, (const uint8_t *)frame + offsetof(struct frame, ip), sizeof words);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    sum += words[i];
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t) ~(sum + (sum >> 16));
}

/* Fills a frame and returns its length. */
static size_t fill(struct frame *frame, struct sources *sources, struct content *content) {
  size_t length = content->file != NULL ? write_next(content, frame->payload)
                                        : write_junk(content, frame->payload);
  choose_source(sources, frame);
  frame->udp.len = htons((uint16_t)(sizeof frame->udp + length));
  frame->ip.tot_len = htons((uint16_t)(sizeof frame->ip + sizeof frame->udp + length));
  frame->ip.check = 0;
  frame->ip.check = header_sum(frame);
  return sizeof *frame - PAYLOAD_MAX + length;
}

/* --- Sending and counting. --- */

static void count_answers(int fd, in_addr_t target, struct tally *tally) {
  uint8_t bytes[sizeof(struct frame)];
  struct iphdr ip;
  for (;;) {
    ssize_t length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length < 0) return;
    if ((size_t)length < sizeof(struct ether_header) + sizeof ip) continue;
    memcpy(&ip, bytes + sizeof(struct ether_header), sizeof ip);
    if (ip.protocol != IPPROTO_UDP || ip.saddr != target) continue;
    tally->answers++;
    tally->answer_bytes += (uint64_t)ntohs(ip.tot_len) - sizeof ip - sizeof(struct udphdr);
  }
}

static void send_slice(int fd, struct frame *frames, size_t count, struct sources *sources,
                       struct content *content, struct tally *tally) {
  struct mmsghdr headers[BATCH];
  struct iovec vectors[BATCH];
  while (count > 0) {
    size_t batch = count < BATCH ? count : BATCH;
    for (size_t i = 0; i < batch; i++) {
      vectors[i] = (struct iovec){&frames[i], fill(&frames[i], sources, content)};
      headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    int sent = sendmmsg(fd, headers, (unsigned)batch, 0);
    if (sent < 0 && errno != ENOBUFS && errno != EAGAIN) err(1, "sendmmsg");
    for (int i = 0; i < sent; i++)
      tally->bytes += vectors[i].iov_len - (sizeof(struct frame) - PAYLOAD_MAX);
    if (sent > 0) tally->sent += (uint64_t)sent;
    count -= batch;
  }
}

/* Each slice what is due by then. */
static void flood(int out, int in, struct frame *frames, double rate, double seconds,
                  struct sources *sources, struct content *content, struct tally *tally) {
  int64_t start = now_ns();
  int64_t end = start + (int64_t)(seconds * (double)NS_PER_SECOND);
  int64_t slice = start;
  double due = 0;
  while (slice < end && (!content->is_counted || content->left > 0)) {
    size_t count = (size_t)due;
    if (content->is_counted && count > content->left) count = content->left;
    due -= (double)count;
    content->left -= content->is_counted ? count : 0;
    send_slice(out, frames, count, sources, content, tally);
    count_answers(in, frames[0].ip.daddr, tally);
    slice += SLICE_NS;
    due += rate * SLICE_NS / (double)NS_PER_SECOND;
    int64_t now = now_ns();
    if (now > end) return;
    if (now > slice + MOST_LATE_SLICES * SLICE_NS)
      slice = now;
    else if (now < slice)
      sleep_until(slice);
  }
}

/* --- What was asked for. --- */

static int open_packet(const char *device, uint16_t protocol) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  struct sockaddr_ll name = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(protocol),
                             .sll_ifindex = (int)if_nametoindex(device)};
  if (fd < 0) err(1, "packet socket");
  if (name.sll_ifindex == 0) err(1, "device %s", device);
  if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0) err(1, "bind to %s", device);
  return fd;
}

static in_addr_t address_of(const char *text) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) errx(2, "%s is no IPv4 address", text);
  return address.s_addr;
}

static struct sources parse_sources(char ***words) {
  const char *kind = *(*words)++;
  struct sources sources = {.kind = ANY};
  if (strcmp(kind, "pool") == 0) {
    sources.kind = POOL;
    sources.size = (uint32_t)strtoul(*(*words)++, NULL, 10);
  } else if (strcmp(kind, "one") == 0) {
    sources.kind = ONE;
    sources.address = ntohl(address_of(*(*words)++));
    sources.port = (uint16_t)strtoul(*(*words)++, NULL, 10);
  } else if (strcmp(kind, "random") != 0)
    errx(2, "no sources: %s", kind);
  if (sources.kind == POOL && sources.size == 0) errx(2, "an empty pool");
  return sources;
}

static void read_file(struct content *content, const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) err(1, "%s", path);
  fseek(file, 0, SEEK_END);
  content->file_length = (size_t)ftell(file);
  rewind(file);
  content->file = malloc(content->file_length + 1);
  if (content->file == NULL ||
      fread(content->file, 1, content->file_length, file) != content->file_length)
    err(1, "%s", path);
  if (content->file_length < 2) errx(1, "%s is empty", path);
  fclose(file);
}

static void parse_content(struct content *content, char **words) {
  if (strcmp(words[0], "file") == 0) {
    read_file(content, words[1]);
    content->left = strtoull(words[2], NULL, 10);
    content->is_counted = content->left > 0;
    return;
  }
  if (strcmp(words[0], "junk") != 0) errx(2, "no content: %s", words[0]);
  for (const char *hex = words[1]; hex[0] != 0 && hex[1] != 0; hex += 2)
    if (sscanf(hex, "%2hhx", &content->prefix[content->prefix_length++]) != 1)
      errx(2, "no hex: %s", words[1]);
  content->least = strtoul(words[2], NULL, 10);
  content->most = strtoul(words[3], NULL, 10);
  if (content->most > PAYLOAD_MAX || content->least > content->most) errx(2, "no lengths");
}

static void prepare(struct frame *frames, const char *mac, const char *address, const char *port) {
  struct frame frame = {.ether = {.ether_type = htons(ETHERTYPE_IP)},
                        .ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP}};
  const struct ether_addr *to = ether_aton(mac);
  if (to == NULL) errx(2, "%s is no MAC address", mac);
  memcpy(frame.ether.ether_dhost, to, sizeof frame.ether.ether_dhost);
  /* Locally administered. */
  frame.ether.ether_shost[0] = 2;
  frame.ip.daddr = address_of(address);
  frame.udp.dest = htons((uint16_t)strtoul(port, NULL, 10));
  for (size_t i = 0; i < BATCH; i++)
    frames[i] = frame;
}

int main(int argc, char **argv) {
  static struct frame frames[BATCH];
  static struct content content;
  struct tally tally = {0};
  if (argc < 10) errx(2, "usage: flood DEVICE MAC ADDRESS PORT RATE SECONDS SOURCES CONTENT");
  double rate = atof(argv[5]);
  double seconds = atof(argv[6]);
  if (seconds > SECONDS_MAX) errx(2, "longer than %d s", SECONDS_MAX);
  char **words = argv + 7;
  struct sources sources = parse_sources(&words);
  parse_content(&content, words);
  prepare(frames, argv[2], argv[3], argv[4]);
  if (getrandom(&chance, sizeof chance, 0) != sizeof chance) err(1, "getrandom");
  chance |= 1;
  for (size_t i = 0; i < sizeof noise; i++)
    noise[i] = (uint8_t)next_chance();
  int out = open_packet(argv[1], 0);
  int in = open_packet(argv[1], ETHERTYPE_IP);
  int on = 1;
  /* Linux 3.14. */
  setsockopt(out, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
  int64_t start = now_ns();
  flood(out, in, frames, rate, seconds, &sources, &content, &tally);
  double took = (double)(now_ns() - start) / (double)NS_PER_SECOND;
  sleep_until(now_ns() + SETTLE_NS);
  count_answers(in, frames[0].ip.daddr, &tally);
  printf("{\"sent\":%llu,\"bytes\":%llu,\"seconds\":%.3f,\"answers\":%llu,\"answerBytes\":%llu}\n",
         (unsigned long long)tally.sent, (unsigned long long)tally.bytes, took,
         (unsigned long long)tally.answers, (unsigned long long)tally.answer_bytes);
  return 0;
}
