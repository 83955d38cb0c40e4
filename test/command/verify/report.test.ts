import { describe, expect, test } from 'vitest';
import {
  type FaultCounts,
  newArchiveOutcome,
  newBackupOutcome,
  noFaults,
} from '../../../src/command/verify/outcome.ts';
import { formatOutcomes } from '../../../src/command/verify/report.ts';
import type { ArchiveId } from '../../../src/repo/history.ts';
import type { BackupLabel } from '../../../src/repo/label.ts';

const faults = (some: Partial<FaultCounts>): FaultCounts => ({ ...noFaults(), ...some });
const archive = (total: number, valid: number, some: Partial<FaultCounts> = {}) => ({
  ...newArchiveOutcome('15-1' as ArchiveId),
  total,
  valid,
  faults: faults(some),
});
const backup = (label: string, more: object = {}) => ({ ...newBackupOutcome(label as BackupLabel), ...more });

describe('the report', () => {
  test('has nothing to say of what is sound', () => {
    const inProgress = backup('20261121-020933F', { status: 'in-progress' });
    expect(
      formatOutcomes([archive(3, 3)], [backup('20261121-020932F', { total: 9, valid: 9 }), inProgress], false),
    ).toBe('');
    expect(formatOutcomes([], [], false)).toBe('');
  });

  test('says all when asked', () => {
    expect(formatOutcomes([], [], true)).toBe('\n  archiveId: none found\n  backup: none found');
    expect(formatOutcomes([archive(0, 0)], [backup('20261121-020932F', { status: 'manifest missing' })], true)).toBe(
      '\n  archiveId: 15-1, total WAL checked: 0, total valid WAL: 0' +
        '\n  backup: 20261121-020932F, status: manifest missing, total files checked: 0, total valid files: 0',
    );
  });

  test('has only counts that are not zero, unless it is to say all', () => {
    const bad = archive(31, 29, { checksum: 1, other: 1 });
    expect(formatOutcomes([bad], [], false)).toBe(
      '\n  archiveId: 15-1, total WAL checked: 31, total valid WAL: 29\n    checksum invalid: 1, other: 1',
    );
    expect(formatOutcomes([bad], [], true)).toContain(
      '\n    missing: 0, checksum invalid: 1, size invalid: 0, other: 1\n  backup: none found',
    );
    // duplicates are no fault of a file
    expect(formatOutcomes([archive(3, 1)], [], false)).toBe(
      '\n  archiveId: 15-1, total WAL checked: 3, total valid WAL: 1',
    );
  });
});
