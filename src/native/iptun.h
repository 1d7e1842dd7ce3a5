/*
 * The addon's one header: row layout, per-thread state, and what the files share.
 *
 * Mechanism only. Each exported function is one system call or one batch of them, or one batch of
 * cipher calls; errno comes back as a negative number; every decision is in TypeScript. The
 * contract is src/io/native.ts. The trap: two threads load this file, so nothing here may be static
 * and writable; all state hangs on `struct instance`, one a thread.
 */
#ifndef IPTUN_H
#define IPTUN_H

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <node_api.h>

/* --- Row layout: the same numbers as src/core/rows.ts, compared when the addon is loaded. --- */

enum {
  MESSAGE_OFFSET = 0,
  MESSAGE_LENGTH = 1,
  MESSAGE_SEGMENT = 2,
  MESSAGE_STATUS = 3,
  MESSAGE_REMOTE = 4,
  MESSAGE_PORT = 8,
  MESSAGE_SCOPE = 9,
  MESSAGE_LOCAL = 10,
  MESSAGE_DEVICE = 14,
  MESSAGE_TOS = 15,
  MESSAGE_FLAGS = 16,
  MESSAGE_HOPS = 17,
  MESSAGE_FIELDS = 20,
  MESSAGE_TRUNCATED = 1,
  MESSAGE_DONT_FRAGMENT = 1,
};

enum {
  PACKET_OFFSET = 0,
  PACKET_LENGTH = 1,
  PACKET_FLAGS = 2,
  PACKET_GSO_TYPE = 3,
  PACKET_GSO_SIZE = 4,
  PACKET_HEADER_LENGTH = 5,
  PACKET_CHECKSUM_START = 6,
  PACKET_CHECKSUM_OFFSET = 7,
  PACKET_STATUS = 8,
  PACKET_NEXT = 9,
  PACKET_PIECES = 10,
  PACKET_STRIDE = 11,
  PACKET_FIELDS = 12,
  PACKET_NEEDS_CHECKSUM = 1,
  PACKET_PART = 2,
};

enum {
  GSO_NONE = 0,
  GSO_TCP4 = 1,
  GSO_TCP6 = 4,
  GSO_UDP = 5,
  GSO_ECN = 0x80,
};

enum {
  SEAL_IN_OFFSET = 0,
  SEAL_IN_LENGTH = 1,
  SEAL_OUT_OFFSET = 2,
  SEAL_OUT_LENGTH = 3,
  SEAL_KEY_SLOT = 4,
  SEAL_RECEIVER_INDEX = 5,
  SEAL_COUNTER_LOW = 6,
  SEAL_COUNTER_HIGH = 7,
  SEAL_SEGMENTS = 8,
  SEAL_FLAGS = 9,
  SEAL_GSO_TYPE = 10,
  SEAL_GSO_SIZE = 11,
  SEAL_HEADER_LENGTH = 12,
  SEAL_CHECKSUM_START = 13,
  SEAL_CHECKSUM_OFFSET = 14,
  SEAL_STATUS = 15,
  SEAL_FIELDS = 16,
};

/* Values of cipherKind: CIPHER of src/io/native.ts. */
enum {
  CIPHER_EVP = 1,
  CIPHER_PRIMITIVES = 2,
};

/* Bits of udpOffload: UDP_OFFLOAD of src/io/native.ts. */
enum {
  OFFLOAD_GSO = 1,
  OFFLOAD_GRO = 2,
};

enum {
  OPEN_OFFSET = 0,
  OPEN_LENGTH = 1,
  OPEN_KEY_SLOT = 2,
  OPEN_STATUS = 3,
  OPEN_MESSAGE = 4,
  OPEN_IS_PREPAID = 5,
  OPEN_SEGMENT = 6,
  OPEN_OPENED = 7,
  OPEN_FIELDS = 8,
  OPENED_ALIKE = 2,
  OPEN_FAILED = -1,
};

/* --- State of one thread. --- */

/* Key slots. BOUNDED: two directions of three sessions of 1,024 nodes and their half-opens fit. */
#define KEY_SLOTS 16384
/* Messages a recvmmsg or sendmmsg takes; larger batches go in several calls. */
#define UDP_BATCH 128
/* Header and tag of a DATA datagram. */
#define HEADER_BYTES 16
#define TAG_BYTES 16
#define OVERHEAD_BYTES (HEADER_BYTES + TAG_BYTES)
/* Bit 7 of a sealed packet's first byte: its transport checksum is unfinished. */
#define UNFINISHED_CHECKSUM 0x80
/* Bytes of IP and transport header of a super-packet. BOUNDED: IPv4 and TCP have 120 at most, IPv6
   extension headers get the rest. */
#define CUT_HEADER_BYTES 512
/* Keystream that one call makes for a packet; room for a Poly1305 state (248 bytes on x64); longest
   packet of the comparison at load. */
