/*
 * The host's links: their MTU, and news of links, addresses and routes.
 *
 * Sources: man 7 netdevice, man 7 netlink, man 7 rtnetlink. Of the news only the device is read:
 * whoever hears of a change looks for itself, so a message that was lost (ENOBUFS) is a change like
 * another.
 */
#include "iptun.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes of one read; a message that is longer is cut, and only its first bytes matter. */
#define NEWS_BYTES 8192
/* The header names no bit for it (linux/rtnetlink.h). */
#define IPV6_RULE_GROUP (1U << (RTNLGRP_IPV6_RULE - 1))
/* BOUNDED: messages of one call. */
#define NEWS_MESSAGES 256

/* For requests about devices any socket will do; it names the network namespace. Or -errno. */
static int any_socket(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

napi_value link_mtu(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "linkMtu", 1);
  struct ifreq request = {0};
  int result = take_name(&call, 0, request.ifr_name);
  if (call.failed) return NULL;
  if (result < 0) return give_int(&call, result);
  int fd = any_socket();
  if (fd < 0) return give_int(&call, fd);
  result = ioctl(fd, SIOCGIFMTU, &request) < 0 ? -errno : request.ifr_mtu;
  close(fd);
  return give_int(&call, result);
}

napi_value news_open(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "newsOpen", 0);
  if (call.failed) return NULL;
  struct sockaddr_nl name = {
      .nl_family = AF_NETLINK,
      .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                   RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | IPV6_RULE_GROUP,
  };
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return give_int(&call, -errno);
  if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0) return give_int(&call, fd);
  int error = errno;
  close(fd);
  return give_int(&call, -error);
}

/* The device that a route leads to; 0: none, or several. */
static int route_device(const uint8_t *bytes, size_t length) {
  struct rtattr attribute;
  size_t at = NLMSG_ALIGN(sizeof(struct rtmsg));
  while (at + sizeof attribute + sizeof(int) <= length) {
    memcpy(&attribute, bytes + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute) return 0;
    if (attribute.rta_type == RTA_OIF) {
      int index;
      memcpy(&index, bytes + at + RTA_LENGTH(0), sizeof index);
      return index;
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return 0;
}

/* The device that a message of `length` bytes behind its header is about. -1: it is no news. */
static int device_of(int type, const uint8_t *bytes, size_t length) {
  struct ifinfomsg link = {0};
  struct ifaddrmsg address = {0};
  switch (type) {
  case RTM_NEWLINK:
  case RTM_DELLINK:
    if (length >= sizeof link) memcpy(&link, bytes, sizeof link);
    return link.ifi_index;
  case RTM_NEWADDR:
  case RTM_DELADDR:
    if (length >= sizeof address) memcpy(&address, bytes, sizeof address);
    return (int)address.ifa_index;
  case RTM_NEWROUTE:
  case RTM_DELROUTE:
    return route_device(bytes, length);
  case RTM_NEWRULE:
  case RTM_DELRULE:
    return 0;
  default:
    return -1;
  }
}

static int kinds_in(const uint8_t *bytes, size_t length, int own) {
  int kinds = 0;
  struct nlmsghdr header;
  while (length >= sizeof header) {
    memcpy(&header, bytes, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > length) break;
    int device =
        device_of(header.nlmsg_type, bytes + sizeof header, header.nlmsg_len - sizeof header);
    if (device >= 0) kinds |= device == own && own > 0 ? NEWS_OWN : NEWS_OTHER;
    size_t step = NLMSG_ALIGN(header.nlmsg_len);
    if (step >= length) break;
    bytes += step;
    length -= step;
  }
  return kinds;
}

static int index_of(struct ifreq *request) {
  int fd = any_socket();
  if (fd < 0) return 0;
  int result = ioctl(fd, SIOCGIFINDEX, request);
  close(fd);
  return result < 0 ? 0 : request->ifr_ifindex;
}

napi_value news_read(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "newsRead", 2);
  int fd = take_int(&call, 0);
  struct ifreq request = {0};
  int named = take_name(&call, 1, request.ifr_name);
  if (call.failed) return NULL;
  int own = named < 0 ? 0 : index_of(&request);
  uint8_t bytes[NEWS_BYTES];
  int kinds = 0;
  for (int message = 0; message < NEWS_MESSAGES; message++) {
    struct sockaddr_nl from = {0};
    socklen_t from_length = sizeof from;
    ssize_t length =
        recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &from_length);
    if (length < 0 && errno == EINTR) continue;
    /* More came than the socket held: anything may have changed. */
    if (length < 0 && errno == ENOBUFS) kinds |= NEWS_OWN | NEWS_OTHER;
    if (length < 0 && errno == ENOBUFS) continue;
    if (length < 0 && errno == EAGAIN) break;
    if (length < 0) return give_int(&call, -errno);
    /* Any process may send to it; only the kernel is believed (man 7 netlink). */
    if (from.nl_pid == 0) kinds |= kinds_in(bytes, (size_t)length, own);
  }
  return give_int(&call, kinds);
}
