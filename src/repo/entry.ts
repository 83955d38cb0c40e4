/** What backup.info records of a complete backup, from its manifest (format, section 2.5). */
import type { BackupEntry } from './backup-info.ts';
import type { Manifest } from './manifest/manifest.ts';

export function entryOf(manifest: Manifest): BackupEntry {
  const { header, files } = manifest;
  let [size, sizeDelta, repoSize, repoSizeDelta, mapSize, mapSizeDelta] = [0, 0, 0, 0, 0, 0];
  let error = false;
  for (let index = 0; index < files.length; index++) {
    const file = files.get(index);
    // a repository size of zero means that nothing was stored for the file
    const stored = file.sizeRepo > 0 ? file.sizeRepo : file.size;
    size += file.size;
    repoSize += stored;
    mapSize += file.blockMapSize;
    if (file.reference === undefined) {
      sizeDelta += file.size;
      repoSizeDelta += stored;
      mapSizeDelta += file.blockMapSize;
    }
    if (file.checksumPage === false) error = true;
  }
  const { options } = header;
  return {
    label: header.label,
    version: header.toolVersion ?? '',
    type: header.type,
    dbId: header.dbId,
    annotations: header.annotations,
    archiveStart: header.archiveStart ?? null,
    archiveStop: header.archiveStop ?? null,
    ...(header.lsnStart === undefined ? {} : { lsnStart: header.lsnStart }),
    ...(header.lsnStop === undefined ? {} : { lsnStop: header.lsnStop }),
    error,
    size,
    sizeDelta,
    repoSize,
    repoSizeDelta,
    ...(header.blockIncremental ? { repoSizeMap: mapSize, repoSizeMapDelta: mapSizeDelta } : {}),
    ...(header.prior === undefined ? {} : { prior: header.prior }),
    reference: header.references.filter(label => label !== header.label),
    timestampStart: header.timestampStart,
    timestampStop: header.timestampStop,
    archiveCheck: options.archiveCheck,
    archiveCopy: options.archiveCopy,
    backupStandby: options.backupStandby ?? false,
    checksumPage: options.checksumPage,
    compress: options.compressType !== 'none',
    hardlink: options.hardlink,
    online: options.online,
  };
}
