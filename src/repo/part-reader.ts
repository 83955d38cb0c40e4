/**
 * Reads parts of a repository's files one after another, with few requests: parts that lie near each other in one file come
 * from one read that covers them, and on a storage that is far away the next reads are begun while one is worked on.
 *
 * Memory does not grow with the parts: what is read streams through the caller's buffer.
 */
import { isBackstopError, isKind } from '../base/error.ts';
import type { ByteSource, Storage } from '../storage/storage.ts';
import { isObjectStore } from './object-store.ts';

/** Where bytes lie. */
export interface StoredPart {
  readonly path: string;
  readonly offset: number;
  /** Absent: up to the end of the file. */
  readonly length?: number;
  /** Bytes that the part should have, where it has no length. */
  readonly expected?: number;
}

/**
 * Bytes between two parts that are read for nothing, rather than by another request. A request costs 5 to 100 ms, in which a
 * connection of 10 MB/s, a slow one, brings 64 KiB at least.
 */
const largestGap = 64 * 1024;

/** Reads that are begun ahead of their turn on an object store, and the bytes that they may have together. */
const readsAhead = 16;
const bytesAhead = 8 * 1024 * 1024;

/** One read that covers parts from `first` to before `end`. */
interface Run {
  readonly first: number;
  readonly end: number;
  readonly path: string;
  readonly offset: number;
  readonly length?: number;
  /** Bytes that will probably come. */
  readonly bytes: number;
}

/** A run that was begun. */
interface BegunRun {
  readonly run: Run;
  readonly opening: Promise<ByteSource>;
}

export class PartReader {
  readonly #storage: Storage;
  readonly #parts: readonly StoredPart[];
  readonly #runs: readonly Run[];
  readonly #ahead: number;
  /** Runs that were begun and whose turn has not come, in order. */
  readonly #begun: BegunRun[] = [];
  #nextRun = 0;
  /** A read of a file that is not there: no part of it need be asked for again. */
  #missing: { readonly run: Run; readonly error: unknown } | undefined;
  #current: { readonly run: Run; readonly source: ByteSource; position: number } | undefined;

  /** @param parts in the order in which they will be opened; those of one file that follow each other are read together */
  constructor(storage: Storage, parts: readonly StoredPart[]) {
    this.#storage = storage;
    this.#parts = parts;
    this.#runs = planRuns(parts);
    this.#ahead = isObjectStore(storage) ? readsAhead : 0;
  }

