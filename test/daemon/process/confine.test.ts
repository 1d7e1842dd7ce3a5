/**
 * Giving up privileges: when the process begins anew, with what, and when it refuses.
 */
import { describe, expect, it } from "vitest";
import { type ConfineNative, checkConfined, confine } from "../../../src/daemon/process/confine.ts";

const ROOT = thread({ prm: "000001ffffffffff", privileges: 0 });
const CONFINED = thread({ prm: "0000000000001000" });
const NOTHING = thread({ prm: "0000000000000000" });
const PID = 77;

describe("a process with privileges", () => {
  it("drops them, lets signals be told of, and executes its own command", async () => {
    const { native, calls, target } = rig({ HOME: "/root" });

    await confine(native, target, () => [ROOT], access);

    expect(calls).toEqual([
      "privilegesDrop 12",
      "signalsLeave",
      "processExec /usr/bin/node [iptun --flag /opt/main.js --config a.toml] 3",
    ]);
    expect(target.env).toEqual({ HOME: "/root", IPTUN_CONFINED: "77" });
  });

  it("is one where a single thread has them", async () => {
    const { native, calls, target } = rig();
    await confine(native, target, () => [CONFINED, CONFINED, ROOT], access);
    expect(calls).toHaveLength(3);
  });

  it.each([
    ["no_new_privs is not set", thread({ prm: "0000000000001000", privileges: 0 })],
    ["a capability can be inherited", thread({ prm: "0000000000001000", inh: "0000000000003000" })],
    [
      "CAP_NET_ADMIN is not in effect",
      thread({ prm: "0000000000001000", eff: "0000000000000000" }),
    ],
  ])("is one where %s", async (_what, status) => {
    const { native, calls, target } = rig();
    await confine(native, target, () => [status], access);
    expect(calls.at(-1)).toMatch(/^processExec/);
  });

  it("hands on no variable by which code is loaded or files are written", async () => {
    const { native, target } = rig({
      NODE_OPTIONS: "--require x",
      NODE_PATH: "/tmp",
      PATH: "/bin",
    });
    await confine(native, target, () => [ROOT], access);
    expect(Object.keys(target.env)).toEqual(["PATH", "IPTUN_CONFINED"]);
  });

  it.each([
    ["that are its own", { LISTEN_PID: "77", LISTEN_FDS: "2" }, 5],
    ["that are another process's", { LISTEN_PID: "76", LISTEN_FDS: "2" }, 3],
    ["of which the number is none", { LISTEN_PID: "77", LISTEN_FDS: "two" }, 3],
    ["of which the number is negative", { LISTEN_PID: "77", LISTEN_FDS: "-4" }, 3],
  ])("keeps sockets %s", async (_which, env, descriptors) => {
    const { native, calls, target } = rig(env);
    await confine(native, target, () => [ROOT], access);
    expect(calls.at(-1)).toMatch(new RegExp(`] ${descriptors}$`));
  });

  it("begins anew once only, and then refuses", async () => {
    const { native, calls, target } = rig({ IPTUN_CONFINED: "77" });

    await expect(confine(native, target, () => [ROOT], access)).rejects.toMatchObject({
      message: expect.stringMatching(/CAP_NET_ADMIN alone \(CapPrm is 000001ffffffffff\)/),
      exitCode: 4,
    });
    expect(calls).toEqual([]);
    expect(target.env).toEqual({});
  });

  it("takes no notice of another process's mark", async () => {
    const { native, calls, target } = rig({ IPTUN_CONFINED: "76" });
    await confine(native, target, () => [ROOT], access);
    expect(calls).toHaveLength(3);
  });

  it("ends with one line where it may not read itself any more", async () => {
    const { native, calls, target } = rig({}, "/nonexistent/main.js");
    await expect(confine(native, target, () => [ROOT], access)).rejects.toThrow(
      /^cannot read \/nonexistent\/main.js without CAP_DAC_OVERRIDE/,
    );
    expect(calls).toEqual(["privilegesDrop 12"]);
  });

  it.each([
    ["privilegesDrop", /^cannot give up privileges: EPERM$/],
    ["processExec", /^cannot execute \/usr\/bin\/node: EPERM$/],
  ] as const)("ends with one line where %s fails", async (name, message) => {
    const { native, target } = rig();
    const failing = { ...native, [name]: () => -1 };
    await expect(confine(failing, target, () => [ROOT], access)).rejects.toThrow(message);
  });
});

describe("a process without privileges to give up", () => {
  it.each([
    ["CAP_NET_ADMIN alone", CONFINED],
    ["no capability", NOTHING],
    ["a kernel that does not tell of no_new_privs", CONFINED.replace(/NoNewPrivs.*\n/, "")],
  ])("with %s goes on, without core files", async (_what, status) => {
    const { native, calls, target } = rig({ NODE_OPTIONS: "kept" });
    await confine(native, target, () => [status, status]);
    expect(calls).toEqual(["processLock"]);
    expect(target.env).toEqual({ NODE_OPTIONS: "kept" });
  });

  it("passes the check, which refuses one thread with more", () => {
    expect(() => checkConfined([CONFINED, CONFINED])).not.toThrow();
    expect(() => checkConfined([CONFINED, ROOT])).toThrow(/a thread has other privileges/);
  });
});

function thread({ prm, eff = prm, inh = prm, privileges = 1 }: ThreadState): string {
  const sets = `CapInh:\t${privileges === 0 ? "0000000000000000" : inh}\nCapPrm:\t${prm}\nCapEff:\t${eff}\n`;
  return `Name:\tnode\n${sets}NoNewPrivs:\t${privileges}\nSeccomp:\t0\n`;
}

interface ThreadState {
  readonly prm: string;
  readonly eff?: string;
  readonly inh?: string;
  readonly privileges?: 0 | 1;
}

/** A process whose calls are written down; an exec comes back, as it never does. */
function rig(env: Record<string, string> = {}, script = "/opt/main.js") {
  const calls: string[] = [];
  const note = (text: string) => {
    calls.push(text);
    return 0;
  };
  const native: ConfineNative = {
    privilegesDrop: (kept) => note(`privilegesDrop ${kept}`),
    processLock: () => note("processLock"),
    signalsLeave: () => note("signalsLeave"),
    processExec: (path, args, descriptors) =>
      note(`processExec ${textsIn(path).join()} [${textsIn(args).join(" ")}] ${descriptors}`),
    errnoName: () => "EPERM",
  };
  const target = {
    pid: PID,
    env: { ...env } as Record<string, string | undefined>,
    execPath: "/usr/bin/node",
    argv0: "iptun",
    execArgv: ["--flag"],
    argv: ["/usr/bin/node", script, "--config", "a.toml"],
  };
  return { native, calls, target };
}

/** Only what lies in /nonexistent cannot be read. */
function access(path: string): void {
  if (path.startsWith("/nonexistent/")) throw new Error("ENOENT");
}

function textsIn(bytes: Uint8Array): readonly string[] {
  return new TextDecoder().decode(bytes).split("\0").slice(0, -1);
}
