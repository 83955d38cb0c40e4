import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyFinding, type RepoFinding } from '../../../src/command/info/finding.ts';
import { formatReportJson } from '../../../src/command/info/json.ts';
import { groupByDatabase, makeReport, type ReportRequest } from '../../../src/command/info/report.ts';
import { formatReportText } from '../../../src/command/info/text.ts';
import type { BackupEntry } from '../../../src/repo/backup-info.ts';
import { archiveIdOf, type DbHistory } from '../../../src/repo/history.ts';
import type { BackupLabel } from '../../../src/repo/label.ts';
import { typeOfLabel } from '../../../src/repo/label.ts';
import { emptyManifest, type Manifest, type ManifestHeader } from '../../../src/repo/manifest/manifest.ts';

const full: ReportRequest = { progressOnly: false };
const db14: DbHistory = { id: 1, version: '14', systemId: 11n };
const db15: DbHistory = { id: 2, version: '15', systemId: 22n };

function entry(label: string, more: Partial<BackupEntry> = {}): BackupEntry {
  return {
    label: label as BackupLabel,
    version: '2.59.1',
    type: typeOfLabel(label as BackupLabel),
    dbId: 1,
    annotations: new Map(),
    archiveStart: '000000010000000000000002',
    archiveStop: '000000010000000000000003',
    lsnStart: '0/2000028',
    lsnStop: '0/3000100',
    error: false,
    size: 1024,
    sizeDelta: 1024,
    repoSize: 512,
    repoSizeDelta: 512,
    reference: [],
    timestampStart: 1_700_000_000,
    timestampStop: 1_700_000_010,
    archiveCheck: true,
    archiveCopy: false,
    backupStandby: false,
    checksumPage: true,
    compress: true,
    hardlink: false,
    online: true,
    ...more,
  };
}

function found(key: number, history: readonly DbHistory[], backups: readonly BackupEntry[]): RepoFinding {
  const current = history.at(-1);
  return {
    ...emptyFinding(key, 'none'),
    state: 'found',
    databases: history.map(db => ({ db, archiveId: archiveIdOf(db) })),
    backups,
    ...(current === undefined ? {} : { current }),
  };
}

const manifestOf = (parts: Partial<Manifest>): Manifest => ({
  ...emptyManifest({ label: '20260101-000000F' } as ManifestHeader),
  ...parts,
});

const report = (repos: readonly RepoFinding[], request = full) => makeReport({ name: 'demo', repos }, request);
const text = (repos: readonly RepoFinding[], request = full) => formatReportText([report(repos, request)], request.set);

describe('makeReport', () => {
  const backup = entry('20260101-000000F');
  const good = found(1, [db14], [backup]);
  const statuses: [string, RepoFinding[], number, number[]][] = [
    ['all well', [good], 0, [0]],
    ['the same in two', [good, found(2, [db14], [backup])], 0, [0, 0]],
    ['no backups', [found(1, [db14], [])], 2, [2]],
    ['no backups in one of two', [good, found(2, [db14], [])], 4, [0, 2]],
    ['only in the first repository', [good, emptyFinding(2, 'none')], 4, [0, 1]],
    ['missing everywhere', [{ ...emptyFinding(1, 'none'), state: 'path-missing' }], 1, [1]],
    ['without info files', [{ ...emptyFinding(1, 'none'), state: 'data-missing' }], 3, [3]],
    ['failed', [{ ...emptyFinding(1, 'none'), state: 'failed', error: '[X] y' }], 99, [99]],
    [
      'failed everywhere',
      [1, 2].map(key => ({ ...emptyFinding(key, 'none'), state: 'failed', error: '[X] y' })),
      99,
      [99, 99],
    ],
    ['another cluster in the second', [good, found(2, [db15], [backup])], 5, [0, 0]],
    ['different in three', [good, emptyFinding(2, 'none'), found(3, [db14], [])], 4, [0, 1, 2]],
  ];

  it.each(statuses)('%s', (_name, repos, code, repoCodes) => {
    const { status, details } = report(repos);
    expect(status.code).toBe(code);
    expect(details?.repos.map(repo => repo.status.code)).toEqual(repoCodes);
  });

  it('merges backups by the time they ended, whatever their repository', () => {
    const times = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { maxLength: 8 });
    fc.assert(
      fc.property(times, times, (first, second) => {
        const make = (ends: number[]) =>
          [...ends].sort((a, b) => a - b).map(end => entry('20260101-000000F', { timestampStop: end }));
        const { details } = report([found(1, [db14], make(first)), found(2, [db14], make(second))]);
        const ends = details?.backups.map(({ entry: { timestampStop } }) => timestampStop);
        expect(ends).toEqual([...first, ...second].sort((a, b) => a - b));
      }),
    );
  });

  it('a set that no repository has leaves nothing but the status', () => {
    const result = report([good], { ...full, set: '20260101-000009F' });
    expect(result.status).toEqual({ code: 6, message: 'requested backup not found' });
    expect(result.details).toMatchObject({ databases: [], archives: [], backups: [] });
  });

  it('an old archive is listed only when there is WAL in it', () => {
    const ids = (repo: RepoFinding) => report([repo]).details?.archives.map(archive => archive.archiveId);
    const repo = found(1, [db14, db15], []);
    expect(ids(repo)).toEqual(['15-2']);
    const wal = { min: '000000010000000000000001', max: '000000010000000000000009' };
    const [first, ...rest] = repo.databases;
    if (first === undefined) throw new Error('no database');
    expect(ids({ ...repo, databases: [{ ...first, wal }, ...rest] })).toEqual(['14-1', '15-2']);
  });
});

