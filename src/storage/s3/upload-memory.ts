/**
 * Bounds the bytes of all files that a thread has on their way to the service: those that are gathered, and those that are
 * sent and not yet answered.
 */
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';

/** Bytes of a piece: a part of 5 MiB is 40 of them. */
const slabSize = 128 * 1024;

export class UploadMemory {
  readonly #slabs: BufferPool;
  /** Slabs that may still be taken; less than none while somebody took more, and is to wait. */
  #free: number;
  /** Slabs whose bytes are being sent: they come back by themselves. */
  #sending = 0;
  #waiting: (() => void)[] = [];
  /** Files that are gathered. */
  #files = 0;

  /** @param total bytes */
  constructor(total: number) {
    this.#free = Math.max(1, Math.floor(total / slabSize));
    // twice: what is taken beyond the bound comes back, too
    this.#slabs = bufferPool(slabSize, 2 * this.#free);
  }

  /** A file begins, and may have all that there is as long as it is the only one. */
  begin(): void {
    this.#files++;
  }

  /** Nothing more comes of a file. */
  end(): void {
    this.#files--;
  }

  get isShared(): boolean {
    return this.#files > 1;
  }

  /** Who takes looks at isShort afterwards. */
  take(): Buffer {
    this.#free--;
    return this.#slabs.take();
  }

  /** Is more in use than there should be? */
  get isShort(): boolean {
    return this.#free < 0;
  }

  /** Waits until there is some, or nothing is being sent: those who gather would wait for each other. */
  async enough(): Promise<void> {
    while (this.isShort && this.#sending > 0) await new Promise<void>(go => this.#waiting.push(go));
  }

  /** The bytes in them are being sent. */
  send(slabs: readonly Buffer[]): void {
    this.#sending += slabs.length;
  }

  /** @param isIdle nobody holds them any more; else they are left to the collector */
  sent(slabs: readonly Buffer[], isIdle: boolean): void {
    this.#sending -= slabs.length;
    this.give(slabs, isIdle);
  }

  /** What was never sent. */
  give(slabs: readonly Buffer[], isIdle = true): void {
    this.#free += slabs.length;
    if (isIdle) for (const slab of slabs) this.#slabs.give(slab);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
}
