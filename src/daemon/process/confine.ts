/**
 * Leaves this process nothing but CAP_NET_ADMIN, and asks whether that holds in every thread.
 *
 * Capabilities and no_new_privs belong to threads, of which Node has several before any script runs. Unless
 * somebody has seen to it before (systemd, setpriv), the first thread drops what is to go and executes this
 * very command anew: same process id, arguments, environment and descriptors. Source: man 7 capabilities.
 *
 * This is loaded before everything else and then once more, so it imports little. The traps: a signal that
 * Node has caught but not yet told of would be lost with the old image; and where the kernel does not do as it
 * says, one exec must not follow another for ever.
 */
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Native } from "../../io/native.ts";
import { DaemonError, EXIT } from "../failure.ts";

/** Bit of CAP_NET_ADMIN in a capability set (linux/capability.h). */
export const CAP_NET_ADMIN = 12;

/** Its value is the id of the process that has executed itself: another process may inherit it. */
const MARK = "IPTUN_CONFINED";
/**
 * What makes Node load code or write files; it may come from somebody with fewer rights than the process had. Not
 * OpenSSL's: hosts with a cryptography policy need OPENSSL_CONF (docs/security.md).
 */
const NOT_INHERITED = [
  "NODE_OPTIONS",
  "NODE_PATH",
  "NODE_REPL_EXTERNAL_MODULE",
  "NODE_REDIRECT_WARNINGS",
  "NODE_V8_COVERAGE",
  "NODE_COMPILE_CACHE",
];
/** Standard input, output and error. */
const STANDARD_DESCRIPTORS = 3;

/** The part of the addon that is used. */
export type ConfineNative = Pick<
  Native,
  "privilegesDrop" | "processLock" | "signalsLeave" | "processExec" | "errnoName"
>;

/** The part of `process` that is used. */
export interface ConfinedProcess {
  readonly pid: number;
  readonly env: Record<string, string | undefined>;
  readonly execPath: string;
  readonly argv0: string;
  readonly execArgv: readonly string[];
  readonly argv: readonly string[];
}

/**
 * Confines this process, in which case it begins anew and the call does not return, or finds it confined. Throws
 * a DaemonError where that cannot be had; the process must then end.
 */
export async function confine(
  native: ConfineNative,
  target: ConfinedProcess = process,
  statuses: () => readonly string[] = threadStatuses,
  tryAccess: (path: string, mode: number) => void = accessSync,
): Promise<void> {
  const isSecond = target.env[MARK] === String(target.pid);
  delete target.env[MARK];
  const excess = excessOf(statuses());
  if (excess === undefined) {
    check(native, native.processLock(), "forbid core files");
    return;
  }
  if (isSecond) throw refusal(excess);
  check(native, native.privilegesDrop(CAP_NET_ADMIN), "give up privileges");
  checkReadable(target.argv[1], tryAccess);
  native.signalsLeave();
  // A signal that came before is told of in this turn, and ends the process or is nothing.
  await nextTurn();
  const inherited = inheritedDescriptors(target);
  for (const name of NOT_INHERITED) delete target.env[name];
  target.env[MARK] = String(target.pid);
  const args = [target.argv0, ...target.execArgv, ...target.argv.slice(1)];
  const status = native.processExec(ended([target.execPath]), ended(args), inherited);
  check(native, status, `execute ${target.execPath}`);
}

/** Throws a DaemonError unless every thread has what it may have and no more. */
export function checkConfined(statuses: readonly string[] = threadStatuses()): void {
  const excess = excessOf(statuses);
  if (excess !== undefined) throw refusal(excess);
}

/** What a thread has too much, or lacks, in a few words; undefined: all is as it should be. */
function excessOf(statuses: readonly string[]): string | undefined {
  for (const status of statuses) {
    const held = ["CapPrm", "CapEff", "CapInh"].find((set) => hasOthers(field(status, set)));
    if (held !== undefined) return `${held} is ${field(status, held)}`;
    // Absent: a kernel before 4.10 does not tell.
    if (field(status, "NoNewPrivs") === "0") return "NoNewPrivs is 0";
    if (field(status, "CapEff") !== field(status, "CapPrm")) return "CapEff is not CapPrm";
  }
  return undefined;
}

function hasOthers(hex: string | undefined): boolean {
  return (BigInt(`0x${hex ?? "0"}`) & ~(1n << BigInt(CAP_NET_ADMIN))) !== 0n;
}

function field(status: string, name: string): string | undefined {
  return new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(status)?.[1];
}

/** /proc/PID/status of each thread; one that ends meanwhile has nothing. */
function threadStatuses(): readonly string[] {
  return readdirSync("/proc/self/task").flatMap((thread) => {
    try {
      return [readFileSync(`/proc/self/task/${thread}/status`, "latin1")];
    } catch {
      return [];
    }
  });
}

/** What lies in another user's closed folder was open to root before. */
function checkReadable(
  script: string | undefined,
  tryAccess: (path: string, mode: number) => void,
): void {
  if (script === undefined) return;
  try {
    tryAccess(script, constants.R_OK);
  } catch (cause) {
    throw new DaemonError(
      `cannot read ${script} without CAP_DAC_OVERRIDE, which is given up; install iptun where this user may read it`,
      EXIT.NO_PERMISSION,
      { cause },
    );
  }
}

/** Of socket activation (man 3 sd_listen_fds) those that were given to this process. */
function inheritedDescriptors({ env, pid }: ConfinedProcess): number {
  const given = env["LISTEN_PID"] === String(pid) ? Number(env["LISTEN_FDS"]) : 0;
  return STANDARD_DESCRIPTORS + (Number.isSafeInteger(given) && given > 0 ? given : 0);
}

/** The texts, each ended by a zero byte. */
function ended(texts: readonly string[]): Uint8Array {
  return new TextEncoder().encode(texts.map((text) => `${text}\0`).join(""));
}

function check(native: ConfineNative, status: number, what: string): void {
  if (status >= 0) return;
  throw new DaemonError(`cannot ${what}: ${native.errnoName(status)}`, EXIT.NO_PERMISSION);
}

function refusal(excess: string): DaemonError {
  return new DaemonError(
    `a thread has other privileges than CAP_NET_ADMIN alone (${excess}); end what gives them, or start by 'setpriv --no-new-privs'`,
    EXIT.NO_PERMISSION,
  );
}
