/** Makes a block-incremental file whole again: from its map and the super blocks of all backups that it points to. */
import { BackstopError } from '../../base/error.ts';
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import { openPipeline } from '../../codec/pipeline.ts';
import type { Xxh128 } from '../../codec/xxhash.ts';
import { decodeBlockMap } from '../../repo/block/map.ts';
import { planBlockReads, type SuperBlockRead } from '../../repo/block/plan.ts';
import { RandomWriter } from '../../storage/posix/random-writer.ts';
import { MemorySink, pump } from '../../storage/pump.ts';
import type { Storage } from '../../storage/storage.ts';

/** No sound super block is larger: the largest super block and the largest block, with what a codec adds to bytes that it cannot shrink. */
const maxSuperBlock = 1024 * 1024 * 1024;

export interface BlockFile {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  readonly blockSize: number;
  readonly checksumSize: number;
  /** Where the map is stored. */
  readonly map: { readonly path: string; readonly offset: number; readonly length: number };
  /** Look at what the file holds already. */
  readonly delta: boolean;
}

export interface BlockRestore {
  readonly repo: Storage;
  readonly files: Storage;
  readonly codecs: Codecs;
  readonly hash: Xxh128;
  /** From stored to plain bytes, of a super block and of a map. */
  readonly superBlockSteps: readonly StepSpec[];
  readonly mapSteps: readonly StepSpec[];
  /** Path of the file that a super block lies in. */
  readonly pathOf: (read: SuperBlockRead) => string;
  readonly buffer: Uint8Array;
}

/**
 * Writes the blocks that are missing. The caller checks the whole file and commits it.
 * @returns the open file, and the stored bytes that had to be read
 */
export async function restoreBlocks(
  file: BlockFile,
  restore: BlockRestore,
): Promise<{ readonly writer: RandomWriter; readonly fetched: number }> {
  const { blockSize, size } = file;
  const { map } = file;
  if (blockSize > maxSuperBlock) throw new BackstopError('format', `blocks of ${blockSize} bytes are too large`);
  const mapBytes = await fetch(map.path, map.offset, map.length, map.length, restore.mapSteps, restore);
  const items = decodeBlockMap(mapBytes, blockSize, file.checksumSize);
  if (items.length !== Math.ceil(size / blockSize)) {
    throw new BackstopError(
      'format',
      `block map has ${items.length} blocks, but the file has ${Math.ceil(size / blockSize)}`,
    );
  }
  const present = file.delta ? await hashBlocks(file, restore) : [];
  const reads = planBlockReads(items, (block, checksum) => {
    const have = present[block];
    return have === undefined || Buffer.compare(have, checksum) !== 0;
  });
  const writer = new RandomWriter(file.path, file.mode);
  let fetched = 0;
  try {
    if (!file.delta || writer.size > size) writer.truncate(file.delta ? size : 0);
    for (const read of reads) {
      if (read.superSize > maxSuperBlock) throw new BackstopError('format', 'a super block is too large');
      const plain = await fetch(
        restore.pathOf(read),
        read.offset,
        read.size,
        read.superSize,
        restore.superBlockSteps,
        restore,
      );
      if (plain.length !== read.superSize) {
        throw new BackstopError('format', `a super block has ${plain.length} bytes instead of ${read.superSize}`);
      }
      for (const { block, fileBlock } of read.blocks) {
        const at = fileBlock * blockSize;
        const length = Math.min(blockSize, size - at);
        const bytes = plain.subarray(block * blockSize, block * blockSize + length);
        if (bytes.length !== length) throw new BackstopError('format', 'a block is outside of its super block');
        writer.write(bytes, at);
      }
      fetched += read.size;
    }
    writer.truncate(size);
    return { writer, fetched };
  } catch (error) {
    writer.close();
    throw error;
  }
}

/** Hashes of the blocks that are on disk; a block that the map would have shorter or longer simply differs. */
async function hashBlocks(file: BlockFile, restore: BlockRestore): Promise<Uint8Array[]> {
  const info = await restore.files.info(file.path);
  if (info?.type !== 'file') return [];
  const result: Uint8Array[] = [];
  const source = await restore.files.read(file.path, { length: file.size });
  const block = Buffer.allocUnsafe(file.blockSize);
  try {
    for (;;) {
      const count = await source.read(block);
      if (count === 0) return result;
      const checksum = new Uint8Array(file.checksumSize);
      restore.hash(block.subarray(0, count), checksum);
      result.push(checksum);
    }
  } finally {
    await source.close();
  }
}

async function fetch(
  path: string,
  offset: number,
  length: number,
  limit: number,
  steps: readonly StepSpec[],
  { repo, codecs, buffer }: BlockRestore,
): Promise<Buffer> {
  // no file has them, and a storage would take that for a failure that can pass
  if (!Number.isSafeInteger(offset + length)) {
    throw new BackstopError('format', `there are no ${length} bytes at ${offset}`);
  }
  const sink = new MemorySink(limit);
  const spec: StepSpec[] = [...steps, { step: 'limit', max: limit }];
  const pipeline = openPipeline(spec, codecs, chunk => sink.write(chunk));
  const source = await repo.read(path, { offset, length });
  try {
    await pump(source, () => pipeline, { write: () => undefined }, buffer);
    return sink.bytes();
  } finally {
    pipeline.close();
    await source.close();
  }
}
