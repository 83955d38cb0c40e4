/** Decides which files of a backup are stored by blocks (format, section 7.1). */
import { BackstopError } from '../../base/error.ts';
import { type BlockSizeTables, blockSizeOf, defaultBlockTables } from '../../repo/block/size.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';

/** The options repo-block-*, each in the place of a whole table. */
export interface BlockOptions {
  readonly sizeMap: ReadonlyMap<string, string> | undefined;
  readonly ageMap: ReadonlyMap<string, string> | undefined;
  readonly checksumSizeMap: ReadonlyMap<string, string> | undefined;
}

/**
 * Marks the files. Inside a set a file keeps the block size that it started with, because maps point into earlier backups.
 */
export function markBlocks(manifest: Manifest, prior: Manifest | undefined, options: BlockOptions): void {
  const tables = blockTables(options);
  const { timestampStart } = manifest.header;
  for (let index = 0; index < manifest.files.length; index++) {
    const file = manifest.files.get(index);
    const priorIndex = prior?.files.find(file.name);
    const before = priorIndex === undefined ? undefined : prior?.files.get(priorIndex);
    let choice = blockSizeOf(file.size, timestampStart - file.timestamp, tables);
    if (before !== undefined && before.blockMapSize > 0 && file.size >= before.blockSize) {
      choice = { blockSize: before.blockSize, checksumSize: before.blockChecksumSize };
    } else if (before !== undefined && before.size === file.size) {
      choice = undefined;
    }
    if (choice === undefined || file.size === 0) continue;
    manifest.files.set(index, { ...file, blockSize: choice.blockSize, blockChecksumSize: choice.checksumSize });
  }
}

export function blockTables({ sizeMap, ageMap, checksumSizeMap }: BlockOptions): BlockSizeTables {
  const table = (
    map: ReadonlyMap<string, string> | undefined,
    key: (text: string) => number,
    value: (text: string) => number,
  ) =>
    map === undefined
      ? undefined
      : [...map].map(([from, to]) => [key(from), value(to)] as const).sort((a, b) => b[0] - a[0]);
  return {
    sizes: table(sizeMap, parseBytes, parseBlockSize) ?? defaultBlockTables.sizes,
    ages:
      table(
        ageMap,
        days => parseCount(days, 0, maxDays, 'repo-block-age-map') * 86400,
        factor => parseCount(factor, 0, maxFactor, 'repo-block-age-map'),
      ) ?? defaultBlockTables.ages,
    checksums:
      table(checksumSizeMap, parseBytes, size => parseCount(size, 6, 16, 'repo-block-checksum-size-map')) ??
      defaultBlockTables.checksums,
  };
}

/** Larger ones have no use, and smaller numbers than these stay exact in all that is computed of them. */
const maxDays = 1_000_000;
const maxFactor = 1000;

function parseCount(text: string, least: number, most: number, option: string): number {
  const count = /^\d{1,7}$/.test(text.trim()) ? Number(text) : -1;
  if (count >= least && count <= most) return count;
  throw new BackstopError('option-invalid-value', `'${text}' is not valid for '${option}' option`, {
    hint: `a number from ${least} to ${most} is expected.`,
  });
}

function parseBytes(text: string): number {
  const match = /^(\d+)\s*(b|[kmgtp](?:b|ib)?)?$/i.exec(text.trim());
  if (match === null) throw new BackstopError('option-invalid-value', `'${text}' is not valid for a repo-block map`);
  const power = ' kmgtp'.indexOf((match[2] ?? ' ').charAt(0).toLowerCase());
  return Number(match[1]) * 1024 ** Math.max(0, power);
}

function parseBlockSize(text: string): number {
  const size = parseBytes(text);
  if (size % 8192 === 0) return size;
  throw new BackstopError('option-invalid-value', `'${text}' is not valid for 'repo-block-size-map' option`, {
    hint: 'a block size is a multiple of 8KiB.',
  });
}
