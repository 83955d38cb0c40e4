import { describe, expect, it } from 'vitest';
import { blockSizeOf, defaultBlockTables, superBlockSize } from '../../../src/repo/block/size.ts';

const kib = 1024;
const mib = 1024 * kib;
const day = 86400;
const blockOf = (size: number, age = 0) => blockSizeOf(size, age, defaultBlockTables)?.blockSize;

describe('block size', () => {
  it.each([
    [16 * kib, 8],
    [11 * mib, 16],
    [43 * mib, 24],
    [96 * mib, 32],
    [146 * mib, 40],
    [228 * mib, 48],
    [329 * mib, 56],
    [448 * mib, 64],
    [585 * mib, 72],
    [740 * mib, 80],
    [914 * mib, 88],
    [1024 * mib, 88],
  ])('of a file of %i bytes is %i KiB, and smaller below', (size, expected) => {
    expect(blockOf(size)).toBe(expected * kib);
    if (size < 1024 * mib) expect(blockOf(size - 1) ?? 0).toBe(expected === 8 ? 0 : (expected - 8) * kib);
  });

  it('grows with age until the file is stored whole', () => {
    expect(blockOf(mib, 7 * day - 1)).toBe(8 * kib);
    expect(blockOf(mib, 7 * day)).toBe(16 * kib);
    expect(blockOf(mib, 14 * day)).toBe(32 * kib);
    expect(blockOf(mib, 28 * day - 1)).toBe(32 * kib);
    expect(blockOf(mib, 28 * day)).toBeUndefined();
    // a file from the future is a new one
    expect(blockOf(mib, -5)).toBe(8 * kib);
  });

  it.each([
    [8, 6],
    [24, 6],
    [32, 7],
    [120, 7],
    [128, 8],
    [512, 9],
    [1024, 10],
    [2048, 11],
    [4096, 12],
  ])('of %i KiB has hashes of %i bytes', (blockKib, checksumSize) => {
    const tables = { ...defaultBlockTables, sizes: [[1, blockKib * kib]] as const };
    expect(blockSizeOf(1, 0, tables)).toEqual({ blockSize: blockKib * kib, checksumSize });
  });

  it('makes super blocks of whole blocks', () => {
    expect(superBlockSize(mib, 8 * kib)).toBe(mib);
    expect(superBlockSize(256 * kib, 24 * kib)).toBe(264 * kib);
    expect(superBlockSize(1, 88 * kib)).toBe(88 * kib);
  });
});
