/** A clock that stands still until it is set, or somebody sleeps. */
import type { Clock } from '../../../src/base/clock.ts';

export class FakeClock implements Clock {
  /** Seconds since the epoch. */
  seconds: number;
  #slept = 0;

  constructor(seconds: number) {
    this.seconds = seconds;
  }

  now(): number {
    return this.seconds * 1000;
  }

  monotonic(): number {
    return this.#slept;
  }

  async sleep(milliseconds: number): Promise<void> {
    this.#slept += milliseconds;
    this.seconds += milliseconds / 1000;
    // others get their turn, as in a real sleep
    await new Promise(resolve => setImmediate(resolve));
  }
}
