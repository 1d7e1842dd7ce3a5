/** What an operator reads when a system call fails. */
import { describe, expect, it } from "vitest";
import { IoError } from "../../src/io/io-error.ts";

describe("IoError", () => {
  it("says operation, object, errno and what to do in one line", () => {
    const error = new IoError("open TUN device", '"iptun0"', "EPERM");
    expect(error.message).toBe(
      'cannot open TUN device "iptun0": EPERM (needs CAP_NET_ADMIN, or a persistent device that belongs to this user)',
    );
  });

  it("says no more than the errno where nothing better is known", () => {
    const error = new IoError("bind UDP socket", "to [::]:1194", "ENOMEM");
    expect(error.message).toBe("cannot bind UDP socket to [::]:1194: ENOMEM");
    expect(error.hint).toBeUndefined();
  });

  it("keeps its parts as fields", () => {
    const error = new IoError("read TUN device", "iptun0", "EBADFD");
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "IoError",
      operation: "read TUN device",
      object: "iptun0",
      code: "EBADFD",
      hint: "the device was deleted",
    });
  });

  it.each([
    ["open TUN device", "ENOENT", "modprobe tun"],
    ["open TUN device", "ENODEV", "modprobe tun"],
    ["open TUN device", "EACCES", "/dev/net/tun"],
    ["open TUN device", "ENOTTY", "not the TUN driver's node"],
    ["open TUN device", "EBUSY", "another program holds"],
    ["open TUN device", "ENAMETOOLONG", "15 bytes"],
    ["open TUN device", "EINVAL", "no plain TUN device"],
    ["bind UDP socket", "EADDRINUSE", "another program uses this port"],
    ["bind UDP socket", "EADDRNOTAVAIL", "no interface of this host"],
    ["bind UDP socket", "EACCES", "ip_unprivileged_port_start"],
    ["bind UDP socket", "EPERM", "CAP_NET_ADMIN"],
    ["bind UDP socket", "ENODEV", "does not exist"],
  ] as const)("hints for %s, %s: %s", (operation, code, words) => {
    expect(new IoError(operation, "x", code).hint).toContain(words);
  });

  it.each([
    ["EPERM", true],
    ["EACCES", true],
    ["EBUSY", false],
  ])("tells a missing permission (%s: %s)", (code, expected) => {
    expect(new IoError("open TUN device", "x", code).isPermission).toBe(expected);
  });
});
