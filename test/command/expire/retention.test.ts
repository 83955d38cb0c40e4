import { describe, expect, it } from 'vitest';
import { expiredManifests, expiredYears, historyLimit } from '../../../src/command/expire/history.ts';
import {
  oldestOptions,
  planRetention,
  type RetainedBackup,
  type RetentionOptions,
  type RetentionPlan,
} from '../../../src/command/expire/retention.ts';
import { type BackupLabel, fullLabelOf, typeOfLabel } from '../../../src/repo/label.ts';
import { label } from './synthetic-repo.ts';

const now = Date.UTC(2026, 5, 30) / 1000;
const day = 86_400;

const F1 = label('20260101-000000F');
const D1 = label('20260101-000000F_20260102-000000D');
const I1 = label('20260101-000000F_20260103-000000I');
const D2 = label('20260101-000000F_20260104-000000D');
const F2 = label('20260201-000000F');
const D3 = label('20260201-000000F_20260202-000000D');
const I2 = label('20260201-000000F_20260203-000000I');
const F3 = label('20260301-000000F');

const priors = new Map<BackupLabel, BackupLabel>([
  [I1, D1],
  [I2, D3],
]);

/** Backups with the labels, as they would be in backup.info. @param ages in days, the default is old */
function backups(
  labels: readonly BackupLabel[],
  ages: readonly number[] = [],
  dbIds: readonly number[] = [],
): RetainedBackup[] {
  return labels.map((label, index) => {
    const prior = typeOfLabel(label) === 'full' ? undefined : (priors.get(label) ?? fullLabelOf(label));
    return {
      label,
      type: typeOfLabel(label),
      dbId: dbIds[index] ?? 1,
      ...(prior === undefined ? {} : { prior }),
      reference: prior === undefined ? [] : [...new Set([fullLabelOf(label), prior])],
      archiveStart: null,
      archiveStop: null,
      timestampStop: now - (ages[index] ?? 100) * day,
    };
  });
}

const none: RetentionOptions = { fullType: 'count', archiveType: 'full' };

const plan = (
  list: readonly RetainedBackup[],
  options: Partial<RetentionOptions>,
  set?: BackupLabel,
  inUse: ReadonlyMap<BackupLabel, BackupLabel> = new Map(),
): RetentionPlan => planRetention({ backups: list, options: { ...none, ...options }, now, inUse, set, repo: 'repo1' });

const sets = (result: RetentionPlan): string[] =>
  result.expired.map(({ kind, labels }) => `${kind} ${labels.join(', ')}`);

describe('retention of full backups by count', () => {
  it.each<[number | undefined, string[]]>([
    [undefined, []],
    [4, []],
    [3, []],
    [2, [`full ${F1}, ${D1}, ${I1}, ${D2}`]],
    [1, [`full ${F1}, ${D1}, ${I1}, ${D2}`, `full ${F2}, ${D3}, ${I2}`]],
  ])('retention-full=%s', (full, expected) => {
    const result = plan(backups([F1, D1, I1, D2, F2, D3, I2, F3]), { full, archive: full });
    expect(sets(result)).toEqual(expected);
    expect(result.archive).toBe(full);
  });

  it('says why', () => {
    const { expired, kept } = plan(backups([F1, F2, F3]), { full: 2 });
    expect(expired.map(set => set.reason)).toEqual([
      'it is number 3 from the newest full backup, beyond repo1-retention-full=2',
    ]);
    expect(kept.map(({ label, reason }) => [label, reason])).toEqual([
      [F2, 'it is number 2 from the newest full backup, within repo1-retention-full=2'],
      [F3, 'it is number 1 from the newest full backup, within repo1-retention-full=2'],
    ]);
  });
});

describe('retention of full backups by time', () => {
  const fulls = [F1, F2, F3, label('20260401-000000F')];
  const ages = [20, 10, 5, 1];

  it.each<[days: number, gone: number, archive: number | undefined]>([
    [7, 1, 3],
    [12, 0, 4],
    [4, 2, 2],
    // the stop time must be older than the limit, not as old
    [5, 1, 3],
    [10, 0, 4],
    [19, 0, 4],
    [20, 0, undefined],
    [21, 0, undefined],
  ])('ages of 20, 10, 5 and 1 days, retention-full=%s: %s go', (days, gone, archive) => {
    const result = plan(backups(fulls, ages), { full: days, fullType: 'time' });
    expect(sets(result)).toEqual(fulls.slice(0, gone).map(label => `time-based ${label}`));
    expect(result.archive).toBe(archive);
  });

  it('takes dependents along, however young they are', () => {
    const result = plan(backups([F1, D1, F2, F3], [20, 0, 10, 1]), { full: 7, fullType: 'time' });
    expect(sets(result)).toEqual([`time-based ${F1}, ${D1}`]);
  });

  it('leaves retention of WAL as it is configured', () => {
    const list = backups(fulls, ages);
    expect(plan(list, { full: 7, fullType: 'time', archive: 1 }).archive).toBe(1);
    expect(plan(list, { full: 7, fullType: 'time', archiveType: 'diff' }).archive).toBeUndefined();
  });
});

