/** Bounds the bytes that a thread holds on their way to and from the service, over all files that are open. */

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

export class ByteBudget {
  #free: number;
  readonly #total: number;
  readonly #queue: Waiting[] = [];

  constructor(total: number) {
    this.#total = total;
    this.#free = total;
  }

  /** Takes what is there now. @returns false when it is not */
  tryTake(bytes: number): boolean {
    if (this.#queue.length > 0 || !this.#fits(bytes)) return false;
    this.#free -= bytes;
    return true;
  }

  /** Waits for its turn. More than the whole is given once nothing else is out. */
  async take(bytes: number): Promise<void> {
    if (this.tryTake(bytes)) return;
    await new Promise<void>(go => this.#queue.push({ bytes, go }));
  }

  give(bytes: number): void {
    this.#free += bytes;
    for (;;) {
      const [first] = this.#queue;
      if (first === undefined || !this.#fits(first.bytes)) return;
      this.#queue.shift();
      this.#free -= first.bytes;
      first.go();
    }
  }

  #fits(bytes: number): boolean {
    return bytes <= this.#free || this.#free === this.#total;
  }
}
