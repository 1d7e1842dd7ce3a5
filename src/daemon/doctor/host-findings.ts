/**
 * What was seen of the host, in sentences: kernel, permissions, device, offloads, buffers, clock, names.
 *
 * Pure functions of the evidence; the network's part is in network-findings.ts. Whoever does not run as root is told
 * what could not be looked at.
 */
import { UDP_BUFFER_BYTES } from "../../io/udp.ts";
import type { StatusDocument } from "../control/status.ts";
import { offloadText } from "../host/offloads.ts";
import type { Evidence } from "./evidence.ts";
import { type Finding, fine, problem, unseen } from "./finding.ts";
import type { Subject } from "./subject.ts";
import { secondsText } from "./words.ts";

/** A kernel's version: 6.1 is 6001. */
type Version = number;

/** Since when Linux has what each offload needs (docs/offloads.md); null: all that iptun runs on. */
const OFFLOAD_SINCE = { tso: null, uso: 6_002, gso: 4_018, gro: 5_000 } as const satisfies Record<
  string,
  Version | null
>;
/** The oldest kernel with every call that is not tried first (UDP_SEGMENT, in Linux 4.18, is). */
const OLDEST: Version = 4_018;
/** A name's answer that takes longer holds up a start that waits for it. */
const SLOW_NAME_MS = 1_000;

/** All that is known of the tunnel, beside what was seen. */
export interface Known {
  readonly subject: Subject | undefined;
  readonly status: StatusDocument | undefined;
}

/** The host's findings. */
export function hostFindings(evidence: Evidence, known: Known): readonly Finding[] {
  return [
    ...kernelFindings(evidence),
    ...permissionFindings(evidence, known),
    ...deviceFindings(evidence, known),
    ...offloadFindings(evidence, known),
    ...bufferFindings(evidence, known),
    ...clockFindings(evidence),
    ...nameFindings(evidence, known),
  ];
}

function kernelFindings({ release }: Evidence): readonly Finding[] {
  const version = versionOf(release);
  if (version >= OLDEST) return [fine("kernel", `Linux ${release}`)];
  const text = `Linux ${release} is older than ${versionText(OLDEST)}, with which iptun was never tried`;
  return [problem("kernel-old", text, "run a newer kernel")];
}

/** A daemon that runs has what it needs; another can do with a TUN that was made for it. */
function permissionFindings(
  { hasNetAdmin, device }: Evidence,
  { subject, status }: Known,
): readonly Finding[] {
  if (hasNetAdmin) return [fine("permissions", "CAP_NET_ADMIN is held")];
  if (status !== undefined) {
    const text = "what needs CAP_NET_ADMIN; the tunnel that runs has what it needs";
    return [unseen("permissions", text, "run 'iptun doctor' as root to see all")];
  }
  if (device?.kind === "tun" && device.isPersistent) {
    return [
      fine("permissions", "without CAP_NET_ADMIN: the device is there, which must be this user's"),
    ];
  }
  const name = subject?.device ?? "NAME";
  const text = "CAP_NET_ADMIN is missing, so that no device can be made";
  const remedy = `run as root, or grant the capability, or make the device before: ip tuntap add dev ${name} mode tun user USER`;
  return [problem("no-capability", text, remedy)];
}

function deviceFindings({ tun, device }: Evidence, { subject, status }: Known): readonly Finding[] {
  const driver =
    tun.kind === "ok"
      ? [fine("device", "/dev/net/tun can be opened")]
      : [driverProblem(tun.kind, tun.text)];
  return subject === undefined ? driver : [...driver, nameFinding(subject.device, device, status)];
}

function driverProblem(kind: "missing" | "denied", text: string): Finding {
  // The line is the one that `iptun run` ends with: cause, colon, remedy.
  const colon = text.indexOf(": ");
  const id = kind === "missing" ? "tun-missing" : "tun-denied";
  return problem(id, text.slice(0, colon), text.slice(colon + 2));
}

function nameFinding(
  name: string,
  device: Evidence["device"],
  status: StatusDocument | undefined,
): Finding {
  if (device === undefined) {
    return unseen("device", `whether the name ${name} is free`, "install iproute2");
  }
  if (device === null) return fine("device", `the name ${name} is free`);
  if (status !== undefined) return fine("device", `${name} is the tunnel's own`);
  const remedy = `set another interface.name, or remove the device ('ip link del ${name}')`;
  if (device.kind !== "tun") {
    const text = `the name ${name} belongs to a device of kind ${device.kind}, so the tunnel cannot start`;
    return problem("name-taken", text, remedy);
  }
  if (device.isPersistent) return fine("device", `${name} is a TUN that waits for the tunnel`);
  const text = `the name ${name} belongs to a TUN that another process holds, so the tunnel cannot start`;
  return problem("name-taken", text, remedy);
}

function offloadFindings({ release }: Evidence, { status }: Known): readonly Finding[] {
  if (status === undefined) return presumedOffloads(versionOf(release));
  const { offloads, offloadsMissing, offloadsOff } = status.features;
  const text = offloadText({ offloads, offloadsMissing: [], offloadsOff: [] });
  return [
    fine("offloads", `in use: ${text}`),
    ...offloadsMissing.map((name) => missingOffload(name, `this kernel (${release})`)),
    ...offloadsOff.map((name) => {
      const off = `${name} is switched off in the configuration`;
      return problem("offload-off", off, `remove '${name} = false' from [offload] for speed`);
    }),
  ];
}

