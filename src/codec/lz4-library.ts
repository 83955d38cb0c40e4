/**
 * The libraries that know LZ4 blocks. `lz4-napi` is always there. The optional `lz4` is compiled at install and is
 * twice as fast, and alone has the high-compression levels; it is left out when it was built for another Node.
 */
import { createRequire } from 'node:module';
import type { XXHashAPI } from 'xxhash-wasm';
import { BackstopError } from '../base/error.ts';
import { YoungMemory } from '../base/young-memory.ts';
import { joinDictionary, joinedBound } from './lz4-linked.ts';

export interface Lz4Library {
  /**
   * Compresses a block into output[4..].
   * @returns a buffer that starts with 4 free bytes for the block's length, followed by the compressed block
   */
  compress(block: Buffer, output: Buffer, level: number): Buffer;
  /**
   * @param sized 4 bytes that hold the most bytes that the block may have, followed by the compressed block
   * @param dictionary the plain bytes before the block, at most 64 KiB; absent for a block that stands alone
   * @param room gives a buffer of so many bytes for the plain block; the dictionary may lie in the one it gave before
   * @returns the plain block, in the room or not
   * @throws anything, when the block is corrupt
   */
  decompress(sized: Buffer, dictionary: Buffer | undefined, room: (size: number) => Buffer): Buffer;
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
  const { default: createXxhash } = await import('xxhash-wasm');
  const xxhash = await createXxhash();
  return addon === undefined ? portable(loadNapi(), xxhash) : compiled(addon, xxhash);
}

function portable(napi: Napi, xxhash: XXHashAPI): Lz4Library {
  // a buffer for each block: they are many before V8 would look for those that nobody holds
  const young = new YoungMemory();
  const counted = (bytes: Buffer): Buffer => {
    young.allocated(bytes.length);
    return bytes;
  };
  return {
    compress: block => counted(napi.compressSync(block)),
    decompress: (sized, dictionary) => counted(napi.uncompressSync(sized, dictionary)),
    xxhash,
    highCompression: false,
  };
}

function compiled(addon: Addon, xxhash: XXHashAPI): Lz4Library {
  let joined = Buffer.alloc(0);
  return {
    compress(block, output, level) {
      const room = output.subarray(4);
      const length =
        level < firstHighLevel ? addon.compress(block, room) : addon.compressHCLimited(block, room, room.length, level);
      if (length <= 0) throw new BackstopError('assert', 'lz4 compression failed');
      return output.subarray(0, 4 + length);
    },
    decompress(sized, dictionary, room) {
      const before = dictionary?.length ?? 0;
      let packed = sized.subarray(4);
      if (dictionary !== undefined && before > 0) {
        const bound = joinedBound(before, packed.length);
        if (joined.length < bound) joined = Buffer.allocUnsafeSlow(bound);
        packed = joinDictionary(dictionary, packed, joined);
      }
      const plain = room(before + sized.readUInt32LE(0));
      const length = addon.uncompress(packed, plain);
      if (length < before) throw new RangeError(`malformed at ${-length}`);
      return plain.subarray(before, length);
    },
    xxhash,
    highCompression: true,
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
