/**
 * IoError: a system call that failed, in one line that an operator can act on.
 *
 * It names the operation, the object, the errno and, where the cause is known, what to do. It is thrown
 * only where we stop (opening, a device that is gone, a bug); errors that pass are counted by tun.ts and
 * udp.ts. The trap: it carries numbers and names only, never bytes of a packet or a key.
 */

/** What was tried: names the row of hints. */
type IoOperation =
  | "open TUN device"
  | "take TUN device"
  | "read TUN device"
  | "write TUN device"
  | "set offloads of TUN device"
  | "bind UDP socket"
  | "take UDP socket"
  | "receive on UDP socket"
  | "send on UDP socket"
  | "watch descriptor";

/** A failed system call; `message` is one line for the operator. */
export class IoError extends Error {
  override readonly name = "IoError";
  readonly operation: IoOperation;
  /** What it was tried on: a device name, or address and port. */
  readonly object: string;
  /** Name of the errno, such as "EPERM". */
  readonly code: string;
  /** What the operator can do; undefined where nothing better than the code is known. */
  readonly hint: string | undefined;

  constructor(operation: IoOperation, object: string, code: string) {
    const hint = HINTS[operation]?.[code];
    super(`cannot ${operation} ${object}: ${code}${hint === undefined ? "" : ` (${hint})`}`);
    this.operation = operation;
    this.object = object;
    this.code = code;
    this.hint = hint;
  }

  /** Whether a capability or a file permission is missing. */
  get isPermission(): boolean {
    return this.code === "EPERM" || this.code === "EACCES";
  }
}

type Hints = Readonly<Record<string, string>>;

const HINTS: Readonly<Partial<Record<IoOperation, Hints>>> = {
  "open TUN device": {
    EPERM: "needs CAP_NET_ADMIN, or a persistent device that belongs to this user",
    EACCES: "needs read and write permission on /dev/net/tun",
    ENOENT: "/dev/net/tun is missing; load the tun module: modprobe tun",
    ENODEV: "the kernel has no TUN driver; load the tun module: modprobe tun",
    ENXIO: "/dev/net/tun is not the TUN driver's node; load the tun module: modprobe tun",
    ENOTTY:
      "/dev/net/tun is not the TUN driver's node; delete it and load the tun module: modprobe tun",
    EBUSY: "another program holds this device",
    ENAMETOOLONG: "a device name has at most 15 bytes",
    EINVAL: "not a valid device name, or a device of this name exists and is no plain TUN device",
    EEXIST: "a device of this name exists and is no TUN device",
  },
  "take TUN device": {
    ENOTTY: "this inherited descriptor is no TUN device",
    EINVAL: "the inherited device is no plain TUN device with a vnet header",
    EBADFD: "the inherited device was deleted",
  },
  "read TUN device": { EBADFD: "the device was deleted", ENODEV: "the device was deleted" },
  "write TUN device": { EBADFD: "the device was deleted", ENODEV: "the device was deleted" },
  "take UDP socket": {
    ENOTSOCK: "this inherited descriptor is no socket",
    EPROTOTYPE: "the inherited socket is no UDP socket",
    EPERM: "a firewall mark needs CAP_NET_ADMIN",
    ENODEV: "the device to bind to does not exist",
  },
  "bind UDP socket": {
    EADDRINUSE: "another program uses this port",
    EADDRNOTAVAIL: "no interface of this host has this address",
    EACCES:
      "a port below 1024; let everybody have it by the sysctl net.ipv4.ip_unprivileged_port_start",
    EPERM: "a firewall mark needs CAP_NET_ADMIN",
    ENODEV: "the device to bind to does not exist",
    ENAMETOOLONG: "a device name has at most 15 bytes",
    EAFNOSUPPORT: "this kernel lacks the address family",
    EMFILE: "the limit of open files is reached",
    EINVAL: "not a valid address, or a link-local address without a device",
  },
};
