/**
 * Makes a block-incremental file whole again: from its map and the super blocks of all backups that it points to.
 *
 * What the file holds already is read once, for the checksums of its blocks and, as far as nothing differs, for that of its
 * content. So what is there up to the first block that is written is not read again for the content's checksum.
 */
import { BackstopError } from '../../base/error.ts';
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import { openPipeline, type Pipeline } from '../../codec/pipeline.ts';
import type { Xxh128 } from '../../codec/xxhash.ts';
import { type BlockItem, decodeBlockMap } from '../../repo/block/map.ts';
import { planBlockReads, type SuperBlockRead } from '../../repo/block/plan.ts';
import { largestBlock } from '../../repo/block/size.ts';
import { bytesSource } from '../../repo/bytes-source.ts';
import { PartReader, type StoredPart } from '../../repo/part-reader.ts';
import { RandomWriter } from '../../storage/posix/random-writer.ts';
import { pump } from '../../storage/pump.ts';
import type { ByteSource, Storage } from '../../storage/storage.ts';
import type { PlainBytes } from './plain-bytes.ts';

/** Plain bytes at which a super block closes, at most: four times what the options allow. It has whole blocks. */
const largestTarget = 64 * 1024 * 1024;
const maxSuperBlock = (blockSize: number): number => Math.ceil(largestTarget / blockSize) * blockSize;

export interface BlockFile {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  readonly blockSize: number;
  readonly checksumSize: number;
  readonly stored: StoredFile;
  /** Bytes of the map, at the end of what is stored. */
  readonly mapSize: number;
  /** Look at what the file holds already. */
  readonly delta: boolean;
}

/** Where the newest backup's bytes of the file lie: super blocks, and the map behind them. */
export interface StoredFile {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  /** All of it; or the map alone, when not `isWhole`. */
  readonly source: ByteSource;
  readonly isWhole: boolean;
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
  readonly buffer: Buffer;
  /** Where maps and super blocks are put. */
  readonly plain: PlainBytes;
  /** Takes the file's content from its start on, for the checksum of all of it. */
  readonly content: Pipeline;
}

/** A file of which every block is in its place. */
export interface RestoredBlocks {
  /** Absent: all was there before. */
  readonly writer?: RandomWriter;
  /** Bytes from the file's start that `content` has seen. */
  readonly seen: number;
  /** Stored bytes that had to be read. */
  readonly fetched: number;
  /** Bytes of the file that were written. */
  readonly written: number;
}

/** Writes the blocks that are missing. The caller checks the whole file and commits it. */
export async function restoreBlocks(file: BlockFile, restore: BlockRestore): Promise<RestoredBlocks> {
  const { blockSize, size, stored } = file;
  if (blockSize > largestBlock) throw new BackstopError('format', `blocks of ${blockSize} bytes are too large`);
  const whole = stored.isWhole ? await readBytes(stored.source, stored.size) : undefined;
  const mapSource =
    whole === undefined ? stored.source : bytesSource(whole.subarray(Math.max(0, whole.length - file.mapSize)));
  const mapBytes = await through(mapSource, restore.mapSteps, file.mapSize, restore);
  // their checksums are where the super blocks will be
  const items = decodeBlockMap(mapBytes, blockSize, file.checksumSize);
  if (items.length !== Math.ceil(size / blockSize)) {
    throw new BackstopError(
      'format',
      `block map has ${items.length} blocks, but the file has ${Math.ceil(size / blockSize)}`,
    );
  }
  const { present, seen } = file.delta ? await lookForBlocks(file, items, restore) : nothingThere;
  const reads = planBlockReads(items, block => present[block] !== 1);
  if (file.delta && reads.length === 0) return { seen, fetched: 0, written: 0 };
  const places = reads.map(read => placeOf(read, restore));
  const isAtHand = (place: StoredPart & { readonly length: number }) =>
    whole !== undefined &&
    place.path === stored.path &&
    place.offset >= stored.offset &&
    place.offset + place.length <= stored.offset + whole.length;
  const far = places.filter(place => !isAtHand(place));
  const reader = new PartReader(restore.repo, far);
  const writer = new RandomWriter(file.path, file.mode);
  let fetched = 0;
  let written = 0;
  try {
    if (!file.delta || writer.size > size) writer.truncate(file.delta ? size : 0);
    let nextFar = 0;
    for (const [index, read] of reads.entries()) {
      if (read.superSize > maxSuperBlock(blockSize)) throw new BackstopError('format', 'a super block is too large');
      const place = places[index];
      if (place === undefined) throw new BackstopError('assert', 'a super block without a place');
      const at = place.offset - stored.offset;
      const source =
        whole !== undefined && isAtHand(place)
          ? bytesSource(whole.subarray(at, at + place.length))
          : await reader.open(nextFar++);
      const plain = await through(source, restore.superBlockSteps, read.superSize, restore);
      if (plain.length !== read.superSize) {
        throw new BackstopError('format', `a super block has ${plain.length} bytes instead of ${read.superSize}`);
      }
      for (const { block, fileBlock } of read.blocks) {
        const at = fileBlock * blockSize;
        const length = Math.min(blockSize, size - at);
        const bytes = plain.subarray(block * blockSize, block * blockSize + length);
        if (bytes.length !== length) throw new BackstopError('format', 'a block is outside of its super block');
        writer.write(bytes, at);
        written += length;
      }
      fetched += read.size;
    }
    writer.truncate(size);
    return { writer, seen, fetched, written };
  } catch (error) {
    writer.close();
    throw error;
  } finally {
    await reader.close();
  }
}

