/**
 * Memory of one size for bytes on their way, used again and again: new memory would wait for the collector, which sees how
 * small the objects are that hold it, and not how much there is.
 */

export class Slabs {
  /** Bytes of each. */
  readonly size: number;
  readonly #most: number;
  readonly #free: Buffer[] = [];

  /** @param most how many that are not in use are kept */
  constructor(size: number, most: number) {
    this.size = size;
    this.#most = most;
  }

  /** @returns memory of any content */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** Nobody reads or writes it any more. What was not taken here is left to the collector. */
  give(slab: Buffer): void {
    if (slab.length === this.size && this.#free.length < this.#most) this.#free.push(slab);
  }
}
