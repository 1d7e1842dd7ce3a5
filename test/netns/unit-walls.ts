/**
 * What contrib/systemd/iptun@.service does to a process, without systemd as the first process.
 *
 * Mounts, capabilities and limits by unshare, mount, setpriv and prlimit; the system call filter by
 * syscall-walls.c, from the groups that the unit names and systemd-analyze spells out. Not done: MemoryMax,
 * TasksMax, DevicePolicy's access list (the other devices are not there), KeyringMode.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "../../scripts/netns/process.ts";

/** The unit as it is shipped. */
export const UNIT = join(ROOT, "contrib/systemd/iptun@.service");

const { CC = "cc" } = process.env;
const FILTER_SOURCE = fileURLToPath(new URL("../helpers/syscall-walls.c", import.meta.url));

/** ProtectSystem, ProtectHome, PrivateTmp, ProtectProc, ProtectKernelTunables, PrivateDevices' nodes. */
const MOUNTS = `
set -e
lab=$1 own=$2 repository=$3 node=$4
shift 4
mount --rbind "$lab" /mnt
case "$repository" in /tmp/*) mount --rbind "$repository" /media ;; esac
mount -t tmpfs -o mode=1777 none /tmp
mkdir -p "$lab" /tmp/dev
mount --move /mnt "$lab"
case "$repository" in /tmp/*) mkdir -p "$repository" && mount --move /media "$repository" ;; esac
for writable in "$own/state" "$own/run"; do mount --bind "$writable" "$writable"; done
for home in /home /root; do
  case "$repository $node" in *"$home/"*) ;; *) [ ! -d "$home" ] || mount -t tmpfs -o ro none "$home" ;; esac
done
mount -t tmpfs -o mode=755 none /tmp/dev
mkdir /tmp/dev/net
for device in null zero full random urandom net/tun; do
  touch "/tmp/dev/$device"
  mount --bind "/dev/$device" "/tmp/dev/$device"
done
mount --move /tmp/dev /dev
cut -d' ' -f2 /proc/self/mounts | sort -u | while read -r at; do
  case "$at" in /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | /tmp | "$own/state" | "$own/run") ;;
    *) mount -o remount,bind,ro "$at" ;;
  esac
done
mount -t proc -o hidepid=invisible proc /proc || [ "$(id -u)" != 0 ]
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -o remount,bind,ro /sys
exec "$@"
`;

/** The value of a directive, each time that it stands in the unit. */
export function directive(name: string): readonly string[] {
  const lines = readFileSync(UNIT, "utf8").split("\n");
  return lines.flatMap((line) =>
    line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : [],
  );
}

/** The command that runs what follows it inside the walls; `own` has the folders "state" and "run". */
export function unitWalls(lab: string, own: string): readonly string[] {
  const filter = join(lab, "syscall-walls");
  const list = join(lab, "syscalls");
  execFileSync(CC, [
    "-std=c17",
    "-D_GNU_SOURCE",
    "-Wall",
    "-o",
    filter,
    FILTER_SOURCE,
    "-lseccomp",
  ]);
  writeFileSync(list, allowedCalls(directive("SystemCallFilter")).join("\n"));
  const kept = `-all,+${directive("CapabilityBoundingSet").join().replace("CAP_", "").toLowerCase()}`;
  return [
    ...["unshare", "--mount", "--ipc", "sh", "-c", MOUNTS, "sh", lab, own, ROOT, process.execPath],
    ...["env", ...directive("Environment")],
    ...["prlimit", `--core=${directive("LimitCORE")}`, "--memlock=8388608"],
    ...["setpriv", "--no-new-privs", "--bounding-set", kept, "--inh-caps", "-all"],
    ...[filter, list],
  ];
}

/** Names of the calls that filters such as "@system-service" and "~@privileged @mount" leave. */
function allowedCalls(filters: readonly string[]): readonly string[] {
  const groups = callGroups();
  const expand = (name: string): readonly string[] =>
    name.startsWith("@") ? (groups.get(name) ?? []).flatMap(expand) : [name];
  const allowed = new Set<string>();
  for (const filter of filters) {
    const isDenied = filter.startsWith("~");
    const names = filter.replace("~", "").split(" ").flatMap(expand);
    for (const name of names) isDenied ? allowed.delete(name) : allowed.add(name);
  }
  return [...allowed];
}

/** Each group's members, which may be groups. */
function callGroups(): ReadonlyMap<string, readonly string[]> {
  const text = execFileSync("systemd-analyze", ["--no-pager", "syscall-filter"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const groups = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("@")) {
      current = [];
      groups.set(line.trim(), current);
    } else if (/^ +[@\w]/.test(line)) current.push(line.trim());
  }
  return groups;
}
