/** Memory for plain bytes of unknown number, used again and again: what is given back to the collector piles up until it runs. */
export class PlainBytes {
  /** More than this is not kept: few super blocks have it. */
  static readonly #mostKept = 4 * 1024 * 1024;
  #room = Buffer.alloc(0);
  #length = 0;

  /** Valid until clear(). */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    if (this.#room.length > PlainBytes.#mostKept) this.#room = Buffer.alloc(0);
  }

  /** @param most all bytes that will come, at most: memory is taken as they come, for what is said may not be true */
  add(chunk: Uint8Array, most: number): void {
    const length = this.#length + chunk.length;
    if (length > this.#room.length) this.#grow(Math.max(length, Math.min(most, length * 4)));
    this.#room.set(chunk, this.#length);
    this.#length = length;
  }

  #grow(size: number): void {
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.bytes);
    this.#room = larger;
  }
}
