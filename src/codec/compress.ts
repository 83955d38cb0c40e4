/** The compression steps: which type has which levels, and where each type's library is loaded. */
import { BackstopError } from '../base/error.ts';
import { bufferPool } from './buffer-pool.ts';
import { openBunzip2, openBzip2 } from './bzip2.ts';
import type { Bzip2Library } from './bzip2-library.ts';
import { openGunzip, openGzip } from './gzip.ts';
import { lz4BufferSize, openLz4, openUnlz4 } from './lz4.ts';
import type { Lz4Library } from './lz4-library.ts';
import { nodeCodecs } from './node-zlib.ts';
import type { StepKind } from './pipeline.ts';
import { openUnzstd, openZstd } from './zstd.ts';
import type { ZstdLibrary } from './zstd-library.ts';

export type CompressType = 'gz' | 'lz4' | 'zst' | 'bz2';

export interface CompressSpec {
  readonly step: 'compress';
  readonly type: CompressType;
  /** See compressLevels. */
  readonly level: number;
  /** The smaller framing of bundle members and super blocks: gz becomes zlib, lz4 loses its checksum. */
  readonly raw: boolean;
}

export interface DecompressSpec {
  readonly step: 'decompress';
  readonly type: CompressType;
  readonly raw: boolean;
}

/** Levels that can be asked for. */
export const compressLevels: Readonly<Record<CompressType, { min: number; max: number; default: number }>> = {
  gz: { min: -1, max: 9, default: 6 },
  lz4: { min: -5, max: 12, default: 1 },
  zst: { min: -7, max: 22, default: 3 },
  bz2: { min: 1, max: 9, default: 9 },
};

/** A library that is loaded when it is first needed, once per thread. */
class Lazy<T> {
  readonly #name: string;
  readonly #load: () => Promise<T>;
  #loading: Promise<T> | undefined;
  #loaded: T | undefined;

  constructor(name: string, load: () => Promise<T>) {
    this.#name = name;
    this.#load = load;
  }

  async prepare(): Promise<void> {
    this.#loading ??= this.#load();
    this.#loaded = await this.#loading;
  }

  get value(): T {
    if (this.#loaded === undefined) throw new BackstopError('assert', `${this.#name} is used before prepareSteps()`);
    return this.#loaded;
  }
}

/** Both kinds share libraries, contexts and buffers: make them once per thread. */
export function compressKinds(): { compress: StepKind<CompressSpec>; decompress: StepKind<DecompressSpec> } {
  const node = nodeCodecs(bufferPool(256 * 1024));
  const lz4Buffers = bufferPool(lz4BufferSize);
  const lz4 = new Lazy<Lz4Library>('lz4', async () => (await import('./lz4-library.ts')).loadLz4());
  const zstd = new Lazy<ZstdLibrary>('zst', async () => (await import('./zstd-library.ts')).loadZstd(node));
  const bzip2 = new Lazy<Bzip2Library>('bz2', async () => (await import('./bzip2-library.ts')).loadBzip2());

  const prepare = async ({ type }: { readonly type: CompressType }): Promise<void> => {
    if (type === 'lz4') await lz4.prepare();
    else if (type === 'zst') await zstd.prepare();
    else if (type === 'bz2') await bzip2.prepare();
  };
  return {
    compress: {
      prepare,
      open({ type, level, raw }) {
        const { min, max } = compressLevels[type];
        if (!Number.isInteger(level) || level < min || level > max) {
          throw new BackstopError('assert', `${type} has no level ${level}`);
        }
        switch (type) {
          case 'gz':
            return openGzip(level, raw, node);
          case 'lz4':
            return openLz4(level, raw, lz4.value, lz4Buffers);
          case 'zst':
            return openZstd(level, zstd.value);
          case 'bz2':
            return openBzip2(level, bzip2.value);
        }
      },
    },
    decompress: {
      prepare,
      open({ type, raw }) {
        switch (type) {
          case 'gz':
            return openGunzip(raw, node);
          case 'lz4':
            return openUnlz4(lz4.value, lz4Buffers);
          case 'zst':
            return openUnzstd(zstd.value);
          case 'bz2':
            return openBunzip2(bzip2.value);
        }
      },
    },
  };
}
