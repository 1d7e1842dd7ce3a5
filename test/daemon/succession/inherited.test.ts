/** Descriptors that the process was started with. */
import { describe, expect, it } from "vitest";
import { takeInherited } from "../../../src/daemon/succession/inherited.ts";
import { DESCRIPTOR } from "../../../src/io/native.ts";

const PID = 42;

/** The kernel's answer for each descriptor from 3 on, and what was closed. */
function kernel(...kinds: readonly number[]) {
  const closed: number[] = [];
  return {
    closed,
    descriptorKind: (fd: number) => kinds[fd - 3] ?? DESCRIPTOR.OTHER,
    close: (fd: number) => closed.push(fd),
  };
}

function started(count: string, pid = PID) {
  return { LISTEN_FDS: count, LISTEN_PID: String(pid), LISTEN_FDNAMES: "a:b", PATH: "/bin" };
}

describe("inherited descriptors", () => {
  it("are told by what they are, in any order, and leave the environment", () => {
    const env = started("3");
    const { TUN, UDP, UNIX_LISTENER } = DESCRIPTOR;

    const found = takeInherited(kernel(UNIX_LISTENER, UDP, TUN), env, PID);

    expect(found).toEqual({ control: 3, udp: 4, tun: 5, isUdpGiven: true });
    expect(env).toEqual({ PATH: "/bin" });
  });

  it("may be fewer, or none", () => {
    const onlyUdp = takeInherited(kernel(DESCRIPTOR.UDP), started("1"), PID);
    expect(onlyUdp).toMatchObject({ control: undefined, udp: 3, tun: undefined });
    const none = { control: undefined, udp: undefined, tun: undefined };
    expect(takeInherited(kernel(), {}, PID)).toMatchObject(none);
    expect(takeInherited(kernel(), started("0"), PID)).toMatchObject(none);
  });

  it("are ours by the name that we gave the socket, which is then bound as it is configured", () => {
    const names = (text: string) => ({ ...started("2"), LISTEN_FDNAMES: text });
    const both = kernel(DESCRIPTOR.TUN, DESCRIPTOR.UDP);
    expect(takeInherited(both, names("iptun-tun:iptun-udp"), PID).isUdpGiven).toBe(false);
    expect(takeInherited(both, names("iptun-udp:iptun@site.socket"), PID).isUdpGiven).toBe(true);
  });

  it("of a unit come before the same one from the manager's store", () => {
    const { UDP, UNIX_LISTENER, TUN } = DESCRIPTOR;
    const again = kernel(UNIX_LISTENER, UDP, TUN, UDP);
    const env = { ...started("4"), LISTEN_FDNAMES: "site.socket:site.socket:iptun-tun:iptun-udp" };

    const found = takeInherited(again, env, PID);

    expect(found).toEqual({ control: 3, udp: 4, tun: 5, isUdpGiven: true });
    expect(again.closed).toEqual([6]);
  });

  it("of another process are not taken, and not passed on", () => {
    const env = started("1", PID + 1);

    expect(takeInherited(kernel(DESCRIPTOR.UDP), env, PID).udp).toBeUndefined();
    expect(env).toEqual({ PATH: "/bin" });
  });

  it.each([
    [
      "one of no use",
      started("1"),
      kernel(),
      /^descriptor 3 \(LISTEN_FDS\) is none of.*ListenStream=/,
    ],
    [
      "two of one kind",
      started("2"),
      kernel(DESCRIPTOR.UDP, DESCRIPTOR.UDP),
      "descriptors 3 and 4 (LISTEN_FDS) are of one kind; give one of each",
    ],
    ["a number that is none", started("1x"), kernel(), "LISTEN_FDS is no number up to 16"],
    ["too many", started("17"), kernel(), "LISTEN_FDS is no number up to 16"],
  ])("with %s end the start with one line", (_, env, native, message) => {
    expect(() => takeInherited(native, env, PID)).toThrow(message);
  });
});
