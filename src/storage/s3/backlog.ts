/**
 * Bytes of an answer that have come and that nobody has taken yet, and how many of them a thread may have. They are copied into
 * memory that is used again: what Node reads into would grow old while it waits here, and the collector seldom looks at
 * what is old.
 */
import { YoungMemory } from '../../base/young-memory.ts';
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';

/** Bytes of one answer that may lie here, as long as all together are few; then so many. */
const ownLimit = 2 * 1024 * 1024;
const leastOwn = 256 * 1024;

const slabSize = 64 * 1024;

/** What the backlogs of a thread share. */
export class Backlogs {
  readonly slabs: BufferPool;
  readonly #limit: number;
  readonly #young = new YoungMemory();
  #size = 0;

  /** @param limit bytes after which each answer may have few only */
  constructor(limit: number) {
    this.#limit = limit;
    this.slabs = bufferPool(slabSize, Math.ceil((2 * limit) / slabSize));
  }

  came(bytes: number): void {
    this.#size += bytes;
    this.#young.allocated(bytes);
  }

  went(bytes: number): void {
    this.#size -= bytes;
  }

  /** Bytes that a single answer may have now. */
  get allowed(): number {
    return this.#size < this.#limit ? ownLimit : leastOwn;
  }
}

export class Backlog {
  readonly #all: Backlogs;
  /** Full, but for the last one. */
  readonly #slabs: Buffer[] = [];
  /** Bytes of the first slab that were taken. */
  #taken = 0;
  /** Bytes that the last slab has room for. */
  #room = 0;
  #size = 0;

  constructor(all: Backlogs) {
    this.#all = all;
  }

  get size(): number {
    return this.#size;
  }

  /** Is there so much that no more should come? */
  get isFull(): boolean {
    return this.#size >= this.#all.allowed;
  }

  /** Is there so little that more should come? */
  get isLow(): boolean {
    return this.#size < this.#all.allowed / 2;
  }

  /** Takes a copy. */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#room === 0) {
        this.#slabs.push(this.#all.slabs.take());
        this.#room = slabSize;
      }
      const count = Math.min(this.#room, chunk.length - at);
      this.#slabs.at(-1)?.set(chunk.subarray(at, at + count), slabSize - this.#room);
      this.#room -= count;
      at += count;
    }
    this.#size += chunk.length;
    this.#all.came(chunk.length);
  }

  /** Copies what is there, as far as there is room. @returns how many bytes */
  take(into: Uint8Array): number {
    const wanted = Math.min(this.#size, into.length);
    for (let filled = 0; filled < wanted; ) {
      const [slab] = this.#slabs;
      if (slab === undefined) throw new RangeError('there are fewer bytes than were counted');
      const end = this.#slabs.length === 1 ? slabSize - this.#room : slabSize;
      const count = Math.min(end - this.#taken, wanted - filled);
      into.set(slab.subarray(this.#taken, this.#taken + count), filled);
      filled += count;
      this.#taken += count;
      if (this.#taken === end) this.#drop();
    }
    this.#size -= wanted;
    this.#all.went(wanted);
    return wanted;
  }

  clear(): void {
    while (this.#slabs.length > 0) this.#drop();
    this.#all.went(this.#size);
    this.#size = 0;
  }

  #drop(): void {
    const slab = this.#slabs.shift();
    if (slab !== undefined) this.#all.slabs.give(slab);
    this.#taken = 0;
    if (this.#slabs.length === 0) this.#room = 0;
  }
}
