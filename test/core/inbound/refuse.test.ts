/** Who pays for a datagram that failed: its source, unless it failed for want of something of ours. */
import { describe, expect, it } from "vitest";
import { DROP_REASONS, type DropReason } from "../../../src/core/drop-reason.ts";
import { refuse } from "../../../src/core/inbound/refuse.ts";
import { DEFAULT_LIMITS } from "../../../src/core/options.ts";
import { MESSAGE } from "../../../src/core/rows.ts";
import { ipText } from "../../helpers/address.ts";
import { newCore, rowFrom, START, udp } from "../core-fixtures.ts";

const OURS: readonly DropReason[] = ["handshake_budget", "group_full", "key_table_full", "no_room"];
const EMPTY: readonly DropReason[] = ["source_limited", "open_limited"];
const ALL = Object.keys(DROP_REASONS) as DropReason[];

describe("a datagram that is refused", () => {
  it("is counted, and its source is charged", () => {
    for (const reason of ALL.filter((one) => !OURS.includes(one) && !EMPTY.includes(one))) {
      expect(afterRefusal(reason), reason).toEqual({ charged: 2, refused: 0 });
    }
  });

  it("for want of something of ours costs its source nothing", () => {
    for (const reason of OURS) {
      expect(afterRefusal(reason), reason).toEqual({ charged: 1, refused: 0 });
    }
  });

  it("because its source has nothing left is noted, not charged again", () => {
    for (const reason of EMPTY) {
      expect(afterRefusal(reason), reason).toEqual({ charged: 1, refused: 1 });
    }
  });
});

/** What is known of a source, in the second of two rows, that was charged once and then refused for a reason. */
function afterRefusal(reason: DropReason): object {
  const state = newCore({ limits: { ...DEFAULT_LIMITS, sources: 4 } });
  const from = "192.0.2.7";
  const { rows, base } = rowFrom(udp(from));
  state.sources.charge(rows, base + MESSAGE.REMOTE, START);
  const dropped = state.drops[reason];
  refuse(state, reason, rows, base, START);
  expect(state.drops[reason], reason).toBe(dropped + 1);
  const known = state.sources.snapshot().find(({ address }) => ipText(address) === from);
  return { charged: known?.charged, refused: known?.refused };
}
