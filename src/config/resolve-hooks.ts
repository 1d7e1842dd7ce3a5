/**
 * The `[hooks]` table: which program runs at which event. Whether it is there is asked by `check` (daemon/hooks/hook-warnings.ts).
 */
import { isAbsolute } from "node:path";
import { SECOND_MS } from "../core/time.ts";
import type { HookKind, HooksConfig } from "./config.ts";
import type { Settings } from "./schema.ts";
import type { Report } from "./settings.ts";
import { shown } from "./shown.ts";

/** The hooks, without those that were reported. */
export function resolveHooks(settings: Settings["hooks"], report: Report): HooksConfig {
  const command = (kind: HookKind): readonly string[] => {
    const words = settings[kind].filter((word) => word !== null);
    const [file] = words;
    if (file === undefined || isAbsolute(file)) return words;
    const expected =
      'expected the absolute path of a program and its arguments, such as ["/etc/iptun/up"]';
    report(
      ["hooks", kind, 0],
      `${shown(file)} is no absolute path; ${expected}; there is no shell`,
    );
    return [];
  };
  return {
    commands: {
      up: command("up"),
      down: command("down"),
      peer_up: command("peer_up"),
      peer_down: command("peer_down"),
      endpoint_changed: command("endpoint_changed"),
      quality: command("quality"),
    },
    qualityLoss: settings.quality_loss,
    qualityRttMs: settings.quality_rtt_ms,
    timeoutMs: settings.hook_timeout_seconds * SECOND_MS,
  };
}
