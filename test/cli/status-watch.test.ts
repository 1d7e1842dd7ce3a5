/** `iptun status --watch` with a fake clock and a fake terminal: what is drawn when, and how it ends. */
import { describe, expect, it } from "vitest";
import { watch } from "../../src/cli/status-watch.ts";
import { DaemonError, EXIT } from "../../src/daemon/failure.ts";
import { FakeScreen, FakeTerminal, systemError } from "./fake-terminal.ts";
import { peerStatus, statusDocument } from "./status-fixture.ts";

const NOT_RUNNING = new DaemonError("not running (no daemon on x)", EXIT.NOT_RUNNING);

describe("a watch on a terminal", () => {
  it("draws at once, again every second, and ends with the screen closed", async () => {
    const { screen, world, ended } = started();
    await settle();
    expect(screen.drawn).toHaveLength(1);
    world.mtu = 1300;
    await world.tick();
    expect(screen.drawn).toHaveLength(2);
    expect(screen.drawn[1]?.[0]).toContain("mtu 1300");
    screen.press();
    await ended;
    expect(screen.isClosed).toBe(true);
    expect(world.waits).toEqual([1_000, 1_000]);
  });

  it("draws anew when the terminal changes its size", async () => {
    const { screen, ended } = started();
    await settle();
    screen.columns = 30;
    screen.onResize();
    expect(screen.drawn).toHaveLength(2);
    for (const line of screen.drawn[1] ?? []) expect(line.length).toBeLessThanOrEqual(30);
    screen.press();
    await ended;
  });

  it("says that the daemon is gone, keeps what it knew, and goes on when it is back", async () => {
    const { screen, world, ended } = started();
    await settle();
    world.error = NOT_RUNNING;
    await world.tick();
    expect(screen.drawn[1]).toContain("not running (no daemon on x)");
    expect(screen.drawn[1]?.join("\n")).toContain("192.0.2.1:1194");
    world.error = undefined;
    await world.tick();
    expect(screen.drawn[2]).not.toContain("not running (no daemon on x)");
    screen.press();
    await ended;
  });

  it("is not begun where no daemon runs", async () => {
    const world = new World();
    world.error = NOT_RUNNING;
    const terminal = new FakeTerminal();
    terminal.screen = new FakeScreen();
    await expect(watch(world, terminal)).rejects.toBe(NOT_RUNNING);
    expect(terminal.screen.drawn).toEqual([]);
  });

  it("leaves the screen also where something breaks", async () => {
    const { screen, world, ended } = started();
    await settle();
    world.error = new TypeError("a fault");
    await Promise.all([expect(ended).rejects.toThrow("a fault"), world.tick()]);
    expect(screen.isClosed).toBe(true);
  });

  it("does not wait for an answer that is under way, and draws nothing after the end", async () => {
    const { screen, world, ended } = started();
    await settle();
    world.isSilent = true;
    await world.tick();
    screen.press();
    await ended;
    expect([screen.isClosed, screen.drawn.length]).toEqual([true, 1]);
  });

  it("is coloured where the terminal has colour", async () => {
    const { screen, ended } = started({ hasColour: true });
    await settle();
    expect(screen.drawn[0]?.join("\n")).toContain("\u001b[32mup\u001b[0m");
    screen.press();
    await ended;
  });
});

it("a watch that goes to no terminal prints the plain summary until nobody reads", async () => {
  const world = new World();
  const terminal = new FakeTerminal();
  terminal.hasColour = true;
  const ended = watch(world, terminal);
  await settle();
  world.error = NOT_RUNNING;
  await world.tick();
  expect(terminal.stdout).not.toContain("\u001b");
  expect(terminal.stdout).toMatch(
    /^iptun0 {2}up .*\n\n.*\n.*\n\nnot running \(no daemon on x\)\n\n$/s,
  );
  terminal.outError = systemError("EPIPE");
  await Promise.all([expect(ended).rejects.toThrow("EPIPE"), world.tick()]);
});

/** A daemon and a clock. */
class World {
  mtu = 1420;
  error: Error | undefined;
  isSilent = false;
  readonly waits: number[] = [];
  #wake: () => void = () => undefined;

  readonly look = async () => {
    if (this.isSilent) await new Promise(() => undefined);
    if (this.error !== undefined) throw this.error;
    const document = statusDocument([peerStatus()]);
    return {
      document: { ...document, interface: { ...document.interface, mtu: this.mtu } },
      history: { seconds: 60, peers: [] },
    };
  };

  readonly wait = (ms: number) => {
    this.waits.push(ms);
    return new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  };

  /** The wait is over. */
  async tick(): Promise<void> {
    this.#wake();
    await settle();
  }
}

function started(looks: { readonly hasColour?: boolean } = {}) {
  const world = new World();
  const terminal = Object.assign(new FakeTerminal(), looks);
  const screen = new FakeScreen();
  terminal.screen = screen;
  return { world, screen, ended: watch(world, terminal) };
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
