import { describe, expect, it } from 'vitest';
import {
  type ArchivePlan,
  type ArchiveRequest,
  planArchive,
  planRemoval,
  planTimelines,
  sortDirectories,
  type WalRange,
} from '../../../src/command/expire/archive.ts';
import type { RetainedBackup } from '../../../src/command/expire/retention.ts';
import type { DbHistory } from '../../../src/repo/history.ts';
import { type BackupLabel, typeOfLabel } from '../../../src/repo/label.ts';
import { label, segmentName } from './synthetic-repo.ts';

const F1 = label('20260101-000000F');
const D1 = label('20260101-000000F_20260102-000000D');
const F2 = label('20260201-000000F');
const I2 = label('20260201-000000F_20260203-000000I');
const F3 = label('20260301-000000F');

const s = (at: number, timeline = 1): string => segmentName(timeline, at);

const backup = (name: BackupLabel, wal: readonly [string, string] | undefined, dbId = 1): RetainedBackup => ({
  label: name,
  type: typeOfLabel(name),
  dbId,
  reference: [],
  archiveStart: wal?.[0] ?? null,
  archiveStop: wal?.[1] ?? null,
  timestampStop: 0,
});

const db = (id: number, version = '15'): DbHistory => ({ id, version, systemId: BigInt(id) });

function plan(backups: readonly RetainedBackup[], options: Partial<ArchiveRequest> = {}): ArchivePlan[] | undefined {
  const history = [db(1)];
  return planArchive({ backups, type: 'full', retention: 1, archive: { currentId: 1, history }, history, ...options });
}

const three = [
  backup(F1, [s(2), s(3)]),
  backup(D1, [s(5), s(5)]),
  backup(F2, [s(7), s(8)]),
  backup(I2, [s(9), s(9)]),
  backup(F3, [s(12), s(12)]),
];

describe('the WAL that is needed', () => {
  it.each<[ArchiveRequest['type'], number, WalRange[]]>([
    [
      'full',
      1,
      [
        { start: s(2), stop: s(3) },
        { start: s(5), stop: s(5) },
        { start: s(7), stop: s(8) },
        { start: s(9), stop: s(9) },
        { start: s(12) },
      ],
    ],
    ['full', 2, [{ start: s(2), stop: s(3) }, { start: s(5), stop: s(5) }, { start: s(7) }]],
    ['full', 3, [{ start: s(2) }]],
    ['diff', 3, [{ start: s(2), stop: s(3) }, { start: s(5) }]],
    [
      'incr',
      2,
      [{ start: s(2), stop: s(3) }, { start: s(5), stop: s(5) }, { start: s(7), stop: s(8) }, { start: s(9) }],
    ],
  ])('type %s, number %s', (type, retention, ranges) => {
    expect(plan(three, { type, retention })).toMatchObject([
      { archiveId: '15-1', remove: 'outside', ranges, firstTimeline: '00000001' },
    ]);
  });

  it('is told for each backup', () => {
    expect(plan(three, { retention: 2 })?.[0]?.details).toEqual([
      `archive retention on backup ${F1}, start = ${s(2)}, stop = ${s(3)}`,
      `archive retention on backup ${D1}, start = ${s(5)}, stop = ${s(5)}`,
      `archive retention on backup ${F2}, start = ${s(7)}`,
    ]);
  });

  it('is all of it while there are too few backups', () => {
    expect(plan(three, { retention: 4 })).toBeUndefined();
    expect(plan([])).toBeUndefined();
  });

  it('is not known when the retention backup was made offline', () => {
    expect(plan([backup(F1, [s(2), s(3)]), backup(F2, undefined)])).toMatchObject([{ remove: 'none' }]);
    expect(plan([backup(F1, undefined), backup(F2, [s(7), s(8)])])).toMatchObject([{ ranges: [{ start: s(7) }] }]);
  });

  it('includes that of a newer backup on an older timeline', () => {
    expect(plan([backup(F1, [s(20, 2), s(20, 2)]), backup(F2, [s(30, 1), s(31, 1)])], { retention: 2 })).toMatchObject([
      { ranges: [{ start: s(30, 1) }], firstTimeline: '00000001' },
    ]);
  });
});