describe('groupByDatabase', () => {
  const details = (repos: readonly RepoFinding[], request = full) => {
    const made = report(repos, request).details;
    if (made === undefined) throw new Error('no details');
    return made;
  };

  it('prior clusters come first, and only those that left something', () => {
    const repo = found(1, [db14, db15], [entry('20260101-000000F'), entry('20260102-000000F', { dbId: 2 })]);
    const groups = groupByDatabase(details([repo]), undefined);
    expect(groups.map(group => [group.db.version, group.isCurrent])).toEqual([
      ['14', false],
      ['15', true],
    ]);
    const empty = groupByDatabase(details([found(1, [db14, db15], [])]), undefined);
    expect(empty.map(group => group.db.version)).toEqual(['15']);
  });

  it('brings together one cluster that has another id in each repository', () => {
    const one = found(1, [db14, db15], [entry('20260102-000000F', { dbId: 2 })]);
    const other = found(2, [{ ...db15, id: 1 }], [entry('20260103-000000F', { timestampStop: 1_800_000_000 })]);
    const groups = groupByDatabase(details([one, other]), undefined);
    expect(groups.map(group => group.backups.map(backup => backup.repoKey))).toEqual([[1, 2]]);
  });

  it('takes the widest range of WAL over the repositories', () => {
    const withWal = (key: number, min: string, max: string): RepoFinding => ({
      ...found(key, [db15], []),
      databases: [{ db: db15, archiveId: archiveIdOf(db15), wal: { min, max } }],
    });
    const [group] = groupByDatabase(details([withWal(1, 'B', 'C'), withWal(2, 'A', 'D')]), undefined);
    expect(group?.wal).toEqual({ min: 'A', max: 'D' });
  });

  it('for a set, shows only the cluster that it is of', () => {
    const repo = found(1, [db14, db15], [entry('20260101-000000F'), entry('20260102-000000F', { dbId: 2 })]);
    const request = { ...full, set: '20260101-000000F' };
    const groups = groupByDatabase(details([{ ...repo, manifest: manifestOf({}) }], request), request.set);
    expect(groups.map(group => group.db.version)).toEqual(['14']);
  });
});

