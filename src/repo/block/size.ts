/** Which files are stored by blocks, and how large their blocks are (format, section 7.1). Pure. */

const mib = 1024 * 1024;

/** No sound block is larger: more than any table of sizes gives. */
export const largestBlock = 1024 * mib;

/** The three tables, each from the largest key down. Sizes in bytes, ages in seconds. */
export interface BlockSizeTables {
  readonly sizes: readonly (readonly [fileSize: number, blockSize: number])[];
  readonly ages: readonly (readonly [age: number, factor: number])[];
  readonly checksums: readonly (readonly [blockSize: number, checksumSize: number])[];
}

const day = 86400;

export const defaultBlockTables: BlockSizeTables = {
  sizes: (
    [
      [914 * mib, 88],
      [740 * mib, 80],
      [585 * mib, 72],
      [448 * mib, 64],
      [329 * mib, 56],
      [228 * mib, 48],
      [146 * mib, 40],
      [96 * mib, 32],
      [43 * mib, 24],
      [11 * mib, 16],
      [16 * 1024, 8],
    ] as const
  ).map(([size, kib]) => [size, kib * 1024] as const),
  ages: [
    [28 * day, 0],
    [14 * day, 4],
    [7 * day, 2],
  ],
  checksums: [
    [4 * mib, 12],
    [2 * mib, 11],
    [mib, 10],
    [512 * 1024, 9],
    [128 * 1024, 8],
    [32 * 1024, 7],
  ],
};

/** Bytes kept of a hash when no larger table entry applies. */
const smallestChecksum = 6;

/** @returns block and checksum size, or undefined when the file is stored whole */
export function blockSizeOf(
  fileSize: number,
  ageSeconds: number,
  tables: BlockSizeTables,
): { readonly blockSize: number; readonly checksumSize: number } | undefined {
  const base = tables.sizes.find(([size]) => fileSize >= size)?.[1] ?? 0;
  const factor = tables.ages.find(([age]) => ageSeconds >= age)?.[1] ?? 1;
  const blockSize = base * factor;
  if (blockSize === 0) return undefined;
  return { blockSize, checksumSize: tables.checksums.find(([size]) => blockSize >= size)?.[1] ?? smallestChecksum };
}

/** Plain bytes at which a super block closes: the target, rounded up to whole blocks. */
export const superBlockSize = (target: number, blockSize: number): number => Math.ceil(target / blockSize) * blockSize;
