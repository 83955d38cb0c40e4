/** A manifest as JSON, in the order of keys in which the real tool prints them. */
import { formatJsonString } from '../../base/json.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { emptyChecksum, type ManifestHeader } from '../../repo/manifest/manifest.ts';
import type { ReferenceReads } from './block-delta.ts';

/** What of a file's blocks is to be read: nothing when the file on disk is up to date. */
export type BlockDelta = readonly ReferenceReads[] | 'up-to-date';

/** Everything before the files. */
export function headJson({
  label,
  references,
  type,
  bundle,
  bundleRaw,
  blockIncremental,
  ...times
}: ManifestHeader): string {
  const { timestampStart, timestampCopyStart, timestampStop } = times;
  return (
    `{"label":"${label}","reference":[${references.map(formatJsonString).join(',')}],"type":"${type}"` +
    `,"time":{"start":${timestampStart},"copy":${timestampCopyStart},"stop":${timestampStop}}` +
    `,"bundle":{"bundle":${bundle},"raw":${bundleRaw}},"block":{"block":${blockIncremental}},"fileList":[`
  );
}

/** Everything after the files. */
export const tailJson = ']}';

export function fileJson(file: ManifestFile, delta: BlockDelta | undefined): string {
  const checksum = file.size === 0 ? emptyChecksum : file.checksum;
  return (
    `{"name":${formatJsonString(file.name)}` +
    (file.reference === undefined ? '' : `,"reference":${formatJsonString(file.reference)}`) +
    `,"size":${file.size},"checksum":"${checksum}","repo":{"size":${file.sizeRepo}}` +
    (file.bundleId === 0 ? '' : `,"bundle":{"id":${file.bundleId},"offset":${file.bundleOffset}}`) +
    (file.blockSize === 0 ? '' : blockJson(file, delta)) +
    '}'
  );
}

function blockJson(
  { blockSize, blockMapSize, blockChecksumSize }: ManifestFile,
  delta: BlockDelta | undefined,
): string {
  const reads = delta === undefined ? '' : `,"delta":${deltaJson(delta)}`;
  return `,"block":{"size":${blockSize},"map":{"size":${blockMapSize}${reads}},"checksum":{"size":${blockChecksumSize}}}`;
}

function deltaJson(delta: BlockDelta): string {
  if (delta === 'up-to-date') return 'null';
  const parts = delta.map(
    ({ reference, reads, readSize, superBlocks, superSize, blocks }) =>
      `{"reference":${reference},"read":{"total":${reads},"size":${readSize}}` +
      `,"superBlock":{"total":${superBlocks},"size":${superSize}},"block":{"total":${blocks}}}`,
  );
  return `[${parts.join(',')}]`;
}
