/**
 * The libraries that know LZ4 blocks. `lz4-napi` is always there. The optional `lz4` is compiled at install and is
 * twice as fast, and alone has the high-compression levels; it is left out when it was built for another Node.
 */
import { createRequire } from 'node:module';
import type { XXHashAPI } from 'xxhash-wasm';
import { BackstopError } from '../base/error.ts';

export interface Lz4Library {
  /**
   * Compresses a block into output[4..].
   * @returns a buffer that starts with 4 free bytes for the block's length, followed by the compressed block
   */
  compress(block: Buffer, output: Buffer, level: number): Buffer;
  /**
   * @param sized 4 bytes that hold the most bytes that the block may have, followed by the compressed block
   * @param dictionary the plain bytes before the block, at most 64 KiB; absent for a block that stands alone
   * @param room gives a buffer for the plain block
   * @returns the plain block; one that was decompressed with a dictionary is never written to again
   * @throws anything, when the block is corrupt
   */
  decompress(sized: Buffer, dictionary: Buffer | undefined, room: () => Buffer): Buffer;
  readonly xxhash: XXHashAPI;
  /** True when the levels from 3 up are high-compression ones. */
  readonly highCompression: boolean;
}

/** Room that a compressed block of this size may need, with the 4 bytes before it. */
export function lz4Bound(size: number): number {
  return 4 + size + Math.floor(size / 255) + 16;
}

interface Napi {
  compressSync(data: Buffer): Buffer;
  uncompressSync(sized: Buffer, dictionary?: Buffer): Buffer;
}

interface Addon {
  compress(input: Buffer, output: Buffer): number;
  compressHCLimited(input: Buffer, output: Buffer, limit: number, level: number): number;
  /** @returns bytes, or a negative number when the input is corrupt */
  uncompress(input: Buffer, output: Buffer): number;
}

/** Levels below this are the fast method. */
const firstHighLevel = 3;

/** @param useAddon false: as if the optional library was not installed */
export async function loadLz4(useAddon = true): Promise<Lz4Library> {
  const addon = useAddon ? loadAddon() : undefined;
  // loading takes longer than pushing a WAL segment does: only when it is needed
  let loaded: Napi | undefined;
  const napi = (): Napi => {
    loaded ??= loadNapi();
    return loaded;
  };
  if (addon === undefined) napi();
  const { default: createXxhash } = await import('xxhash-wasm');
  return {
    compress(block, output, level) {
      if (addon === undefined) return napi().compressSync(block);
      const room = output.subarray(4);
      const length =
        level < firstHighLevel ? addon.compress(block, room) : addon.compressHCLimited(block, room, room.length, level);
      if (length <= 0) throw new BackstopError('assert', 'lz4 compression failed');
      return output.subarray(0, 4 + length);
    },
    decompress(sized, dictionary, room) {
      if (dictionary !== undefined) return napi().uncompressSync(sized, dictionary);
      if (addon === undefined) return napi().uncompressSync(sized);
      const plain = room();
      const length = addon.uncompress(sized.subarray(4), plain);
      if (length < 0) throw new RangeError(`malformed at ${-length}`);
      return plain.subarray(0, length);
    },
    xxhash: await createXxhash(),
    highCompression: addon !== undefined,
  };
}

function loadNapi(): Napi {
  const load = createRequire(import.meta.url);
  try {
    // what lz4-napi loads on most machines; to find out takes it as long as decompressing half a WAL segment
    return load(`@antoniomuso/lz4-napi-${process.platform}-${process.arch}-gnu`) as Napi;
  } catch {
    return load('lz4-napi') as Napi; // says what is wrong, if anything
  }
}

function loadAddon(): Addon | undefined {
  try {
    return createRequire(import.meta.url)('lz4/build/Release/lz4.node') as Addon;
  } catch {
    // not installed, or compiled for another Node ("Module did not self-register"): the other library serves
    return undefined;
  }
}
