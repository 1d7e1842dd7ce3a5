/**
 * Descriptors that the process was started with: socket activation and systemd's descriptor store.
 *
 * LISTEN_FDS descriptors from 3 on, for the process LISTEN_PID only (man 3 sd_listen_fds). What each is, is asked
 * of the kernel and not of LISTEN_FDNAMES, because a socket unit gives all of its descriptors one name; that only tells
 * a socket of ours, which is bound as it was configured then, from one that a unit has bound. The trap:
 * the variables must not reach a child, which would take them for its own.
 */
import { DESCRIPTOR, type Native } from "../../io/native.ts";
import { DaemonError } from "../failure.ts";

/** Number of the first (SD_LISTEN_FDS_START). */
const FIRST = 3;
/** BOUNDED: more than anybody has a use for. */
const MOST = 16;

/** FDNAME of our own socket in the manager's store. */
export const KEPT_UDP_NAME = "iptun-udp";

/** What came, at most one of each. */
export interface StartedWith {
  /** An open TUN device. */
  readonly tun: number | undefined;
  /** A bound UDP socket. */
  readonly udp: number | undefined;
  /** Whether it is of a socket unit, which says where to listen, and not one of ours that was kept. */
  readonly isUdpGiven: boolean;
  /** A listening Unix stream socket. */
  readonly control: number | undefined;
}

type Environment = Record<string, string | undefined>;

/** Takes the descriptors, and the variables that tell of them out of `env`; throws a DaemonError for what is of no use here. */
export function takeInherited(
  native: Pick<Native, "descriptorKind">,
  env: Environment,
  pid: number,
): StartedWith {
  const { LISTEN_FDS: count, LISTEN_PID: owner, LISTEN_FDNAMES: names = "" } = env;
  for (const name of ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]) delete env[name];
  const found: { tun?: number; udp?: number; control?: number } = {};
  if (count !== undefined && owner === String(pid)) {
    for (let fd = FIRST; fd < FIRST + countOf(count); fd++) {
      const kind = kindOf(native.descriptorKind(fd));
      if (kind === undefined) {
        const wanted = "a TUN device, a UDP socket and a listening Unix stream socket";
        throw new DaemonError(`descriptor ${fd} (LISTEN_FDS) is none of: ${wanted}`);
      }
      if (found[kind] !== undefined) {
        throw new DaemonError(`descriptors ${found[kind]} and ${fd} (LISTEN_FDS) are of one kind`);
      }
      found[kind] = fd;
    }
  }
  const isKept = found.udp !== undefined && names.split(":")[found.udp - FIRST] === KEPT_UDP_NAME;
  return { tun: found.tun, udp: found.udp, isUdpGiven: !isKept, control: found.control };
}

function countOf(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= MOST) return Number(text);
  throw new DaemonError(`LISTEN_FDS is no number up to ${MOST}`);
}

function kindOf(kind: number): "tun" | "udp" | "control" | undefined {
  if (kind === DESCRIPTOR.TUN) return "tun";
  if (kind === DESCRIPTOR.UDP) return "udp";
  return kind === DESCRIPTOR.UNIX_LISTENER ? "control" : undefined;
}
