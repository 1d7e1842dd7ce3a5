/**
 * Scenarios of a process that gives up its privileges (confine.test.ts asserts on the facts).
 *
 * They build on each other: what was given up stays so.
 */
import { readFileSync } from "node:fs";
import { run } from "./isolated.ts";
import { address, ip } from "./namespace.ts";
import { ADDON_PATH, testNative } from "./native.ts";

const native = testNative();
const CAP_NET_ADMIN = 12;
const encoder = new TextEncoder();

/** The first thread before, and after all but CAP_NET_ADMIN was given up. */
export async function drop() {
  const before = privileges("self");
  const badBits = [-1, 32].map((bit) => native.errnoName(native.privilegesDrop(bit)));
  const status = native.privilegesDrop(CAP_NET_ADMIN);
  return { before, badBits, status, after: privileges("thread-self") };
}

/** A socket that is bound to one device is bound to another, with a port of its own and with one of the kernel's. */
export async function rebind() {
  ip("link add other0 type veth peer name other1");
  const sockets = [40_000, 0].map((wish) => {
    const info = new Int32Array(4);
    const fd = native.udpOpen(address("::"), wish, 0, "lo", 0, info);
    const status = native.udpBindDevice(fd, "other0");
    return { fd, status, port: info[0] ?? 0 };
  });
  const gone = sockets.map(({ fd }) => native.errnoName(native.udpBindDevice(fd, "nosuch0")));
  const { output } = await run("ss", ["-Hlun"]);
  for (const { fd } of sockets) native.close(fd);
  return {
    status: sockets.map(({ status }) => status),
    gone,
    isBound: sockets.map(({ port }) => output.includes(`*%other0:${port} `)),
  };
}

/** What cannot be executed. */
export async function badExec() {
  const exec = (path: string, args: string) =>
    native.errnoName(native.processExec(encoder.encode(path), encoder.encode(args), 3));
  return {
    missing: exec("/proc/nonexistent\0", "a\0"),
    openPath: exec("/bin/true", "a\0"),
    openArgument: exec("/bin/true\0", "a"),
    noArgument: exec("/bin/true\0", ""),
    tooMany: exec("/bin/true\0", "a\0".repeat(5_000)),
  };
}

/** A process that became a shell: its id, what it was given, and which descriptors are open. */
export async function exec() {
  const script = `
    const native = process.getBuiltinModule("node:module").createRequire("/")(${JSON.stringify(ADDON_PATH)});
    process.stdout.write(process.pid + "\\n", () => {
      const text = (words) => new TextEncoder().encode(words.map((word) => word + "\\0").join(""));
      const look = 'echo $$; echo "$1"; test -e /proc/self/fd/3 && echo open; test -e /proc/self/fd/4 || echo closed';
      native.processExec(text(["/bin/sh"]), text(["sh", "-c", look, "sh", "two words"]), 4);
    });`;
  const give = ["-c", 'exec 3</dev/null 4</dev/null; exec "$@"', "sh"];
  const { output, ending } = await run("sh", [...give, process.execPath, "-e", script]);
  const [before, after, ...rest] = output.trimEnd().split("\n");
  return { isSameProcess: before === after, rest, ending };
}

/** Last: this process cannot be looked into any more. */
export async function lock() {
  const status = native.processLock();
  const limits = readFileSync("/proc/self/limits", "latin1");
  return { status, core: /Max core file size +(\d+) +(\d+)/.exec(limits)?.slice(1) };
}

function privileges(who: "self" | "thread-self") {
  const status = readFileSync(`/proc/${who}/status`, "latin1");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(status)?.[1] ?? "";
  return { effective: field("CapEff"), bounding: field("CapBnd"), noNew: field("NoNewPrivs") };
}
