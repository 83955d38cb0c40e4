/** What a backup's workers are told and what they answer: plain data. */
import type { PageChecksumResult } from '../../postgres/page-checksum.ts';
import type { CompressType } from '../../repo/manifest/manifest.ts';
import type { RepoSettings } from '../../storage/drivers.ts';

/** What every worker of a backup knows from its start. */
export interface BackupThreadData {
  readonly command: 'backup';
  readonly repo: RepoSettings;
  readonly clusters: readonly { readonly key: number; readonly path: string; readonly host?: string }[];
  /** Bytes of a read. */
  readonly bufferSize: number;
  readonly compressType: CompressType;
  readonly compressLevel: number;
  /** Passphrase of the files of this backup set. */
  readonly cipherPass?: string;
  /** Bundle members are stored in the smaller framing. */
  readonly bundleRaw: boolean;
  readonly pageSize: number;
  readonly pageHeaderCheck: boolean;
  readonly forcedVersion?: string;
  readonly retry: { readonly count: number; readonly interval: number };
}

export interface BackupFileTask {
  /** Absolute path in the cluster. */
  readonly path: string;
  /** Where it is stored, below repo-path. */
  readonly repoPath: string;
  /** Bytes to copy at most: what the manifest saw. Growth is WAL's business. */
  readonly size: number;
  /** The server may have removed it. */
  readonly mayVanish: boolean;
  /** global/pg_control, which is read until its CRC is right. */
  readonly isControl: boolean;
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
  readonly files: readonly BackupFileTask[];
  /** Present when all of the files go into one bundle, in order. */
  readonly bundle?: { readonly id: number; readonly path: string };
}

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

/** Jobs of a backup: several small files, or one large one. */
export type BackupJobs = {
  readonly 'backup-files': { readonly input: BackupFilesInput; readonly output: readonly BackupFileResult[] };
};
