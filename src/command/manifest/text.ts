/** A manifest as text. */
import { formatTime } from '../../base/clock.ts';
import { formatSize } from '../../base/units.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { emptyChecksum, type ManifestHeader } from '../../repo/manifest/manifest.ts';
import type { ReferenceReads } from './block-delta.ts';
import type { BlockDelta } from './json.ts';

/** Everything before the files. */
export function headText(header: ManifestHeader): string {
  const { timestampStart: start, timestampStop: stop } = header;
  return [
    `label: ${header.label}`,
    `reference: ${header.references.join(', ')}`,
    `type: ${header.type}`,
    `time: start: ${formatTime(start)}, stop: ${formatTime(stop)}, duration: ${formatDuration(stop - start)}`,
    `bundle: ${header.bundle}`,
    `block: ${header.blockIncremental}`,
    '',
    'file list:',
    '',
  ].join('\n');
}

function formatDuration(seconds: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${Math.floor(seconds / 3600)}:${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
}

/** @param pathOf file that a backup (an index into the references) stores blocks in */
export function fileText(
  file: ManifestFile,
  delta: BlockDelta | undefined,
  pathOf: (reads: ReferenceReads) => string,
): string {
  const checksum = file.size === 0 ? emptyChecksum : file.checksum;
  return (
    `  - ${file.name}\n` +
    (file.reference === undefined ? '' : `      reference: ${file.reference}\n`) +
    `      size: ${formatSize(file.size)}, repo ${formatSize(file.sizeRepo)}\n` +
    `      checksum: ${checksum}\n` +
    (file.bundleId === 0 ? '' : `      bundle: ${file.bundleId}\n`) +
    (file.blockSize === 0
      ? ''
      : `      block: size ${formatSize(file.blockSize)}, map size ${formatSize(file.blockMapSize)}, checksum size ${formatSize(file.blockChecksumSize)}\n`) +
    (delta === undefined ? '' : `      block delta:${deltaText(file, delta, pathOf)}`)
  );
}

function deltaText(file: ManifestFile, delta: BlockDelta, pathOf: (reads: ReferenceReads) => string): string {
  if (delta === 'up-to-date') return ' file is up-to-date\n';
  const sums = (reads: Omit<ReferenceReads, 'reference' | 'bundleId'>) =>
    `read: ${reads.reads}/${formatSize(reads.readSize)}, superBlock: ${reads.superBlocks}/${formatSize(reads.superSize)}` +
    `, block: ${reads.blocks}/${formatSize(reads.blocks * file.blockSize)}\n`;
  const total = { reads: 0, readSize: 0, superBlocks: 0, superSize: 0, blocks: 0 };
  let text = '\n';
  for (const reads of delta) {
    text += `        reference: ${pathOf(reads)}, ${sums(reads)}`;
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += reads[key];
  }
  return `${text}        total ${sums(total)}`;
}