#define CHACHA_STREAM_BYTES 1024
#define CHACHA_POLY1305_BYTES 512
#define TRIAL_BYTES 4096
/* Watches a thread may hold. BOUNDED: the engine needs two. */
#define WATCHES 64
/* Room for every control message that is asked for or sent: two pktinfos, two TOS, one segment. */
#define CONTROL_BYTES 192

/* Options and control messages of netinet/udp.h, which older headers lack (Linux 4.18 and 5.0). */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;

union name {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

union control {
  struct cmsghdr align;
  uint8_t bytes[CONTROL_BYTES];
};

struct udp_scratch {
  struct mmsghdr header[UDP_BATCH];
  struct iovec vector[UDP_BATCH];
  union name name[UDP_BATCH];
  union control control[UDP_BATCH];
};

/* Lies in memory of its own (keys.c). `isLoaded` keeps an empty slot from passing for a zero key.
 */
struct key_table {
  uint8_t key[KEY_SLOTS][32];
  uint8_t isLoaded[KEY_SLOTS];
};

/* Work space of chacha.c; holds keystream and one-time keys while it works. */
struct chacha {
  _Alignas(64) uint8_t stream[CHACHA_STREAM_BYTES];
  _Alignas(64) uint8_t poly1305[CHACHA_POLY1305_BYTES];
};

struct watch;

struct instance {
  int32_t cipher;          /* CIPHER_EVP or CIPHER_PRIMITIVES */
  struct key_table *keys;  /* NULL until the first key is loaded */
  EVP_CIPHER_CTX *sealing; /* NULL: no key has been used since the last wipe */
  EVP_CIPHER_CTX *opening;
  struct watch *watches[WATCHES];
  int32_t last_watch_id;
  size_t live_handles;                 /* uv handles not yet closed */
  napi_async_cleanup_hook_handle hook; /* set when the thread ends */
  struct udp_scratch udp;
};

/* --- Arguments and results (addon.c). --- */

#define CALL_ARGUMENTS 6

struct bytes {
  uint8_t *data;
  size_t length;
};

struct rows {
  int32_t *data;
  size_t length; /* in fields */
};

/* A call from JavaScript. A wrong type throws once and sets `failed`; the caller then returns NULL.
 */
struct call {
  napi_env env;
  const char *name;
  struct instance *self;
  napi_value argument[CALL_ARGUMENTS];
  bool failed;
};

struct call call_begin(napi_env env, napi_callback_info info, const char *name, size_t count);
int32_t take_int(struct call *call, size_t index);
struct bytes take_bytes(struct call *call, size_t index);
struct rows take_rows(struct call *call, size_t index);
/* An interface name with its NUL. Returns 0, -ENAMETOOLONG, or -EINVAL for a NUL inside. */
int take_name(struct call *call, size_t index, char name[IFNAMSIZ]);
napi_value give_int(const struct call *call, int value);

/* The `length` bytes at `offset`, or NULL when they do not lie inside. */
uint8_t *slice(struct bytes arena, int32_t offset, int32_t length);
/* Whether `rows` holds `count` rows of `fields`. */
bool holds_rows(struct rows rows, int32_t count, size_t fields);
/* Whether `arena` holds `capacity` slots of `stride` bytes. */
bool holds_slots(struct bytes arena, int32_t stride, int32_t capacity);

/* --- One section a file. --- */

napi_value tun_open(napi_env env, napi_callback_info info);
napi_value tun_adopt(napi_env env, napi_callback_info info);
napi_value tun_read(napi_env env, napi_callback_info info);
napi_value tun_write(napi_env env, napi_callback_info info);

napi_value udp_open(napi_env env, napi_callback_info info);
napi_value udp_adopt(napi_env env, napi_callback_info info);
napi_value udp_bind_device(napi_env env, napi_callback_info info);
napi_value udp_set_mark(napi_env env, napi_callback_info info);
napi_value udp_offload(napi_env env, napi_callback_info info);
napi_value udp_filter(napi_env env, napi_callback_info info);
napi_value udp_dropped(napi_env env, napi_callback_info info);
napi_value udp_receive(napi_env env, napi_callback_info info);
napi_value udp_send(napi_env env, napi_callback_info info);
bool is_zero(const uint8_t address[16]);
/* Whether the 16 bytes are ::ffff:a.b.c.d. */
bool is_mapped(const uint8_t address[16]);
/* getsockopt of an int: its value, or -errno. */
int get_int(int fd, int level, int option);
/* Switches DF, and with it the size limit of the route. 0 or -errno. */
int set_dont_fragment(int fd, int family, bool is_on);
/* Takes a filter away, if there is one. Returns 0 or -errno. */
int filter_detach(int fd);

/* Kinds of news, as bits: of the tunnel's own device, of all else. */
enum { NEWS_OWN = 1, NEWS_OTHER = 2 };
/* notify.c. Makes a descriptor from another process close-on-exec and non-blocking. Returns 0 or -errno. */
int prepare_inherited(int fd);
napi_value descriptor_kind(napi_env env, napi_callback_info info);
napi_value notify_send(napi_env env, napi_callback_info info);
napi_value notify_listen(napi_env env, napi_callback_info info);
napi_value notify_receive(napi_env env, napi_callback_info info);

napi_value link_mtu(napi_env env, napi_callback_info info);
napi_value news_open(napi_env env, napi_callback_info info);
napi_value news_read(napi_env env, napi_callback_info info);

napi_value privileges_drop(napi_env env, napi_callback_info info);
napi_value process_lock(napi_env env, napi_callback_info info);
napi_value signals_leave(napi_env env, napi_callback_info info);
napi_value process_exec(napi_env env, napi_callback_info info);
napi_value notify_send(napi_env env, napi_callback_info info);

napi_value key_load(napi_env env, napi_callback_info info);
napi_value key_wipe(napi_env env, napi_callback_info info);
napi_value key_slots(napi_env env, napi_callback_info info);
/* The 32-byte key of a loaded slot, else NULL. */
const uint8_t *key_of(const struct instance *self, int32_t slot);
void keys_free(struct instance *self);

napi_value aead_seal(napi_env env, napi_callback_info info);
napi_value aead_open(napi_env env, napi_callback_info info);
napi_value cipher_kind(napi_env env, napi_callback_info info);
/* Takes the primitives where they are there and agree with EVP, else EVP. */
void cipher_choose(struct instance *self);

/* Makes the cipher contexts where there are none. 0 or -errno. */
int evp_begin(struct instance *self);
/* Drops the cipher contexts, which keep a copy of the last key that they were given. */
void evp_forget(struct instance *self);
/* Both take the header that lies in front as associated data, and its counter as nonce; `key` NULL:
   the one given last. False: it failed, or the tag did not verify; then a key must be given again.
 */
bool evp_seal(struct instance *self, const uint8_t *key, uint8_t *datagram, const uint8_t *in,
              int length);
bool evp_open(struct instance *self, const uint8_t *key, uint8_t *datagram, int length);
/* HChaCha20 (draft-irtf-cfrg-xchacha-03 §2.2) of a 32-byte key and 16 bytes. 0 or -errno. */
int hchacha20(uint8_t subkey[32], const uint8_t key[32], const uint8_t input[16]);

/* The same two without EVP. What they leave in `chacha` is secret. */
void chacha_seal(struct chacha *chacha, const uint8_t *key, uint8_t *datagram, const uint8_t *in,
                 size_t length);
bool chacha_open(struct chacha *chacha, const uint8_t *key, uint8_t *datagram, size_t length);
/* Whether they are there and do what EVP does, on random input. */
bool chacha_agrees(struct instance *self);

/* Header sizes without options: RFC 791, RFC 8200, RFC 9293, RFC 768. */
enum {
  IPV4_BYTES = 20,
  IPV6_BYTES = 40,
  TCP_BYTES = 20,
  UDP_BYTES = 8,
};

/* Two bytes in network order. */
static inline uint32_t get16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

/* A super-packet while it is cut; every sum is the ones' complement one of RFC 1071. */
struct cut {
  uint8_t *packet;
  int32_t length;
  int32_t header_length; /* IP and transport, repeated by every segment */
  int32_t segment_size;  /* payload bytes of each but the last */
  int32_t segments;
  int32_t transport; /* offset of the transport header */
  bool is_v6;
  bool is_tcp;
  uint8_t flags;          /* TCP flags of the super-packet */
  uint32_t sequence;      /* TCP sequence number of the first segment */
  uint32_t id;            /* IPv4 id of the first segment */
  uint32_t ip_sum;        /* IPv4 header without length, id and checksum */
  uint32_t transport_sum; /* partial checksum without the transport length */
  uint8_t header[CUT_HEADER_BYTES];
};
/* Checks that a seal row describes the `length` bytes at `packet`, and keeps the header. 0 or
   -EINVAL, and then nothing was changed. */
int cut_begin(struct cut *cut, const int32_t *row, uint8_t *packet, int32_t length);
/* Bytes of segment `index`, header included. */
int32_t cut_length(const struct cut *cut, int32_t index);
/* Writes the header of segment `index` in front of its payload, over what lies there: call it for
   one segment after another, each when the one before is no more needed. */
uint8_t *cut_segment(struct cut *cut, int32_t index);
/* How many of `count` plaintexts of `length` bytes, `stride` apart, cutting one super-packet would
   have made of the first on: at least 1. */
int32_t count_alike(const uint8_t *first, int32_t length, size_t stride, int32_t count);

napi_value watch_begin(napi_env env, napi_callback_info info);
napi_value watch_events(napi_env env, napi_callback_info info);
napi_value watch_end(napi_env env, napi_callback_info info);
/* Ends every watch on `fd`, so that it can be closed. */
void watch_release(struct instance *self, int fd);
/* The thread ends: closes what is open, then frees `data`, a struct instance. */
void instance_end(napi_async_cleanup_hook_handle hook, void *data);

#endif
