/** Every path in a repository (format, section 1), and nothing else makes one. Paths start with `/` below repo-path. */
import type { BackupLabel } from './label.ts';

export const archivePath = (stanza: string): string => `/archive/${stanza}`;
export const archiveInfoFile = (stanza: string): string => `${archivePath(stanza)}/archive.info`;
export const backupPath = (stanza: string): string => `/backup/${stanza}`;
export const backupInfoFile = (stanza: string): string => `${backupPath(stanza)}/backup.info`;
export const latestLink = (stanza: string): string => `${backupPath(stanza)}/latest`;
export const labelPath = (stanza: string, label: BackupLabel): string => `${backupPath(stanza)}/${label}`;
export const manifestFile = (stanza: string, label: BackupLabel): string =>
  `${labelPath(stanza, label)}/backup.manifest`;
export const historyPath = (stanza: string): string => `${backupPath(stanza)}/backup.history`;
/** The gzip copy of a manifest that outlives its backup. */
export const historyFile = (stanza: string, label: BackupLabel): string =>
  `${historyPath(stanza)}/${label.slice(0, 4)}/${label}.manifest.gz`;

/** Ending of the second copy of info files and manifests. */
export const copySuffix = '.copy';

/** `archive/STANZA/15-1` */
export const archiveIdPath = (stanza: string, archiveId: string): string => `${archivePath(stanza)}/${archiveId}`;

/**
 * Directory of an archived file: names that start with 24 upper-case hex digits lie in the directory of their first 16,
 * everything else (timeline history) directly under the archive id.
 */
export function archiveFilePath(stanza: string, archiveId: string, name: string): string {
  const base = archiveIdPath(stanza, archiveId);
  return /^[0-9A-F]{24}/.test(name) ? `${base}/${name.slice(0, 16)}` : base;
}

/** Ending of a block-incremental file that is not in a bundle. */
export const blockSuffix = '.pgbi';

export const bundleFile = (stanza: string, label: BackupLabel, id: number): string =>
  `${labelPath(stanza, label)}/bundle/${id}`;

/**
 * Where the bytes of one file of a backup lie. It is stored by blocks when it has a map: one without a map is stored whole,
 * also where the manifest keeps the size of its blocks for later backups.
 */
export function backupFile(
  stanza: string,
  label: BackupLabel,
  file: { readonly name: string; readonly bundleId: number; readonly blockMapSize: number },
  compressSuffix: string,
): string {
  const base = labelPath(stanza, label);
  if (file.bundleId > 0) return `${base}/bundle/${file.bundleId}`;
  return `${base}/${file.name}${file.blockMapSize > 0 ? blockSuffix : compressSuffix}`;
}