describe('retention of diffs', () => {
  it.each<[number, string[]]>([
    // fulls count as diffs
    [5, []],
    [4, []],
    [3, [`diff ${D1}, ${I1}`]],
    [2, [`diff ${D1}, ${I1}`, `diff ${D2}`]],
    [1, [`diff ${D1}, ${I1}`, `diff ${D2}`]],
  ])('retention-diff=%s', (diff, expected) => {
    expect(sets(plan(backups([F1, D1, I1, D2, F2, D3]), { diff }))).toEqual(expected);
  });

  it('looks at what retention of fulls leaves', () => {
    expect(sets(plan(backups([F1, D1, I1, D2, F2, D3, I2]), { full: 1, diff: 1 }))).toEqual([
      `full ${F1}, ${D1}, ${I1}, ${D2}`,
    ]);
  });
});

describe('a set that was asked for', () => {
  it.each<[BackupLabel, string[]]>([
    [F1, [`adhoc ${F1}, ${D1}, ${I1}, ${D2}`]],
    [D1, [`adhoc ${D1}, ${I1}`]],
    [I2, [`adhoc ${I2}`]],
    [F2, [`adhoc ${F2}, ${D3}, ${I2}`]],
  ])('%s goes with its dependents, and nothing goes by retention', (set, expected) => {
    const result = plan(backups([F1, D1, I1, D2, F2, D3, I2]), { full: 1, diff: 1, archive: 1 }, set);
    expect(sets(result)).toEqual(expected);
    expect(result.archive).toBe(1);
  });

  it('is refused when it is the last full backup', () => {
    const refusal = `full backup ${F2} cannot be expired until another full backup has been created on this repo`;
    expect(() => plan(backups([F2, D3]), {}, F2)).toThrow(refusal);
    expect(() => plan(backups([F1, F2], [], [1, 2]), {}, F2)).toThrow(refusal);
    expect(sets(plan(backups([F1, F2], [], [1, 2]), {}, F1))).toEqual([`adhoc ${F1}`]);
    expect(sets(plan(backups([F2, D3]), {}, D3))).toEqual([`adhoc ${D3}`]);
  });
});

describe('a backup that is being made', () => {
  const user = label('20260101-000000F_20260105-000000I');
  const inUse = new Map([
    [F1, user],
    [D2, user],
  ]);

  it('keeps what it depends on', () => {
    const list = backups([F1, D1, I1, D2, F2, F3]);
    const result = plan(list, { full: 1, diff: 1 }, undefined, inUse);
    expect(sets(result)).toEqual([`full ${F2}`, `diff ${D1}, ${I1}`]);
    expect(result.kept.find(({ label }) => label === F1)).toEqual({
      label: F1,
      inUseBy: user,
      reason: `it is number 3 from the newest full backup, beyond repo1-retention-full=1, but backup ${user}, which is being made, depends on it`,
    });
    expect(sets(plan(list, { full: 1, fullType: 'time' }, undefined, inUse))).toEqual([`time-based ${F2}`]);
  });

  it('has a set that was asked for refused', () => {
    const list = backups([F1, D1, I1, D2, F2]);
    const refusal = (set: BackupLabel) => `backup ${set} cannot be expired while backup ${user} is being made`;
    for (const set of [F1, D2]) expect(() => plan(list, {}, set, inUse)).toThrow(refusal(set));
    expect(sets(plan(list, {}, D1, inUse))).toEqual([`adhoc ${D1}, ${I1}`]);
  });
});

it('one full fewer, whatever is configured', () => {
  const options = oldestOptions({ full: 90, fullType: 'time', diff: 3, archiveType: 'incr', history: 5 }, 3);
  expect(options).toEqual({ full: 2, fullType: 'count', diff: 3, archive: 2, archiveType: 'full', history: 5 });
});

it('a backup.info that leads in a circle comes to an end', () => {
  const [first, second] = backups([D1, D2]) as [RetainedBackup, RetainedBackup];
  const list = [
    ...backups([F1]),
    { ...first, prior: D2, reference: [D2] },
    { ...second, prior: D1, reference: [D1] },
    ...backups([F2]),
  ];
  expect(sets(plan(list, { diff: 1 }))).toEqual([`diff ${D1}, ${D2}`]);
});

describe('history', () => {
  const limit = historyLimit(30, Date.UTC(2026, 5, 30, 12) / 1000);

  it('has a limit in local time', () => {
    expect(limit.year).toBe('2026');
    expect(limit.label).toMatch(/^202605(30|31)-\d{6}F$/);
  });

  it('loses whole years before it', () => {
    expect(expiredYears(['2026', '2024', '2025', '2027', 'x', '1999'], limit)).toEqual(['2024', '2025']);
  });

  it('loses manifests before it that are not current', () => {
    const names = [F1, D1, F2, label('20260610-000000F')].map(name => `${name}.manifest.gz`);
    expect(expiredManifests([...names, 'other', '20260101-000000F.manifest'], limit, new Set([F2]))).toEqual([
      `${D1}.manifest.gz`,
      `${F1}.manifest.gz`,
    ]);
  });
});
