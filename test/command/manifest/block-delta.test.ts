import { expect, test } from 'vitest';
import { planBlockDelta } from '../../../src/command/manifest/block-delta.ts';
import type { BlockItem } from '../../../src/repo/block/map.ts';

const item = (reference: number, offset: number, block: number, size = 10): BlockItem => ({
  reference,
  bundleId: 0,
  offset,
  size,
  superSize: 16384,
  block,
  checksum: Uint8Array.from([reference, offset, block]),
});

const items = [
  item(0, 0, 0),
  item(0, 0, 1),
  item(1, 0, 0),
  // lies behind the super block before it: one read for both
  item(0, 10, 0),
  item(0, 30, 1),
];

test('all blocks: reads without gaps, each super block once', () => {
  expect(planBlockDelta(items, [])).toEqual([
    { reference: 0, bundleId: 0, reads: 2, readSize: 30, superBlocks: 3, superSize: 3 * 16384, blocks: 4 },
    { reference: 1, bundleId: 0, reads: 1, readSize: 10, superBlocks: 1, superSize: 16384, blocks: 1 },
  ]);
});

test('blocks that are there already are not read', () => {
  const present = items.map(({ checksum }) => checksum);
  expect(planBlockDelta(items, present)).toEqual([]);
  expect(planBlockDelta(items, [...present.slice(0, 3), Uint8Array.from([9, 9, 9])])).toEqual([
    { reference: 0, bundleId: 0, reads: 2, readSize: 20, superBlocks: 2, superSize: 2 * 16384, blocks: 2 },
  ]);
});
