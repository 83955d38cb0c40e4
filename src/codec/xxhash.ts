/** XXH3 with 128 bits, which names blocks in block-incremental backups. */
import { BackstopError } from '../base/error.ts';

/**
 * Writes the canonical (big-endian) digest, seed 0, cut to the length of `into` (at most 16 bytes).
 */
export type Xxh128 = (block: Uint8Array, into: Uint8Array) => void;

const digestLength = 16;

/** Loads the hash: once per thread. */
export async function loadXxh128(): Promise<Xxh128> {
  const { createXXHash128 } = await import('hash-wasm');
  const hash = await createXXHash128(0, 0);
  return (block, into) => {
    if (into.length > digestLength) throw new BackstopError('assert', `a digest has no ${into.length} bytes`);
    const digest = hash.init().update(block).digest('binary');
    for (let index = 0; index < into.length; index++) into[index] = digest[index] ?? 0;
  };
}
