/**
 * Descriptors that the process was started with: socket activation and systemd's descriptor store.
 *
 * LISTEN_FDS descriptors from 3 on, for the process LISTEN_PID only (man 3 sd_listen_fds). What each is, is asked
 * of the kernel and not of LISTEN_FDNAMES, because a socket unit gives all of its descriptors one name; that only tells
 * a socket of ours, which is bound as it was configured then, from one that a unit has bound. The traps:
 * the variables must not reach a child, which would take them for its own; and a manager that keeps descriptors gives a
 * unit's socket twice at a restart, from the unit and from its store.
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
  /** A bound UDP socket: a unit's where there is one, else ours. */
  readonly udp: number | undefined;
  /** Whether it is of a socket unit, which says where to listen, and not one of ours that was kept. */
  readonly isUdpGiven: boolean;
  /** A listening Unix stream socket. */
  readonly control: number | undefined;
}

type Environment = Record<string, string | undefined>;

/** Takes the descriptors, and the variables that tell of them out of `env`; throws a DaemonError for what is of no use here. */
export function takeInherited(
  native: Pick<Native, "descriptorKind" | "close">,
  env: Environment,
  pid: number,
): StartedWith {
  const { LISTEN_FDS: count, LISTEN_PID: owner } = env;
  const names = (env["LISTEN_FDNAMES"] ?? "").split(":");
  for (const name of ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]) delete env[name];
  const found: Found = { tun: [], udp: [], kept: [], control: [] };
  if (count !== undefined && owner === String(pid)) {
    for (let fd = FIRST; fd < FIRST + countOf(count); fd++) {
      const kind = kindOf(native.descriptorKind(fd), fd);
      const isKept = kind === "udp" && names[fd - FIRST] === KEPT_UDP_NAME;
      found[isKept ? "kept" : kind].push(fd);
    }
  }
  const [tun, given, kept, control] = [found.tun, found.udp, found.kept, found.control].map(single);
  // The unit says where to listen; ours is the same socket, or one from before there was a unit.
  if (given !== undefined && kept !== undefined) native.close(kept);
  return { tun, udp: given ?? kept, isUdpGiven: given !== undefined, control };
}

/** Descriptors of each kind; `kept`: UDP sockets of ours. */
type Found = Readonly<Record<"tun" | "udp" | "kept" | "control", number[]>>;

function single([one, other]: readonly number[]): number | undefined {
  if (other === undefined) return one;
  throw new DaemonError(
    `descriptors ${one} and ${other} (LISTEN_FDS) are of one kind; give one of each`,
  );
}

function countOf(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= MOST) return Number(text);
  throw new DaemonError(`LISTEN_FDS is no number up to ${MOST}`);
}

function kindOf(kind: number, fd: number): "tun" | "udp" | "control" {
  if (kind === DESCRIPTOR.TUN) return "tun";
  if (kind === DESCRIPTOR.UDP) return "udp";
  if (kind === DESCRIPTOR.UNIX_LISTENER) return "control";
  const wanted = "a TUN device, a UDP socket and a listening Unix stream socket";
  const remedy = "a socket unit has ListenDatagram=PORT or ListenStream=/run/iptun/NAME.sock";
  throw new DaemonError(`descriptor ${fd} (LISTEN_FDS) is none of: ${wanted}; ${remedy}`);
}
