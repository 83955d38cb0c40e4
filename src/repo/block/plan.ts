/** Which super blocks must be read to make a file whole again (format, section 7.5). Pure. */
import type { BlockItem } from './map.ts';

/** A super block with the blocks that are wanted of it. */
export interface SuperBlockRead {
  readonly reference: number;
  readonly bundleId: number;
  readonly offset: number;
  readonly size: number;
  readonly superSize: number;
  /** Where each wanted block stands in the super block and in the file, counted in blocks. */
  readonly blocks: readonly { readonly block: number; readonly fileBlock: number }[];
}

/**
 * Groups the blocks of a file by super block, in the order in which they lie in the repository.
 * @param wanted false for a block that the file has already
 */
export function planBlockReads(
  items: readonly BlockItem[],
  wanted: (fileBlock: number, checksum: Uint8Array) => boolean,
): SuperBlockRead[] {
  const reads = new Map<string, SuperBlockRead & { blocks: { block: number; fileBlock: number }[] }>();
  for (const [fileBlock, item] of items.entries()) {
    if (!wanted(fileBlock, item.checksum)) continue;
    const { reference, bundleId, offset, size, superSize, block } = item;
    const key = `${reference}/${bundleId}/${offset}`;
    let read = reads.get(key);
    if (read === undefined) {
      read = { reference, bundleId, offset, size, superSize, blocks: [] };
      reads.set(key, read);
    }
    read.blocks.push({ block, fileBlock });
  }
  return [...reads.values()].sort(
    (a, b) => a.reference - b.reference || a.bundleId - b.bundleId || a.offset - b.offset,
  );
}