describe('several clusters', () => {
  const history = [db(1, '14'), db(2), db(3, '16')];
  const archive = { currentId: 3, history };

  it('each has its own retention backup', () => {
    const backups = [backup(F1, [s(2), s(3)], 1), backup(F2, [s(7), s(8)], 2), backup(F3, [s(1), s(1)], 2)];
    expect(plan(backups, { archive, history, retention: 2 })).toMatchObject([
      // none of the two newest: its newest one
      { archiveId: '14-1', remove: 'outside', ranges: [{ start: s(2) }] },
      // F2 counts; what follows F2 on a lower segment is kept too
      { archiveId: '15-2', remove: 'outside', ranges: [{ start: s(1) }] },
      // current, without a backup
      { archiveId: '16-3', remove: 'none' },
    ]);
    expect(plan(backups.slice(1), { archive, history })?.[0]).toMatchObject({ archiveId: '14-1', remove: 'all' });
  });

  it.each<[string, readonly DbHistory[]]>([
    ['another version', [db(1, '14'), db(2, '13'), db(3, '16')]],
    ['another system id', [db(1, '14'), { ...db(2), systemId: 9n }, db(3, '16')]],
    ['fewer clusters', [db(2), db(3, '16')]],
  ])('backup.info that knows %s is an error', (_name, other) => {
    expect(() => plan(three, { archive, history: other })).toThrow(
      'archive expiration cannot continue - archive and backup history lists do not match',
    );
  });

  it('archive.info may know fewer', () => {
    expect(
      plan([backup(F1, [s(2), s(3)], 3)], { archive: { currentId: 3, history: history.slice(1) }, history }),
    ).toMatchObject([
      { archiveId: '15-2', remove: 'all' },
      { archiveId: '16-3', remove: 'outside' },
    ]);
  });
});

describe('archive-expire-before', () => {
  it.each<[string, number, WalRange[]]>([
    ['before the retention backup', 6, [{ start: s(6) }]],
    ['at its start', 7, [{ start: s(7) }]],
    ['after it', 10, [{ start: s(7) }]],
  ])('%s', (_name, at, ranges) => {
    expect(plan([backup(F2, [s(7), s(8)])], { expireBefore: s(at) })).toMatchObject([{ ranges }]);
  });

  it('works without a backup, and with fewer than are asked for', () => {
    expect(plan([], { expireBefore: s(3) })).toMatchObject([{ remove: 'outside', ranges: [{ start: s(3) }] }]);
    expect(plan([backup(F2, [s(7), s(8)])], { expireBefore: s(9), retention: 5 })).toMatchObject([
      { ranges: [{ start: s(7) }] },
    ]);
  });
});

describe('what is removed', () => {
  const remove = (files: readonly string[], ranges: readonly WalRange[]) => {
    const names = [...new Set(files.map(file => file.split('/')[0] ?? ''))].reverse();
    const directories = sortDirectories(names, ranges);
    const inside = new Map(
      directories.parts.map(name => [
        name,
        files.filter(file => file.startsWith(`${name}/`)).map(file => file.slice(17)),
      ]),
    );
    return { ...directories, ...planRemoval(names, directories, inside, ranges) };
  };
  const file = (at: number): string => `${s(at).slice(0, 16)}/${s(at)}-${'a'.repeat(40)}.gz`;

  it('is in runs, with whole directories among them', () => {
    const files = [...Array(1030).keys()].map(file);
    const { whole, parts, paths, runs } = remove(files, [
      { start: s(3), stop: s(4) },
      { start: s(600), stop: s(600) },
      { start: s(1025) },
    ]);
    expect(whole).toEqual([s(256).slice(0, 16), s(768).slice(0, 16)]);
    expect(parts).toEqual([s(0), s(512), s(1024)].map(name => name.slice(0, 16)));
    expect(runs).toEqual([
      { start: s(0), stop: s(2) },
      { start: s(5), stop: s(599) },
      { start: s(601), stop: s(1024) },
    ]);
    expect(paths.filter(path => !path.includes('/'))).toEqual(whole);
    expect(paths).toHaveLength(3 + 251 + 1 + 88 + 167 + 1 + 1);
  });

  it('never is in a directory that one range covers, which is not listed', () => {
    const { parts, paths, runs } = remove(
      [file(300), file(600), file(900)],
      [{ start: s(256), stop: s(800) }, { start: s(899) }],
    );
    expect(parts).toEqual([s(899).slice(0, 16)]);
    expect([paths, runs]).toEqual([[], []]);
  });

  it('goes by the first 24 characters: partial segments and backup files too, foreign files not', () => {
    const directory = s(0).slice(0, 16);
    const files = [
      `${s(1)}.partial-${'b'.repeat(40)}`,
      `${s(1)}.00000028.backup`,
      `${s(2)}.00000028.backup`,
      'notes.txt',
    ];
    expect(
      remove(
        files.map(name => `${directory}/${name}`),
        [{ start: s(2) }],
      ).paths,
    ).toEqual([`${directory}/${s(1)}.00000028.backup`, `${directory}/${s(1)}.partial-${'b'.repeat(40)}`]);
  });

  it('leaves names alone that are not of the archive', () => {
    expect(remove(['archive.tmp/x', '00000001/y', '00000002.history'], [{ start: s(900) }]).paths).toEqual([]);
  });

  it('includes history files of timelines before the first that is kept', () => {
    const names = ['00000001.history', '00000003.history', '0000000A.history', '00000002.history', 'x.history'];
    expect(planTimelines(names, '00000003')).toEqual(['00000001.history', '00000002.history']);
    expect(planTimelines(names, undefined)).toEqual([]);
  });
});
