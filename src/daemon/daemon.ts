/**
 * The daemon: joins the control side to this process and sees to it that the process ends in time.
 *
 * It returns the exit code instead of exiting; only two ways go past that: an exception while stopping,
 * and the hard limit after which a shutdown that hangs is cut short (the kernel then takes the device and
 * the keys' memory; a control socket that stays behind is replaced at the next start).
 */
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { spawnEngine } from "../engine/spawn.ts";
import { loadNative } from "../io/native.ts";
import { createLog, type Log } from "../log.ts";
import type { ControlEnvironment } from "./control-environment.ts";
import { ControlSide } from "./control-side.ts";
import { DaemonError, EXIT, messageOf } from "./failure.ts";
import { runHook } from "./hooks/hook-process.ts";
import { Hooks } from "./hooks/hooks.ts";
import { lookAtDevice } from "./host/device-look.ts";
import { GivenNetwork } from "./host/given-network.ts";
import { runProcess } from "./host/ip-command.ts";
import { Journal } from "./host/journal.ts";
import { Network } from "./host/network.ts";
import { listenForNews } from "./host/network-news.ts";
import { KERNEL_SYSCTL } from "./host/sysctl.ts";
import { together } from "./observers.ts";
import { checkConfined } from "./process/confine.ts";
import { type ExitRequest, listenForExit } from "./process/exit-request.ts";
import { loadNodeId } from "./process/node-id.ts";
import { Notifier, type ServiceManager, takeServiceManager } from "./process/notifier.ts";
import { checkPrivileges } from "./process/privileges.ts";
import { controlSocketPath, prepareRuntimeDir, runtimeDir } from "./process/runtime-dir.ts";
import { EndpointKeeper } from "./succession/endpoint-keeper.ts";
import { type StartedWith, takeInherited } from "./succession/inherited.ts";
import { LastEndpoints } from "./succession/last-endpoints.ts";
import { findPredecessor, type Predecessor } from "./succession/take-over.ts";
import { startTimer } from "./timers.ts";
import { readVersion } from "./version.ts";
import { processReader } from "./web/process-reading.ts";

/** Milliseconds from the wish to end until the process ends whatever it still waits for. */
export const HARD_LIMIT_MS = 900;

/**
 * Runs one tunnel until it ends; resolves to the exit code. Takes the configuration's keys and wipes them.
 * `isReplacing`: in place of the process that runs it now, if there is one.
 */
export async function runDaemon(config: Config, isReplacing: boolean): Promise<number> {
  const log = createLog(config.log);
  const running: { side?: ControlSide } = {};
  const exit = listenForExit(log, process, () => {
    if (running.side !== undefined) running.side.reloadBySignal();
    else log.warn("not reloaded: the tunnel is still starting");
  });
  try {
    closeDebugger(log);
    process.umask(0o077);
    checkConfined();
    const manager = takeServiceManager(process.env, process.pid);
    const mayManage = await checkPrivileges(config, async (device) => {
      return (await lookAtDevice(device)) !== undefined;
    });
    prepareRuntimeDir(runtimeDir());
    const startedWith = takeInherited(loadNative(), process.env, process.pid);
    // Whoever has given the control socket has this process for the one that answers there.
    const isAlone = !isReplacing || startedWith.control !== undefined;
    const predecessor = isAlone ? undefined : await runningDaemon(config, log);
    const circumstances = { mayManage, predecessor, manager, startedWith };
    const environment = controlEnvironment(config, log, circumstances);
    running.side = new ControlSide(config, log, environment);
    return await supervise(running.side, exit, log);
  } catch (error) {
    return reportFailure(error, log);
  } finally {
    await log.close();
    exit.release();
  }
}

/**
 * A SIGUSR1 that came before any listener opens Node's debugger a little later, maybe after main.ts has
 * looked. Undefined in a Node that was built without one.
 */
function closeDebugger(log: Log): void {
  const inspector = process.getBuiltinModule("node:inspector");
  if (inspector?.url() === undefined) return;
  inspector.close();
  log.warn("Node's debugger had been opened (by a signal or an option): closed it");
}