/** Nothing runs that has asked the kernel: what its version says. */
function presumedOffloads(version: Version): readonly Finding[] {
  const names = Object.keys(OFFLOAD_SINCE) as (keyof typeof OFFLOAD_SINCE)[];
  const missing = names.filter((name) => version < (OFFLOAD_SINCE[name] ?? 0));
  const rest = names.filter((name) => !missing.includes(name)).join(", ");
  return [
    fine("offloads", `by its version the kernel has: ${rest}`),
    ...missing.map((name) => missingOffload(name, `Linux ${versionText(version)}`)),
  ];
}

function missingOffload(name: keyof typeof OFFLOAD_SINCE, where: string): Finding {
  const since = OFFLOAD_SINCE[name];
  const had =
    since === null ? "which every kernel has" : `Linux has it since ${versionText(since)}`;
  const text = `${where} lacks ${name}; ${had}`;
  const remedy = "nothing to do: it works without, slower; docs/offloads.md";
  return problem("offload-missing", text, remedy);
}

/** With CAP_NET_ADMIN the socket passes the host's limits, in the first user namespace alone. */
function bufferFindings(
  { receiveMax, sendMax, hasNetAdmin }: Evidence,
  { status }: Known,
): readonly Finding[] {
  const wanted = sizeText(UDP_BUFFER_BYTES);
  if (status !== undefined) {
    const { receiveBufferBytes: receive, sendBufferBytes: send } = status.features;
    // The kernel doubles what is asked for and tells the double (man 7 socket).
    const got = Math.min(receive, send) / 2;
    if (got >= UDP_BUFFER_BYTES)
      return [fine("buffers", `the socket has the ${wanted} it asked for`)];
    return [smallBuffers(`the socket asked for ${wanted} and got ${sizeText(got)}`)];
  }
  if (receiveMax === undefined || sendMax === undefined) {
    return [unseen("buffers", "net.core.rmem_max and wmem_max", "run it on the host itself")];
  }
  const least = Math.min(receiveMax, sendMax);
  const limits = `net.core.rmem_max and wmem_max allow ${sizeText(least)}`;
  if (least >= UDP_BUFFER_BYTES) return [fine("buffers", limits)];
  if (hasNetAdmin) return [fine("buffers", `${limits}; CAP_NET_ADMIN passes them`)];
  return [smallBuffers(`${limits}, and the socket asks for ${wanted}`)];
}

function smallBuffers(text: string): Finding {
  const both = ["rmem_max", "wmem_max"].map((name) => `net.core.${name}=${UDP_BUFFER_BYTES}`);
  const why = `${text}: a burst is lost while this process waits for a CPU`;
  return problem("buffers-small", why, `sysctl -w ${both.join(" ")}`);
}

function clockFindings({ clock }: Evidence): readonly Finding[] {
  const { wallMs, file, fileMs, isSynchronized } = clock;
  const cost = "a wrong clock costs each handshake only a challenge, one round trip more";
  const shown = new Date(wallMs).toISOString();
  const found =
    wallMs < fileMs
      ? problem(
          "clock-behind",
          `the clock says ${shown}, but ${file} is younger than that: it is behind; ${cost}`,
          "set the clock, by NTP ('timedatectl set-ntp true') or by hand",
        )
      : fine("clock", `the clock says ${shown}`);
  if (isSynchronized === true) return [found, fine("clock", "it is kept right by NTP")];
  if (isSynchronized === undefined) {
    const text = "whether NTP keeps the clock (timedatectl does not tell)";
    return [found, unseen("clock", text, `nothing to do: ${cost}`)];
  }
  const text = `the clock is not kept by NTP; ${cost}`;
  return [found, problem("clock-unsynced", text, "timedatectl set-ntp true")];
}

function nameFindings({ names }: Evidence, { subject }: Known): readonly Finding[] {
  if (names.length === 0) {
    const text = subject === undefined ? "" : "no endpoint has a name to resolve";
    return text === "" ? [] : [fine("names", text)];
  }
  return names.map(({ peer, host, tookMs, addresses, fault }) => {
    const took = `after ${secondsText(tookMs / 1_000)}`;
    if (fault !== undefined) {
      const text = `${host} of peer ${peer} does not resolve (${fault}, ${took})`;
      const remedy = "correct 'endpoint', or see which name server /etc/resolv.conf names";
      return problem("name-fails", text, remedy);
    }
    const families = [
      ...(addresses.some((one) => !one.includes(":")) ? ["IPv4"] : []),
      ...(addresses.some((one) => one.includes(":")) ? ["IPv6"] : []),
    ];
    const found = `${host} of peer ${peer} is ${addresses.join(", ")} (${families.join(" and ")})`;
    if (tookMs < SLOW_NAME_MS) return fine("names", `${found}, in ${Math.round(tookMs)} ms`);
    const text = `${found}, but only ${took}: a name server does not answer`;
    return problem("name-slow", text, "take the silent name server out of /etc/resolv.conf");
  });
}

/** "6.1.0-13-amd64" as a number that can be compared; 0: it has no such form. */
function versionOf(release: string): Version {
  const [, major = "0", minor = "0"] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(major) * 1_000 + Number(minor);
}

function versionText(version: Version): string {
  return `${Math.floor(version / 1_000)}.${version % 1_000}`;
}

/** Bytes in units of 1,024. */
function sizeText(bytes: number): string {
  const kib = bytes / 1_024;
  return kib < 1_024 ? `${Math.round(kib)} KiB` : `${Math.round(kib / 102.4) / 10} MiB`;
}
