/** What a backup's workers are told and what they answer: plain data. */
import type { PlainError } from '../../base/error.ts';
import type { PageChecksumResult } from '../../postgres/page-checksum.ts';
import type { BackupLabel } from '../../repo/label.ts';
import type { CompressType } from '../../repo/manifest/manifest.ts';
import type { RepoSettings } from '../../storage/drivers.ts';

/** What every worker of a backup knows from its start. */
export interface BackupThreadData {
  readonly command: 'backup';
  /** Where the backup goes: one, or several in a fan-out. */
  readonly repos: readonly RepoThreadData[];
  readonly clusters: readonly { readonly key: number; readonly path: string; readonly host?: string }[];
  /** Bytes of a read. */
  readonly bufferSize: number;
  readonly pageSize: number;
  readonly pageHeaderCheck: boolean;
  readonly forcedVersion?: string;
  readonly retry: { readonly count: number; readonly interval: number };
}

/** A repository, and how files are stored in its backup. */
export interface RepoThreadData {
  readonly repo: RepoSettings;
  readonly stanza: string;
  readonly label: BackupLabel;
  readonly compressType: CompressType;
  readonly compressLevel: number;
  /** Passphrase of the files of this backup set. */
  readonly cipherPass?: string;
  /** Bundle members are stored in the smaller framing. */
  readonly bundleRaw: boolean;
}

/**
 * A file of the cluster: read once, whatever the number of repositories that take it. What a worker can find out of the name
 * is not said: V8 puts the objects of a message of more than 100 kB where garbage is seldom collected.
 */
export interface BackupFileTask {
  /** In the manifest. */
  readonly name: string;
  /** Bytes to copy at most: what the manifest saw. Growth is WAL's business. */
  readonly size: number;
  /** In the order of the job's repositories; absent where the repository has no use for the file. */
  readonly stores: readonly (StoreTask | undefined)[];
}

/** What one repository does with a file. */
export interface StoreTask {
  /** Number of the bundle that it goes into, behind the files of the job before it; 0 for a file of its own. */
  readonly bundleId: number;
  /** Which gigabyte of its relation the file is, when its pages have checksums. */
  readonly pageSegment?: number;
  readonly block?: BlockTask;
  /** What an aborted backup stored of the file under the same name. */
  readonly resumed?: {
    readonly checksum: string;
    readonly size: number;
    readonly sizeRepo: number;
    /** SHA-1 of the stored bytes. */
    readonly checksumRepo: string;
    /** Times are not to be trusted (option delta): the cluster's file must have that content too. */
    readonly compare: boolean;
  };
  /** The prior backup's content: an equal file is not stored again. `always`: compare before anything is written. */
  readonly prior?: { readonly checksum: string; readonly size: number; readonly always: boolean };
}

/** How a file is stored by blocks. */
export interface BlockTask {
  readonly blockSize: number;
  readonly checksumSize: number;
  readonly superBlockSize: number;
  /** Index of this backup in the manifest's list of references. */
  readonly reference: number;
  /** Where the prior backup's map of the file is stored, when it has one of the same block size. */
  readonly priorMap?: { readonly path: string; readonly offset: number; readonly length: number };
}

export interface BackupFilesInput {
  readonly pgKey: number;
  /** The repositories of the job, as indexes into those of the thread. */
  readonly repos: readonly number[];
  readonly files: readonly BackupFileTask[];
}

/** What became of a job in one repository. Absent results are of files that it has no use for. */
export type RepoOutput =
  | { readonly results: readonly (BackupFileResult | undefined)[] }
  /** Only in a fan-out: else the failure of the repository is that of the job. */
  | { readonly error: PlainError };

export type BackupFileResult =
  | { readonly outcome: 'vanished' }
  /** An aborted backup stored it, and the stored bytes are right. */
  | { readonly outcome: 'resumed' }
  /** The prior backup has all of it: nothing was stored. */
  | { readonly outcome: 'matched'; readonly checksum: string; readonly size: number }
  | {
      readonly outcome: 'copied';
      readonly size: number;
      readonly sizeRepo: number;
      readonly checksum: string;
      /** Present when the stored bytes are not the content. */
      readonly checksumRepo?: string;
      readonly pages?: PageChecksumResult;
      /** An aborted backup stored it, but the stored bytes were wrong. */
      readonly resumeFailed?: true;
      /** Where the file starts in its bundle. */
      readonly bundleOffset?: number;
      /** Stored bytes of the block map. */
      readonly blockMapSize?: number;
    };

/** Jobs of a backup: several small files, or one large one. The output is in the order of the job's repositories. */
export type BackupJobs = {
  readonly 'backup-files': { readonly input: BackupFilesInput; readonly output: readonly RepoOutput[] };
};
