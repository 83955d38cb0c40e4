/**
 * Lets go of what answers of a network were read into, and of what a native library gives for each block. Memory is allocated
 * for each, and V8 looks for what nobody holds any more when its own small objects have grown, or when 32 MiB of such memory are
 * there: in each thread. A look at the young objects takes 0.2 ms, as few of them are in use.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes after which it is worth a look. */
const interval = 2 * 1024 * 1024;

type Collect = (options: { readonly type: 'minor' }) => void;

export class YoungMemory {
  #since = 0;
  #collect: Collect | undefined;

  /** So many bytes were allocated, most of which nobody will hold for long. */
  allocated(bytes: number): void {
    this.#since += bytes;
    if (this.#since < interval) return;
    this.#since = 0;
    this.#collect ??= youngCollector();
    this.#collect?.({ type: 'minor' });
  }
}

/**
 * V8 shows its collector to contexts that are made while this flag is set, and only to them. Flags are the whole process's:
 * where another thread takes it back just then there is none, and the next interval asks again.
 */
function youngCollector(): Collect | undefined {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext("typeof gc === 'function' ? gc : undefined") as Collect | undefined;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
