/**
 * Reload and confirmation on the control socket.
 *
 * The daemon reads the file that it was started with, with its own rights: a client says when, never what.
 */

import { DaemonError } from "../failure.ts";
import { LONGEST_CONFIRM_SECONDS, type Reloader } from "../reload/reloader.ts";
import { RequestError, type Resource } from "./control-answer.ts";
import { API_PATH } from "./control-paths.ts";

/** Milliseconds in which a reload is answered: `ip` and `nft` may be slow on a busy host. */
export const RELOAD_LIMIT_MS = 30_000;

/** A reload that was kept. */
export interface ConfirmDocument {
  readonly outcome: "confirmed";
}

/** What can be asked for; `reloader`: undefined until the tunnel has started. */
export function reloadResources(reloader: () => Reloader | undefined): readonly Resource[] {
  const running = () => {
    const found = reloader();
    if (found !== undefined) return found;
    throw new DaemonError("the tunnel is still starting");
  };
  return [
    {
      ...{ method: "POST", path: API_PATH.reload, parameters: ["confirm"] },
      limitMs: RELOAD_LIMIT_MS,
      answer: async (query) => {
        const seconds = confirmSeconds(query);
        return await running().reload(seconds);
      },
    },
    {
      ...{ method: "POST", path: API_PATH.confirm, limitMs: RELOAD_LIMIT_MS },
      answer: async (): Promise<ConfirmDocument> => {
        await running().confirm();
        return { outcome: "confirmed" };
      },
    },
  ];
}

/** The `confirm` of a query as whole seconds; undefined: none. */
function confirmSeconds(query: URLSearchParams): number | undefined {
  const text = query.get("confirm");
  if (text === null) return undefined;
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= LONGEST_CONFIRM_SECONDS) return seconds;
  throw new RequestError(
    `confirm is ${JSON.stringify(text)}; expected whole seconds from 1 to ${LONGEST_CONFIRM_SECONDS}`,
  );
}
