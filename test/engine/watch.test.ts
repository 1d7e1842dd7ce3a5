/**
 * Readiness over the addon's contract, with a fake addon.
 */
import { describe, expect, it } from "vitest";
import { watchDescriptor } from "../../src/engine/watch.ts";
import { IoError } from "../../src/io/io-error.ts";

describe("a watched descriptor", () => {
  it("reports readiness, and a negative number as broken", () => {
    const native = new FakeNative();
    const calls: boolean[] = [];
    watchDescriptor(native, 5, "iptun0", (isBroken) => calls.push(isBroken));

    native.onReady(1);
    native.onReady(-9);

    expect(calls).toEqual([false, true]);
    expect(native.calls).toEqual(["watch 5 1"]);
  });

  it("pauses, resumes and ends by the addon's watch id", () => {
    const native = new FakeNative();
    const watch = watchDescriptor(native, 5, "iptun0", () => undefined);

    watch.pause();
    watch.resume();
    watch.close();

    expect(native.calls.slice(1)).toEqual(["events 3 0", "events 3 1", "unwatch 3"]);
  });

  it("that cannot be watched is an error that names it", () => {
    const native = new FakeNative();
    native.answer = -24;

    const attempt = () => watchDescriptor(native, 5, "iptun0", () => undefined);

    expect(attempt).toThrow(IoError);
    expect(attempt).toThrow("cannot watch descriptor iptun0: E24");
  });
});

class FakeNative {
  answer = 3;
  readonly calls: string[] = [];
  onReady: (events: number) => void = () => undefined;
  watch(fd: number, events: number, onReady: (events: number) => void): number {
    this.calls.push(`watch ${fd} ${events}`);
    this.onReady = onReady;
    return this.answer;
  }
  watchEvents(watch: number, events: number): number {
    this.calls.push(`events ${watch} ${events}`);
    return 0;
  }
  unwatch(watch: number): number {
    this.calls.push(`unwatch ${watch}`);
    return 0;
  }
  errnoName(errno: number): string {
    return `E${Math.abs(errno)}`;
  }
}
