/*
 * UDP socket: open, and what udp-receive.c and udp-send.c share.
 *
 * Addresses cross the border as 16 bytes, IPv4 mapped, whatever the socket's family. Sources: man 7
 * ip, man 7 ipv6, man 7 socket. The trap: a dual-stack socket needs the options of both levels,
 * because IPv4's rule its mapped addresses.
 */
#include "iptun.h"

#include <string.h>
#include <unistd.h>

struct settings {
  uint8_t address[16];
  int32_t port;
  int32_t mark;
  char device[IFNAMSIZ];
  int32_t buffer_bytes;
};

bool is_zero(const uint8_t address[16]) {
  static const uint8_t zero[16];
  return memcmp(address, zero, 16) == 0;
}

bool is_mapped(const uint8_t address[16]) {
  static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
  return memcmp(address, prefix, 12) == 0;
}

static int set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int get_int(int fd, int level, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, option, &value, &length) < 0 ? -errno : value;
}

/* --- Open. --- */

/*
 * With `is_on` datagrams carry DF and fail with EMSGSIZE where the first link is too small (PROBE,
 * Linux 2.6.22). Else OMIT (3.15): no DF, the sender fragments to the link's MTU, and the path MTU
 * in the route, which a forged ICMP can shrink, is neither used nor learned. DONT would still use
 * it.
 */
int set_dont_fragment(int fd, int family, bool is_on) {
  int v4 = is_on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_OMIT;
  int v6 = is_on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_OMIT;
  int result = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, v4);
  if (result == 0 && family == AF_INET6) result = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, v6);
  return result;
}

/* SO_RCVBUFFORCE and SO_SNDBUFFORCE (Linux 2.6.14) pass net.core.*mem_max with CAP_NET_ADMIN of the
   first user namespace; without it the plain option takes what the limit allows. */
static int set_buffer(int fd, int force, int plain, int bytes) {
  if (bytes <= 0 || set_int(fd, SOL_SOCKET, force, bytes) == 0) return 0;
  return set_int(fd, SOL_SOCKET, plain, bytes);
}

/* SO_BINDTODEVICE needs no capability the first time (Linux 5.7); to change it takes CAP_NET_RAW. */
static int bind_device(int fd, const char device[IFNAMSIZ]) {
  return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, IFNAMSIZ) < 0 ? -errno : 0;
}

static int set_options(int fd, int family, const struct settings *settings) {
  int result = 0;
  if (family == AF_INET6) {
    /* IPv4 arrives here as ::ffff:a.b.c.d. RECVPKTINFO since 2.6.14, RECVTCLASS too. */
    result = set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    if (result == 0) result = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  }
  /* The IPv4 options work on a dual-stack socket as well, and apply to its mapped addresses. */
  if (result == 0) result = set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
  if (result == 0) result = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
  if (result == 0) result = set_dont_fragment(fd, family, false);
  if (result == 0) result = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, settings->buffer_bytes);
  if (result == 0) result = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, settings->buffer_bytes);
  /* SO_MARK (2.6.25) needs CAP_NET_ADMIN, or CAP_NET_RAW since 5.17. */
  if (result == 0 && settings->mark != 0) result = set_int(fd, SOL_SOCKET, SO_MARK, settings->mark);
  if (result == 0 && settings->device[0] != 0) result = bind_device(fd, settings->device);
  return result;
}

static socklen_t fill_bind_name(union name *name, int family, const struct settings *settings) {
  memset(name, 0, sizeof *name);
  if (family == AF_INET) {
    name->v4.sin_family = AF_INET;
    name->v4.sin_port = htons((uint16_t)settings->port);
    memcpy(&name->v4.sin_addr, settings->address + 12, 4);
    return sizeof name->v4;
  }
  name->v6.sin6_family = AF_INET6;
  name->v6.sin6_port = htons((uint16_t)settings->port);
  memcpy(&name->v6.sin6_addr, settings->address, 16);
  return sizeof name->v6;
}