  /**
   * Opens a part; those that are opened come in the order of the list. What was not read of the one before is passed over.
   * Closing the source is not needed, and does no harm.
   * @throws as reading the storage does; the next part can be opened all the same
   */
  async open(index: number): Promise<ByteSource> {
    const part = this.#parts[index];
    if (part === undefined) throw new RangeError(`there is no part ${index}`);
    if (this.#current === undefined || index >= this.#current.run.end) await this.#openRun(index, part);
    else await this.#passTo(part, index);
    return this.#sourceOf(part);
  }

  /** Ends all reads. */
  async close(): Promise<void> {
    await this.#drop();
    for (const { opening } of this.#begun.splice(0)) await closeWhenOpen({ opening });
  }

  async #openRun(index: number, part: StoredPart): Promise<void> {
    await this.#drop();
    // what nobody wanted a part of
    while (this.#begun[0] !== undefined && this.#begun[0].run.end <= index) await closeWhenOpen(this.#begun.shift());
    while ((this.#runs[this.#nextRun]?.end ?? Number.POSITIVE_INFINITY) <= index) this.#nextRun++;
    const begun = this.#begun[0]?.run.first ?? this.#runs[this.#nextRun]?.first ?? Number.POSITIVE_INFINITY;
    // the read that covered it has failed
    if (begun > index) return await this.#readAnew(part, index);
    const next = this.#begun.shift() ?? this.#begin();
    if (next === undefined) throw new RangeError(`part ${index} comes too late`);
    this.#beginAhead();
    const { run, opening } = next;
    try {
      this.#current = { run, source: await opening, position: run.offset };
    } catch (error) {
      if (isKind(error, 'file-missing')) this.#missing = { run, error };
      throw error;
    }
    await this.#passTo(part, index);
  }

  #begin(): BegunRun | undefined {
    const run = this.#runs[this.#nextRun++];
    if (run === undefined) return undefined;
    const opening = this.#open(run);
    // a failure is told when the turn of its part comes
    opening.catch(() => undefined);
    return { run, opening };
  }

  #open({ path, offset, length }: Run): Promise<ByteSource> {
    return this.#storage.read(path, { offset, ...(length === undefined ? {} : { length }) });
  }

  #beginAhead(): void {
    let bytes = 0;
    for (const { run } of this.#begun) bytes += run.bytes;
    while (this.#begun.length < this.#ahead) {
      const next = this.#runs[this.#nextRun];
      bytes += next?.bytes ?? 0;
      if (next === undefined || (bytes > bytesAhead && this.#begun.length > 0)) return;
      const begun = this.#begin();
      if (begun !== undefined) this.#begun.push(begun);
    }
  }

  /** Goes on to where a part of the current run begins; what is too far away, or behind, is read anew. */
  async #passTo(part: StoredPart, index: number): Promise<void> {
    const current = this.#current;
    if (current === undefined) return;
    const gap = part.offset - current.position;
    if (gap === 0 || (gap > 0 && gap <= largestGap && (await this.#passOver(gap)))) return;
    await this.#drop();
    await this.#readAnew(part, index);
  }

  /** Reads from a part on to the end of the run that it belongs to. */
  async #readAnew({ path, offset }: StoredPart, index: number): Promise<void> {
    const run = this.#runs.find(({ end }) => end > index);
    if (run === undefined) throw new RangeError(`there is no part ${index}`);
    if (this.#missing?.run === run) throw this.#missing.error;
    const length = run.length === undefined ? {} : { length: run.offset + run.length - offset };
    const rest: Run = { first: index, end: run.end, path, offset, bytes: run.bytes, ...length };
    this.#current = { run: rest, source: await this.#open(rest), position: offset };
  }

  /** @returns false when the bytes cannot be read, which says nothing of those behind them */
  async #passOver(gap: number): Promise<boolean> {
    const waste = Buffer.allocUnsafe(gap);
    try {
      for (let left = gap; left > 0; ) {
        const count = await this.#read(waste.subarray(0, left));
        if (count === 0) return true;
        left -= count;
      }
      return true;
    } catch (error) {
      if (!isBackstopError(error)) throw error;
      return false;
    }
  }

  #sourceOf(part: StoredPart): ByteSource {
    const current = this.#current;
    const end = part.length === undefined ? Number.POSITIVE_INFINITY : part.offset + part.length;
    return {
      read: into => {
        if (current === undefined || current !== this.#current) return 0;
        const left = end - current.position;
        return left <= 0 ? 0 : this.#read(left < into.length ? into.subarray(0, left) : into);
      },
      close: () => undefined,
    };
  }

  #read(into: Uint8Array): number | Promise<number> {
    const current = this.#current;
    if (current === undefined) return 0;
    const took = (count: number): number => {
      current.position += count;
      return count;
    };
    try {
      const reading = current.source.read(into);
      return typeof reading === 'number' ? took(reading) : reading.then(took, error => this.#fail(error));
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** What failed once is opened anew for the next part. */
  async #fail(error: unknown): Promise<never> {
    await this.#drop();
    throw error;
  }

  async #drop(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    await current?.source.close();
  }
}

/** Parts in order, as reads that cover as many of them as lie near each other. Exported for tests. */
export function planRuns(parts: readonly StoredPart[]): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < parts.length; ) {
    const { path, offset, length, expected } = parts[at] as StoredPart;
    const first = at++;
    if (length === undefined) {
      runs.push({ first, end: at, path, offset, bytes: expected ?? bytesAhead });
      continue;
    }
    let last = offset + length;
    for (; at < parts.length; at++) {
      const next = parts[at] as StoredPart;
      if (next.path !== path || next.length === undefined) break;
      // parts that overlap are of a manifest that lies; each is then read for itself
      if (next.offset < last || next.offset - last > largestGap) break;
      last = next.offset + next.length;
    }
    runs.push({ first, end: at, path, offset, length: last - offset, bytes: last - offset });
  }
  return runs;
}

async function closeWhenOpen(begun: Pick<BegunRun, 'opening'> | undefined): Promise<void> {
  let source: ByteSource | undefined;
  try {
    source = await begun?.opening;
  } catch (error) {
    // it was never open, and nobody asks for it any more
    if (!isBackstopError(error)) throw error;
  }
  await source?.close();
}
