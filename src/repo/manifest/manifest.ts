/** The model of backup.manifest (format, section 3). */
import { controlFile } from '../../postgres/control.ts';
import type { BackupLabel, BackupType } from '../label.ts';
import { FileTable } from './file-table.ts';

export type CompressType = 'none' | 'bz2' | 'gz' | 'lz4' | 'zst';

/** Where the parts of a cluster lived: PGDATA itself, links out of it, tablespaces. */
export interface ManifestTarget {
  /** `pg_data`, `pg_data/pg_wal`, `pg_tblspc/16384` */
  readonly name: string;
  readonly type: 'path' | 'link';
  /** As written in the link (may be relative), or PGDATA. For a link to a file, its directory. */
  readonly path: string;
  /** Base name, for a link to a file. */
  readonly file?: string;
  readonly tablespaceId?: number;
  readonly tablespaceName?: string;
}

export interface ManifestPath {
  readonly name: string;
  readonly mode: number;
  readonly user: string | false;
  readonly group: string | false;
}

export interface ManifestLink {
  readonly name: string;
  readonly destination: string;
  readonly user: string | false;
  readonly group: string | false;
}

export interface ManifestDatabase {
  readonly name: string;
  readonly id: number;
  /** Newest oid that belongs to the system in this database: the oid of template0. */
  readonly lastSystemId: number;
}

/** Options the backup was made with; those that are absent until completion are optional. */
export interface ManifestOptions {
  readonly archiveCheck: boolean;
  readonly archiveCopy: boolean;
  readonly backupStandby?: boolean;
  readonly bufferSize?: number;
  readonly checksumPage: boolean;
  readonly compressLevel?: number;
  readonly compressLevelNetwork?: number;
  readonly compressType: CompressType;
  readonly delta: boolean;
  readonly hardlink: boolean;
  readonly online: boolean;
  readonly processMax?: number;
}

/** Everything about a backup but its files, paths and links. Times are seconds since the epoch. */
export interface ManifestHeader {
  readonly label: BackupLabel;
  readonly type: BackupType;
  readonly prior?: BackupLabel;
  /** The prior's list and this label: complete and in order, because block maps hold indexes into it. */
  readonly references: readonly BackupLabel[];
  readonly timestampStart: number;
  /** Second from which on a file may have been copied. */
  readonly timestampCopyStart: number;
  readonly timestampStop: number;
  readonly archiveStart?: string;
  readonly archiveStop?: string;
  readonly lsnStart?: string;
  readonly lsnStop?: string;
  readonly bundle: boolean;
  readonly bundleRaw: boolean;
  readonly blockIncremental: boolean;
  /** History id and system id: 0 until completion. */
  readonly dbId: number;
  readonly systemId: bigint;
  readonly pgVersion: string;
  readonly catalogVersion: number;
  readonly controlVersion: number;
  readonly options: ManifestOptions;
  /** Passphrase of the files of the whole backup set, in encrypted repositories. */
  readonly cipherPass?: string;
  readonly annotations: ReadonlyMap<string, string>;
  /** Version of the tool that wrote the manifest, when it was read. */
  readonly toolVersion?: string;
}

export interface Manifest {
  header: ManifestHeader;
  readonly targets: ManifestTarget[];
  readonly databases: ManifestDatabase[];
  readonly paths: ManifestPath[];
  readonly links: ManifestLink[];
  readonly files: FileTable;
}

/** The directory that names of PGDATA start with, and the base target's name. */
export const pgDataTarget = 'pg_data';

/** The control file in a manifest: read until its CRC is right, restored last. */
export const controlName = `${pgDataTarget}/${controlFile}`;
export const tablespaceTarget = 'pg_tblspc';

export function emptyManifest(header: ManifestHeader): Manifest {
  return { header, targets: [], databases: [], paths: [], links: [], files: new FileTable() };
}

/** The same cluster in a manifest of its own, for another repository. Files have the same indexes. */
export function copyManifest(manifest: Manifest): Manifest {
  const { header, targets, databases, paths, links, files } = manifest;
  return {
    header,
    targets: [...targets],
    databases: [...databases],
    paths: [...paths],
    links: [...links],
    files: files.copy(),
  };
}

/** `.gz`, `.lz4`, `.zst`, `.bz2`, or nothing. */
export const compressSuffix = (type: CompressType): string => (type === 'none' ? '' : `.${type}`);

/** SHA-1 of no bytes: what every empty file has. */
export const emptyChecksum = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';

/** Label of the backup that stores the bytes of a file. */
export const storedIn = (manifest: Manifest, file: { readonly reference?: string | undefined }): BackupLabel =>
  (file.reference as BackupLabel | undefined) ?? manifest.header.label;