function placeOf(read: SuperBlockRead, { pathOf }: BlockRestore): StoredPart & { readonly length: number } {
  const { offset, size: length } = read;
  // no file has them, and a storage would take that for a failure that can pass
  if (!Number.isSafeInteger(offset + length)) {
    throw new BackstopError('format', `there are no ${length} bytes at ${offset}`);
  }
  return { path: pathOf(read), offset, length };
}

/** Which blocks the file has: 1 for each that needs no writing. */
interface PresentBlocks {
  readonly present: Uint8Array;
  readonly seen: number;
}

const nothingThere: PresentBlocks = { present: new Uint8Array(), seen: 0 };

/** Compares what is on disk with the map; a block that the map would have shorter or longer simply differs. */
async function lookForBlocks(
  { path, size, blockSize, checksumSize }: BlockFile,
  items: readonly BlockItem[],
  { files, hash, buffer, content }: BlockRestore,
): Promise<PresentBlocks> {
  const info = await files.info(path);
  if (info?.type !== 'file') return nothingThere;
  const present = new Uint8Array(items.length);
  const checksum = Buffer.alloc(checksumSize);
  const whole = buffer.length < blockSize ? Buffer.allocUnsafeSlow(blockSize) : buffer;
  const several = whole.subarray(0, whole.length - (whole.length % blockSize));
  let seen = 0;
  let block = 0;
  const source = await files.read(path, { length: size });
  try {
    for (;;) {
      const count = await source.read(several);
      if (count === 0) return { present, seen };
      const isAllSeen = seen === block * blockSize;
      let same = 0;
      for (let at = 0; at < count; at += blockSize, block++) {
        const bytes = several.subarray(at, Math.min(at + blockSize, count));
        hash(bytes, checksum);
        const item = items[block];
        if (item === undefined || checksum.compare(item.checksum) !== 0) continue;
        present[block] = 1;
        if (same === at) same += bytes.length;
      }
      if (!isAllSeen) continue;
      content.push(several.subarray(0, same));
      seen += same;
    }
  } finally {
    await source.close();
  }
}

/** A source that ends early gives fewer bytes: what they are for will find them too short. */
async function readBytes(source: ByteSource, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(size);
  let have = 0;
  while (have < size) {
    const count = await source.read(bytes.subarray(have));
    if (count === 0) break;
    have += count;
  }
  return bytes.subarray(0, have);
}

/**
 * Reads all of the source through the steps.
 * @returns bytes that are valid until the next call
 */
async function through(
  source: ByteSource,
  steps: readonly StepSpec[],
  limit: number,
  { codecs, buffer, plain }: BlockRestore,
): Promise<Buffer> {
  plain.clear();
  const spec: StepSpec[] = [...steps, { step: 'limit', max: limit }];
  const pipeline = openPipeline(spec, codecs, chunk => plain.add(chunk, limit));
  try {
    await pump(source, () => pipeline, { write: () => undefined }, buffer);
    return plain.bytes;
  } finally {
    pipeline.close();
    await source.close();
  }
}
