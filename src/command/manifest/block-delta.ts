/** What a restore would have to read to bring one block-incremental file up to date. Pure. */
import type { BlockItem } from '../../repo/block/map.ts';

/** What is to be read of the file's blocks that one backup stores. */
export interface ReferenceReads {
  /** Index into the manifest's list of references. */
  readonly reference: number;
  /** Bundle of the last read, for its path. */
  bundleId: number;
  /** Reads of stored bytes without a gap, and their bytes. */
  reads: number;
  readSize: number;
  superBlocks: number;
  /** Plain bytes of the super blocks. */
  superSize: number;
  blocks: number;
}

/**
 * @param present hashes of the blocks that the file on disk has; empty: all are wanted
 * @returns one entry for each backup that holds wanted blocks, oldest first
 */
export function planBlockDelta(items: readonly BlockItem[], present: readonly Uint8Array[]): ReferenceReads[] {
  const found = new Map<number, { sum: ReferenceReads; last?: BlockItem }>();
  for (const [index, item] of items.entries()) {
    const have = present[index];
    if (have !== undefined && Buffer.compare(have, item.checksum) === 0) continue;
    const { reference, bundleId } = item;
    let state = found.get(reference);
    if (state === undefined) {
      const none = { reads: 0, readSize: 0, superBlocks: 0, superSize: 0, blocks: 0 };
      state = { sum: { reference, bundleId, ...none } };
      found.set(reference, state);
    }
    add(state.sum, item, state.last);
    state.last = item;
  }
  return [...found.values()].map(({ sum }) => sum).sort((a, b) => a.reference - b.reference);
}

function add(sum: ReferenceReads, item: BlockItem, last: BlockItem | undefined): void {
  sum.blocks++;
  if (last?.offset === item.offset && last.bundleId === item.bundleId) return;
  sum.superBlocks++;
  sum.superSize += item.superSize;
  sum.readSize += item.size;
  sum.bundleId = item.bundleId;
  if (last === undefined || last.offset + last.size !== item.offset) sum.reads++;
}
