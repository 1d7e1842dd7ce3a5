/**
 * Whether this process may do what its tunnel needs, asked before anything is opened.
 *
 * Capabilities are read from /proc/self/status (man 5 proc, CapEff as hexadecimal), because uid 0 says
 * little: a container's root may lack CAP_NET_ADMIN and a service user may hold it. Without it a tunnel runs over a
 * device that was made before for this user, which nothing here changes.
 */
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import type { Config } from "../../config/config.ts";
import { defaultFamilies, wantsFirewall } from "../../config/default-families.ts";
import { codeOf, DaemonError, EXIT } from "../failure.ts";
import { CAP_NET_ADMIN } from "./confine.ts";

const TUN_PATH = "/dev/net/tun";

type IsThere = (device: string) => Promise<boolean>;
type TryAccess = (path: string, mode: number) => Promise<void>;

/**
 * Whether the tunnel may manage network devices; false: it can use the one that is there (`isThere` of its name).
 * Throws a DaemonError that names what is missing for this configuration.
 */
export async function checkPrivileges(
  config: Pick<Config, "interface" | "peers">,
  isThere: IsThere,
  paths = { status: "/proc/self/status", tun: TUN_PATH },
  tryAccess: TryAccess = access,
): Promise<boolean> {
  const mayManage = hasCapability(await readFile(paths.status, "utf8"), CAP_NET_ADMIN);
  if (!mayManage) {
    await checkDevice(config.interface.name, isThere);
    checkWishes(config);
  }
  await checkTunDevice(paths.tun, tryAccess);
  return mayManage;
}

/** Whether the CapEff line of a /proc/PID/status text has the capability of bit `bit`. */
export function hasCapability(statusText: string, bit: number): boolean {
  const hex = /^CapEff:\s*([0-9a-fA-F]+)$/m.exec(statusText)?.[1];
  return hex !== undefined && ((BigInt(`0x${hex}`) >> BigInt(bit)) & 1n) === 1n;
}

async function checkDevice(name: string, isThere: IsThere): Promise<void> {
  if (await isThere(name)) return;
  throw new DaemonError(
    `no permission to manage network devices: needs CAP_NET_ADMIN (run as root, or grant the capability), or a device that root has made for this user ('ip tuntap add dev ${name} mode tun user NAME')`,
    EXIT.NO_PERMISSION,
  );
}

/** What changes the host beside the device needs the capability whoever made the device. */
function checkWishes(config: Pick<Config, "interface" | "peers">): void {
  const wishes = [
    defaultFamilies(config).length > 0 ? "a default route (set interface.routes = false)" : "",
    wantsFirewall(config) ? "interface.firewall (set it to false)" : "",
    config.interface.fwmark === 0 ? "" : "interface.fwmark (set it to 0)",
  ].filter((wish) => wish !== "");
  if (wishes.length === 0) return;
  throw new DaemonError(
    `no permission without CAP_NET_ADMIN for ${wishes.join(", and for ")}; or grant the capability`,
    EXIT.NO_PERMISSION,
  );
}

/** Throws a DaemonError where the driver's file is missing or may not be opened. */
export async function checkTunDevice(
  path: string = TUN_PATH,
  tryAccess: TryAccess = access,
): Promise<void> {
  try {
    await tryAccess(path, constants.R_OK | constants.W_OK);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") {
      throw new DaemonError(
        `${path} is missing: load the driver with 'modprobe tun', or give the container that device`,
        EXIT.FAILURE,
        { cause },
      );
    }
    throw new DaemonError(
      `no permission to open ${path}: needs read and write permission on it (chmod 0666 ${path})`,
      EXIT.NO_PERMISSION,
      { cause },
    );
  }
}