static int open_family(int family, const struct settings *settings) {
  union name name;
  socklen_t length = fill_bind_name(&name, family, settings);
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  /* Cannot be changed once the socket is bound. */
  int result = family == AF_INET6 ? set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) : 0;
  if (result == 0) result = set_options(fd, family, settings);
  if (result == 0 && bind(fd, &name.any, length) < 0) result = -errno;
  if (result == 0) return fd;
  close(fd);
  return result;
}

static int open_socket(const struct settings *settings) {
  if (is_mapped(settings->address)) return open_family(AF_INET, settings);
  int fd = open_family(AF_INET6, settings);
  /* A kernel without IPv6 has no such family (EAFNOSUPPORT); one that has it switched off at boot
     has no such address. Only the wildcard may become IPv4's: its words are the same zeros. */
  if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && is_zero(settings->address))
    return open_family(AF_INET, settings);
  return fd;
}

static int describe(int fd, int32_t info[4]) {
  union name name;
  socklen_t length = sizeof name;
  if (getsockname(fd, &name.any, &length) < 0) return -errno;
  bool is_v4 = name.any.sa_family == AF_INET;
  info[0] = ntohs(is_v4 ? name.v4.sin_port : name.v6.sin6_port);
  info[1] = is_v4 ? 4 : 6;
  info[2] = get_int(fd, SOL_SOCKET, SO_RCVBUF);
  info[3] = get_int(fd, SOL_SOCKET, SO_SNDBUF);
  return 0;
}

napi_value udp_open(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpOpen", 6);
  struct settings settings = {0};
  struct bytes address = take_bytes(&call, 0);
  settings.port = take_int(&call, 1);
  settings.mark = take_int(&call, 2);
  int result = take_name(&call, 3, settings.device);
  settings.buffer_bytes = take_int(&call, 4);
  struct rows out = take_rows(&call, 5);
  if (call.failed) return NULL;
  if (result < 0) return give_int(&call, result);
  if (address.length != 16 || settings.port < 0 || settings.port > UINT16_MAX || out.length < 4)
    return give_int(&call, -EINVAL);
  memcpy(settings.address, address.data, 16);
  int fd = open_socket(&settings);
  if (fd < 0) return give_int(&call, fd);
  result = describe(fd, out.data);
  if (result == 0) return give_int(&call, fd);
  close(fd);
  return give_int(&call, result);
}

/* Without CAP_NET_RAW: connect(2) to AF_UNSPEC ends a binding to a device for anybody, and that of
   a port which the kernel had chosen (net/ipv4/udp.c, __udp_disconnect), so the name is bound again
   where it is gone. */
static int rebind_device(int fd, const char device[IFNAMSIZ]) {
  union name name, after;
  socklen_t length = sizeof name, after_length = sizeof after;
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  if (getsockname(fd, &name.any, &length) < 0 || connect(fd, &none, sizeof none) < 0) return -errno;
  int result = bind_device(fd, device);
  /* Also after a failure: another process may go on with the socket. The port lies at the same place in
     both families. */
  if (getsockname(fd, &after.any, &after_length) < 0) return -errno;
  if (after.v4.sin_port == 0 && bind(fd, &name.any, length) < 0) return -errno;
  return result;
}

/* What another process has set and this one does not want: set_options leaves alone what is zero. Only what
   differs, because changing it needs capabilities. */
static int reset_options(int fd, const struct settings *settings) {
  char device[IFNAMSIZ] = {0};
  socklen_t length = sizeof device;
  int mark = get_int(fd, SOL_SOCKET, SO_MARK);
  if (settings->mark == 0 && mark > 0) {
    int result = set_int(fd, SOL_SOCKET, SO_MARK, 0);
    if (result < 0) return result;
  }
  if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length) < 0) return -errno;
  return strncmp(device, settings->device, IFNAMSIZ) == 0 ? 0 : rebind_device(fd, settings->device);
}

/* Takes a bound socket that another process has opened. Returns 0, -ENOTSOCK, -EPROTOTYPE (not UDP), or
   -errno. */
