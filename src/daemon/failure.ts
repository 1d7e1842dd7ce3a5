/**
 * A failure that ends the daemon: one line for the operator and the exit code that goes with it.
 *
 * Not for network input (a drop reason) and not for the configuration (a ConfigError). The message is
 * complete by itself and never holds a secret.
 */

/** Exit codes of the command. */
export const EXIT = { OK: 0, FAILURE: 1, NOT_RUNNING: 3, NO_PERMISSION: 4 } as const;

/** Ends the daemon with a line and an exit code. */
export class DaemonError extends Error {
  override readonly name = "DaemonError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.FAILURE, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The errno name of a system error, such as "ENOENT". */
export function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
