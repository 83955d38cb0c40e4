/** Buffers of parts, used again by all uploads of a thread: new ones would wait for the collector, and be most of its work. */

/** Most that are kept for the next part. */
const mostKept = 2;

export class PartBuffers {
  readonly #free: Buffer[] = [];

  /** @returns a buffer with room for so many bytes, of any content */
  take(size: number): Buffer {
    const at = this.#free.findIndex(({ length }) => length >= size && length <= 2 * size);
    return this.#free.splice(at, at < 0 ? 0 : 1)[0] ?? Buffer.allocUnsafe(size);
  }

  /** Nobody reads or writes it any more. */
  give(buffer: Buffer): void {
    if (this.#free.length < mostKept) this.#free.push(buffer);
  }
}
