/** A source whose first piece is read before it is known what is to be done with it. */
import { BackstopError } from '../../base/error.ts';
import type { ByteSource } from '../../storage/storage.ts';

export class HeldSource implements ByteSource {
  readonly #source: ByteSource;
  readonly #buffer: Uint8Array;
  #held = 0;
  #isPending = false;

  /** @param buffer where the piece is read to, and what all later reads must be given */
  constructor(source: ByteSource, buffer: Uint8Array) {
    this.#source = source;
    this.#buffer = buffer;
  }

  /** Fills the buffer as far as there is something. @returns bytes in it */
  async fill(): Promise<number> {
    while (this.#held < this.#buffer.length) {
      const reading = this.#source.read(this.#held === 0 ? this.#buffer : this.#buffer.subarray(this.#held));
      const count = typeof reading === 'number' ? reading : await reading;
      if (count === 0) break;
      this.#held += count;
    }
    this.#isPending = true;
    return this.#held;
  }

  /** Gives what is in the buffer once more. Only for a source that ended within it. */
  rewind(): void {
    this.#isPending = true;
  }

  read(into: Uint8Array): number | Promise<number> {
    if (!this.#isPending) return this.#source.read(into);
    // the piece is where the pump wants it already
    if (into.buffer !== this.#buffer.buffer || into.byteOffset !== this.#buffer.byteOffset) {
      throw new BackstopError('assert', 'a held source is read into another buffer');
    }
    this.#isPending = false;
    return this.#held;
  }

  close(): void | Promise<void> {
    return this.#source.close();
  }
}
