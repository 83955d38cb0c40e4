/** What verify found: of one file, of an archive, of a backup. */
import type { ArchiveId } from '../../repo/history.ts';
import type { BackupLabel } from '../../repo/label.ts';

/** Why a file is not what it should be; `other` when it could not be read or decoded at all. */
export type Fault = 'missing' | 'checksum' | 'size' | 'other';

/** How many files have which fault. */
export type FaultCounts = Record<Fault, number>;

export const noFaults = (): FaultCounts => ({ missing: 0, checksum: 0, size: 0, other: 0 });

/** WAL without a gap in it: names of the first and last segment. */
export interface WalRange {
  readonly start: string;
  stop: string;
}

export interface ArchiveOutcome {
  readonly archiveId: ArchiveId;
  /** Files, duplicates among them. */
  total: number;
  valid: number;
  readonly faults: FaultCounts;
  /** In order. */
  readonly ranges: WalRange[];
}

export interface BackupOutcome {
  readonly label: BackupLabel;
  status: 'valid' | 'invalid' | 'manifest missing' | 'in-progress';
  total: number;
  valid: number;
  readonly faults: FaultCounts;
  /** Faults by place (see placeOf() in backup-files.ts): backups that refer to a bad file have it too. */
  readonly bad: Map<string, Fault>;
}

export const newArchiveOutcome = (archiveId: ArchiveId): ArchiveOutcome => ({
  archiveId,
  total: 0,
  valid: 0,
  faults: noFaults(),
  ranges: [],
});

export const newBackupOutcome = (label: BackupLabel): BackupOutcome => ({
  label,
  status: 'valid',
  total: 0,
  valid: 0,
  faults: noFaults(),
  bad: new Map(),
});
