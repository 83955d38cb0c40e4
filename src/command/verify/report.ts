/** The report of verify as text (behaviour, section 5.5). Pure. */
import type { ArchiveOutcome, BackupOutcome, Fault, FaultCounts } from './outcome.ts';

const faultNames = {
  missing: 'missing',
  checksum: 'checksum invalid',
  size: 'size invalid',
  other: 'other',
} as const satisfies Record<Fault, string>;

/**
 * What is said of archives and backups, each line after a line feed.
 * @param verbose everything; else only what is bad, and counts that are not zero
 */
export function formatOutcomes(
  archives: readonly ArchiveOutcome[],
  backups: readonly BackupOutcome[],
  verbose: boolean,
): string {
  return (
    (verbose && archives.length === 0 ? '\n  archiveId: none found' : '') +
    archives.map(archive => formatArchive(archive, verbose)).join('') +
    (verbose && backups.length === 0 ? '\n  backup: none found' : '') +
    backups.map(backup => formatBackup(backup, verbose)).join('')
  );
}

function formatArchive({ archiveId, total, valid, faults }: ArchiveOutcome, verbose: boolean): string {
  const line =
    verbose || total !== valid
      ? `\n  archiveId: ${archiveId}, total WAL checked: ${total}, total valid WAL: ${valid}`
      : '';
  return line + (total > 0 ? formatFaults(faults, verbose) : '');
}

function formatBackup({ label, status, total, valid, faults }: BackupOutcome, verbose: boolean): string {
  const line =
    verbose || (status !== 'valid' && status !== 'in-progress')
      ? `\n  backup: ${label}, status: ${status}, total files checked: ${total}, total valid files: ${valid}`
      : '';
  return line + (total > 0 ? formatFaults(faults, verbose) : '');
}

function formatFaults(faults: FaultCounts, verbose: boolean): string {
  const parts = (Object.keys(faultNames) as Fault[])
    .filter(fault => verbose || faults[fault] > 0)
    .map(fault => `${faultNames[fault]}: ${faults[fault]}`);
  return parts.length === 0 ? '' : `\n    ${parts.join(', ')}`;
}