/** Starts, waits for a reason to end, and stops; the exit code. */
async function supervise(side: ControlSide, exit: ExitRequest, log: Log): Promise<number> {
  const code = await untilEnd(side, exit).catch((error: unknown) => reportFailure(error, log));
  const cancel = startTimer(HARD_LIMIT_MS, () => {
    log.error("stopping takes too long: ended");
    process.exit(code);
  });
  await side.stop();
  cancel();
  // A failure has had its one line.
  if (code === EXIT.OK) log.info("stopped");
  return code;
}

async function untilEnd(side: ControlSide, exit: ExitRequest): Promise<number> {
  // A signal while starting ends the start; what had begun is undone by `stop`.
  const started = side.start().then(() => checkConfined());
  const code = await Promise.race([started, side.ended, exit.requested]);
  const handedOver = side.handedOver.then(() => EXIT.OK);
  return code ?? (await Promise.race([side.ended, exit.requested, handedOver]));
}

function reportFailure(error: unknown, log: Log): number {
  if (error instanceof DaemonError) {
    log.error(error.message);
    return error.exitCode;
  }
  log.error(`internal error: ${messageOf(error)}`);
  if (error instanceof Error) log.debug(error.stack ?? "no stack");
  return EXIT.FAILURE;
}

/** What is found out before the control side is made. */
interface Circumstances {
  /** Whether this process may change the network. */
  readonly mayManage: boolean;
  readonly predecessor: Predecessor | undefined;
  readonly manager: ServiceManager | undefined;
  readonly startedWith: StartedWith;
}

/** The process whose place this one is to take; undefined: there is none. */
async function runningDaemon(config: Config, log: Log): Promise<Predecessor | undefined> {
  const socketPath = controlSocketPath(config.interface.name);
  const found = await findPredecessor(loadNative(), socketPath);
  if (found === undefined) log.info("no process to replace: started as usual");
  return found;
}

function controlEnvironment(
  config: Config,
  log: Log,
  { mayManage, predecessor, manager, startedWith }: Circumstances,
): ControlEnvironment {
  const native = loadNative();
  const { name, stateDir, mtu } = config.interface;
  const isMtuWanted = mtu !== "auto";
  const file = resolve(config.file);
  const lastEndpoints = new LastEndpoints(stateDir, name);
  return {
    spawn: spawnEngine,
    runProcess,
    lookup: async (host, family) => {
      const answers = await lookup(host, { all: true, family });
      return answers.map((answer) => answer.address);
    },
    interfaces: networkInterfaces,
    linkMtu: (device) => native.linkMtu(device),
    look: lookAtDevice,
    makeNetwork: (wanted, before) =>
      mayManage
        ? new Network(wanted, before, runProcess)
        : new GivenNetwork({ wanted, isMtuWanted, look: lookAtDevice, log }),
    listenForNews: listenForNews(native),
    observer: together(
      [
        new Notifier({ manager, native, startTimer, monotonicMicros, log }),
        new EndpointKeeper({ lastEndpoints, startTimer, log }),
        new Hooks({
          ...{ hooks: config.hooks, interfaceName: config.interface.name, startTimer, log },
          run: (command, variables, limitMs) => runHook(command, variables, limitMs, startTimer),
        }),
      ],
      log,
    ),
    loadConfig: () => loadConfig(file),
    loadNodeId,
    journal: new Journal(stateDir, name),
    sysctl: KERNEL_SYSCTL,
    socketPath: controlSocketPath(name),
    ...{ startedWith, predecessor },
    lastEndpoints,
    send: (path, descriptors) =>
      native.notify(new TextEncoder().encode(path), Uint8Array.of(0), Int32Array.from(descriptors)),
    errnoName: (errno) => native.errnoName(errno),
    startTimer,
    nowMs: () => performance.now(),
    wallMs: Date.now,
    cpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    },
    residentBytes: () => process.memoryUsage.rss(),
    readProcess: processReader(),
    version: readVersion(),
    pid: process.pid,
  };
}

function monotonicMicros(): bigint {
  return process.hrtime.bigint() / 1000n;
}
