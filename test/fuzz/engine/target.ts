/** What the engine needs of a fuzz target. */
import type { Operation } from "./program.ts";

export interface Target {
  /** Kinds of operation that new ones are made of; one that is there twice is made twice as often. */
  readonly kinds: readonly number[];
  /** Programs that show each kind of operation at work. */
  seeds(): readonly (readonly Operation[])[];
  /** Begins with new state. */
  begin(): void | Promise<void>;
  /** Does one operation; throws what is wrong. */
  run(operation: Operation): void | Promise<void>;
  /** Whether the state is still worth more programs; else `begin` is called first. */
  isFit(): boolean;
  /** Gives back what it holds outside of memory. */
  close?(): void | Promise<void>;
  /** Things done so far that its figures should tell, by name. */
  counts(): Readonly<Record<string, number>>;
}
