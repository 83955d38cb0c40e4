/** What `info` finds in the repositories, as plain data, before anything is concluded from it. */
import type { BackupEntry } from '../../repo/backup-info.ts';
import type { ArchiveId, DbHistory } from '../../repo/history.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';
import type { ArchiveGap } from '../archive-gap.ts';
import type { ArchiveLag } from '../archive-lag.ts';

export type Cipher = 'none' | 'aes-256-cbc';

/** What a lock file tells of the command that holds it. */
export interface LockFinding {
  readonly held: boolean;
  /** Bytes in all and done; absent until the holder knows. */
  readonly progress?: { readonly size: number; readonly sizeComplete: number };
  /** Percent done times 100, from a release that tells no sizes. */
  readonly percentComplete?: number;
}

export const lockFree: LockFinding = { held: false };

/** First and last WAL segment that an archive holds. */
export interface WalRange {
  readonly min: string;
  readonly max: string;
}

export interface DatabaseFinding {
  readonly db: DbHistory;
  readonly archiveId: ArchiveId;
  /** Absent when nothing is archived. */
  readonly wal?: WalRange;
}

/** One stanza in one repository. */
export interface RepoFinding {
  readonly key: number;
  readonly cipher: Cipher;
  /**
   * - found: its info files were read
   * - path-missing: the repository has no such stanza
   * - data-missing: it has a directory of that name, but no info files
   * - unread: the info files were not asked for, or the stanza lies in other repositories only
   * - failed: something is wrong with it, see `error`
   */
  readonly state: 'found' | 'path-missing' | 'data-missing' | 'unread' | 'failed';
  /** `[FormatError] unable to load ...` with hints, one a line. */
  readonly error?: string;
  /** Oldest first. */
  readonly databases: readonly DatabaseFinding[];
  readonly current?: DbHistory;
  readonly backups: readonly BackupEntry[];
  /** Manifest of the backup that was asked for, if this repository has it. */
  readonly manifest?: Manifest;
  /** WAL of the cluster on this host that this repository lacks; absent when there is none here, or it is another one. */
  readonly lag?: ArchiveLag;
  /** WAL that was given up; absent when there is none. */
  readonly gaps?: readonly ArchiveGap[];
  readonly backupLock: LockFinding;
  readonly restoreLock: LockFinding;
}

export interface StanzaFinding {
  readonly name: string;
  /** In key order. */
  readonly repos: readonly RepoFinding[];
}

/** A repository of which nothing is known yet. */
export const emptyFinding = (key: number, cipher: Cipher): RepoFinding => ({
  key,
  cipher,
  state: 'unread',
  databases: [],
  backups: [],
  backupLock: lockFree,
  restoreLock: lockFree,
});
