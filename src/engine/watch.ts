/**
 * Readiness of a descriptor through the addon's uv_poll, as the engine's `Watch`.
 *
 * The addon's answers are -errno; none can fail on an open descriptor, so a failure here is a bug and is
 * thrown.
 */
import { IoError } from "../io/io-error.ts";
import type { Native } from "../io/native.ts";
import type { OnReady, Watch } from "./ports.ts";

/** UV_READABLE. */
const READABLE = 1;

/** Watches `fd` for readability on this thread's loop; `object` names it in errors. */
export function watchDescriptor(
  native: Pick<Native, "watch" | "watchEvents" | "unwatch" | "errnoName">,
  fd: number,
  object: string,
  onReady: OnReady,
): Watch {
  const check = (result: number): number => {
    if (result >= 0) return result;
    throw new IoError("watch descriptor", object, native.errnoName(result));
  };
  const watch = check(native.watch(fd, READABLE, (events) => onReady(events < 0)));
  return {
    pause: () => void check(native.watchEvents(watch, 0)),
    resume: () => void check(native.watchEvents(watch, READABLE)),
    close: () => void check(native.unwatch(watch)),
  };
}
