/** Few reads of bundles, and work for all workers. */
import { expect, test } from 'vitest';
import { bundleReads, cutReads } from '../../src/repo/bundle-reads.ts';

const mebibyte = 1024 * 1024;

/** How many reads each bundle of members of 100,000 bytes is cut into. */
function reads(bundles: readonly number[], workers: number): number[] {
  const bytesOf = bundleReads(bundles, workers);
  return bundles.map(size => {
    const members = Array.from({ length: Math.ceil(size / 100_000) }, (_, index) => index);
    const cut = [...cutReads(members, () => 100_000, bytesOf(size))];
    expect(cut.flat()).toEqual(members);
    return cut.length;
  });
}

test('a bundle is one read where there are enough of them for the workers', () => {
  // 20,000 files of the default bundle size, as they are and compressed
  const plain = Array.from({ length: 13 }, () => 21 * mebibyte);
  const compressed = Array.from({ length: 13 }, () => 6 * mebibyte);
  for (const workers of [1, 2, 4, 6]) {
    expect(reads(plain, workers)).toEqual(plain.map(() => 1));
    expect(reads(compressed, workers)).toEqual(compressed.map(() => 1));
  }
});

test('a bundle is cut where workers would have nothing to do, or a read would be too long', () => {
  expect(reads([20 * mebibyte], 4)).toEqual([5]);
  expect(reads([20 * mebibyte], 1)).toEqual([1]);
  expect(reads([2 * mebibyte], 4)).toEqual([1]);
  expect(reads([1000 * mebibyte], 1)).toEqual([31]);
  expect(reads([], 4)).toEqual([]);
});

test('a message to a worker has its limit', () => {
  const members = Array.from({ length: 20_000 }, (_, index) => index);
  expect([...cutReads(members, () => 1, 1e9)].map(read => read.length)).toEqual([8192, 8192, 3616]);
});