static int adopt_socket(int fd, struct settings settings) {
  int domain = get_int(fd, SOL_SOCKET, SO_DOMAIN);
  if (domain < 0) return domain;
  bool is_udp = (domain == AF_INET || domain == AF_INET6) &&
                get_int(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP;
  if (!is_udp) return -EPROTOTYPE;
  int result = prepare_inherited(fd);
  if (result == 0) result = filter_detach(fd);
  if (result == 0) result = reset_options(fd, &settings);
  /* It is bound as it is to be. */
  settings.device[0] = 0;
  return result < 0 ? result : set_options(fd, domain, &settings);
}

/* The address that a socket is bound to, 16 bytes, IPv4 mapped. */
static int bound_address(int fd, uint8_t address[16]) {
  union name name;
  socklen_t length = sizeof name;
  if (getsockname(fd, &name.any, &length) < 0) return -errno;
  memset(address, 0, 16);
  if (name.any.sa_family == AF_INET6) {
    memcpy(address, &name.v6.sin6_addr, 16);
    return 0;
  }
  address[10] = address[11] = 0xff;
  memcpy(address + 12, &name.v4.sin_addr, 4);
  return 0;
}

napi_value udp_adopt(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpAdopt", 6);
  struct settings settings = {0};
  int fd = take_int(&call, 0);
  settings.mark = take_int(&call, 1);
  int result = take_name(&call, 2, settings.device);
  settings.buffer_bytes = take_int(&call, 3);
  struct rows out = take_rows(&call, 4);
  struct bytes address = take_bytes(&call, 5);
  if (call.failed) return NULL;
  if (out.length < 4 || address.length != 16) result = -EINVAL;
  if (result == 0) result = adopt_socket(fd, settings);
  if (result == 0) result = bound_address(fd, address.data);
  return give_int(&call, result == 0 ? describe(fd, out.data) : result);
}

napi_value udp_bind_device(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpBindDevice", 2);
  int fd = take_int(&call, 0);
  char device[IFNAMSIZ] = {0};
  int result = take_name(&call, 1, device);
  if (call.failed) return NULL;
  if (result == 0) result = bind_device(fd, device);
  return give_int(&call, result == -EPERM ? rebind_device(fd, device) : result);
}

napi_value udp_set_mark(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpSetMark", 2);
  int fd = take_int(&call, 0);
  int32_t mark = take_int(&call, 1);
  if (call.failed) return NULL;
  return give_int(&call, set_int(fd, SOL_SOCKET, SO_MARK, mark));
}

/* --- Offloads. --- */

/* Whether the kernel cuts a message on send (UDP_SEGMENT, Linux 4.18). Returns OFFLOAD_GSO, 0 where
   it knows no such option, or -errno. */
static int probe_segment(int fd) {
  int size = get_int(fd, IPPROTO_UDP, UDP_SEGMENT);
  return size >= 0 ? OFFLOAD_GSO : size == -ENOPROTOOPT ? 0 : size;
}

/* Switches joining on receive (UDP_GRO, Linux 5.0). Returns OFFLOAD_GRO, 0 where it is off or there
   is no such option, or -errno. */
static int switch_joining(int fd, bool is_on) {
  int result = set_int(fd, IPPROTO_UDP, UDP_GRO, is_on);
  if (result < 0) return result == -ENOPROTOOPT ? 0 : result;
  return is_on ? OFFLOAD_GRO : 0;
}

napi_value udp_offload(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "udpOffload", 2);
  int fd = take_int(&call, 0);
  int wanted = take_int(&call, 1);
  if (call.failed) return NULL;
  int sending = wanted & OFFLOAD_GSO ? probe_segment(fd) : 0;
  int receiving = switch_joining(fd, (wanted & OFFLOAD_GRO) != 0);
  if (sending < 0 || receiving < 0) return give_int(&call, sending < 0 ? sending : receiving);
  return give_int(&call, sending | receiving);
}
