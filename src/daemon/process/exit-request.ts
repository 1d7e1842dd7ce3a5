/**
 * Why the process should end: signals and exceptions that nobody handled, as one promise.
 *
 * SIGTERM, SIGINT and SIGQUIT (whose core would hold the keys) ask for an orderly end. Repeats change
 * nothing: `timeout` and npx send the same signal twice within milliseconds, and the daemon bounds the
 * end's time anyway. SIGUSR1 has a listener because without one Node opens its debugger on a local port.
 * The trap: an exception handler that throws, or that lets the process go on, is worse than none:
 * everything ends in an exit.
 */
import type { Log } from "../../log.ts";
import { EXIT } from "../failure.ts";

/** The part of `process` that is used. */
export interface ProcessEvents {
  listeners(event: string): unknown[];
  on(event: string, listener: (argument: unknown) => void): unknown;
  off(event: string, listener: (argument: unknown) => void): unknown;
  exit(code: number): void;
}

export interface ExitRequest {
  /** Resolves to the exit code at the first reason to end. */
  readonly requested: Promise<number>;
  /** Takes all listeners off. */
  readonly release: () => void;
}

/** Listens for reasons to end; `reload` is called where the configuration is to be read anew. */
export function listenForExit(log: Log, target: ProcessEvents, reload: () => void): ExitRequest {
  let resolve: (code: number) => void = () => undefined;
  const requested = new Promise<number>((onResolve) => {
    resolve = onResolve;
  });
  let isRequested = false;
  const request = (code: number) => {
    isRequested = true;
    resolve(code);
  };
  const terminate = (signal: unknown) => {
    if (isRequested) return log.debug(`${String(signal)}: already stopping`);
    log.info(`${String(signal)}: stopping`);
    request(EXIT.OK);
  };
  const crash = (thrown: unknown) => {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    log.error(`internal error: ${error.message}`);
    log.debug(error.stack ?? "no stack");
    if (isRequested) target.exit(EXIT.FAILURE);
    request(EXIT.FAILURE);
  };
  return {
    requested,
    release: listen(target, {
      SIGTERM: terminate,
      SIGINT: terminate,
      SIGQUIT: terminate,
      SIGHUP: () => {
        log.info("SIGHUP: reading the configuration anew");
        reload();
      },
      SIGUSR1: () => log.debug("SIGUSR1 is ignored"),
      SIGUSR2: () => log.info("SIGUSR2 is ignored"),
      uncaughtException: crash,
      unhandledRejection: crash,
    }),
  };
}

type Listeners = Readonly<Record<string, (argument: unknown) => void>>;

/**
 * Listens in place of whoever listened before, because one line and one orderly end are wanted. Never is
 * a signal without a listener meanwhile: it would end the process.
 */
function listen(target: ProcessEvents, listeners: Listeners): () => void {
  const undo = Object.entries(listeners).map(([event, listener]) => {
    const others = target.listeners(event).filter(isListener);
    target.on(event, listener);
    for (const other of others) target.off(event, other);
    return () => {
      for (const other of others) target.on(event, other);
      target.off(event, listener);
    };
  });
  return () => {
    for (const action of undo) action();
  };
}

function isListener(value: unknown): value is (argument: unknown) => void {
  return typeof value === "function";
}