describe('text', () => {
  it('counts the backups that one depends on by type', () => {
    const reference = ['20260101-000000F', '20260101-000000F_20260102-000000D', '20260101-000000F_20260103-000000I'];
    const last = entry('20260101-000000F_20260104-000000I', { reference: reference as BackupLabel[] });
    expect(text([found(1, [db14], [last])])).toContain('            backup reference total: 1 full, 1 diff, 1 incr\n');
    const repo = { ...found(1, [db14], [last]), manifest: manifestOf({}) };
    expect(text([repo], { ...full, set: last.label })).toContain(
      `            backup reference list: ${reference.join(', ')}\n`,
    );
  });

  it('a block-incremental backup has no set size', () => {
    const block = entry('20260101-000000F', { repoSizeMap: 10, repoSizeMapDelta: 5 });
    expect(text([found(1, [db14], [block])])).toContain('            repo1: backup size: 512B\n');
    const json = JSON.parse(formatReportJson([report([found(1, [db14], [block])])]));
    expect(json[0].backup[0].info.repository).toEqual({ delta: 512, 'delta-map': 5, 'size-map': 10 });
  });

  it('an offline backup has no WAL', () => {
    const offline: Partial<BackupEntry> = { archiveStart: null, archiveStop: null };
    expect(text([found(1, [db14], [entry('20260101-000000F', offline)])])).toContain(
      '            wal start/stop: n/a\n',
    );
  });

  it('errors during the backup: a hint in the list, the files in the set', () => {
    const bad = entry('20260101-000000F', { error: true });
    expect(text([found(1, [db14], [bad])])).toContain('            error(s) detected during backup\n');
    const manifest = manifestOf({});
    const file = { size: 1, sizeOriginal: 1, sizeRepo: 1, timestamp: 1, bundleId: 0, bundleOffset: 0 };
    const block = { blockSize: 0, blockChecksumSize: 0, blockMapSize: 0 };
    for (const [name, checksumPage] of [
      ['pg_data/base/5/1', false],
      ['pg_data/base/5/2', true],
      ['pg_tblspc/9/PG_15_1/5/3', false],
    ] as const) {
      manifest.files.add({ name, checksumPage, ...file, ...block });
    }
    const set = { ...full, set: bad.label };
    const repo = { ...found(1, [db14], [bad]), manifest };
    expect(text([repo], set)).toContain('            error list: base/5/1, pg_tblspc/9/PG_15_1/5/3\n');
    const [json] = JSON.parse(formatReportJson([report([repo], set)]));
    expect(json.backup[0]).toMatchObject({ error: true, 'error-list': ['base/5/1', 'pg_tblspc/9/PG_15_1/5/3'] });
  });

  it('shows databases, links and tablespaces of a set', () => {
    const manifest = manifestOf({
      databases: [
        { name: 'app', id: 16393, lastSystemId: 4 },
        { name: 'postgres', id: 5, lastSystemId: 4 },
        { name: 'template0', id: 4, lastSystemId: 4 },
        { name: 'template1', id: 1, lastSystemId: 4 },
      ],
      targets: [
        { name: 'pg_data', type: 'path', path: '/pg' },
        { name: 'pg_data/pg_hba.conf', type: 'link', path: '../etc', file: 'pg_hba.conf' },
        { name: 'pg_data/pg_wal', type: 'link', path: '/wal' },
        { name: 'pg_tblspc/16384', type: 'link', path: '/ts', tablespaceId: 16384, tablespaceName: 'ts1' },
      ],
    });
    const set = { ...full, set: '20260101-000000F' };
    expect(text([{ ...found(1, [db14], [entry(set.set)]), manifest }], set)).toContain(
      [
        '            database list: app (16393), postgres (5)',
        '            symlinks:',
        '                pg_hba.conf => ../etc/pg_hba.conf',
        '                pg_wal => /wal',
        '            tablespaces:',
        '                ts1 (16384) => /ts',
        '',
      ].join('\n'),
    );
    expect(text([{ ...found(1, [db14], [entry(set.set)]), manifest: manifestOf({}) }], set)).toContain(
      '            database list: none\n',
    );
  });
});

describe('JSON', () => {
  it('leaves out what old backups do not know', () => {
    const { error: _error, lsnStart: _start, lsnStop: _stop, ...old } = entry('20260101-000000F');
    const [stanza] = JSON.parse(formatReportJson([report([found(1, [db14], [old])])]));
    expect(stanza.backup[0]).not.toHaveProperty('error');
    expect(stanza.backup[0]).not.toHaveProperty('lsn');
  });

  it('is JSON whatever an annotation holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), value => {
        const annotated = entry('20260101-000000F', { annotations: new Map([['key', value]]) });
        const [stanza] = JSON.parse(formatReportJson([report([found(1, [db14], [annotated])])]));
        expect(stanza.backup[0].annotation).toEqual({ key: value });
      }),
    );
  });
});
