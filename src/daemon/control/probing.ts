/**
 * What an operator can ask of the paths to peers: pings and speed tests, as resources of the control socket.
 */
import type { JsonResource } from "./control-answer.ts";
import { Pings } from "./pings.ts";
import { type SpeedEnvironment, type SpeedSide, SpeedTests } from "./speed-tests.ts";

/** Both, of one daemon. */
export class Probing {
  readonly #pings: Pings;
  readonly #speedTests: SpeedTests;

  /** `side` throws while there is no engine. */
  constructor(side: () => SpeedSide, environment: SpeedEnvironment) {
    this.#pings = new Pings(() => side().link, environment);
    this.#speedTests = new SpeedTests(side, environment);
  }

  resources(): readonly JsonResource[] {
    return [this.#pings.resource(), ...this.#speedTests.resources()];
  }

  /** Nobody is waited for any more. */
  close(): void {
    this.#speedTests.close();
  }
}
