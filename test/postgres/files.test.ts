import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  databaseOf,
  defineFileRules,
  type FileRulesOptions,
  findUnlogged,
  mayVanish,
  relationSegment,
} from '../../src/postgres/files.ts';
import { versionOf } from '../../src/postgres/versions.ts';
import type { FileType } from '../../src/storage/storage.ts';

const options = (fields: Partial<FileRulesOptions> & { text?: string } = {}): FileRulesOptions => {
  const version = versionOf(fields.text ?? '15');
  return { version, catalogVersion: version.catalogVersion, online: true, ...fields };
};

/** The verdict on a manifest name: `keep`, `skip`, `empty`, `special`, and the exclusion after it when there was one. */
function judge(name: string, type: FileType, given: FileRulesOptions): string {
  const slash = name.lastIndexOf('/');
  const { keeping, exclusion } = defineFileRules(given)
    .directory(name.slice(0, slash))
    .judge(name.slice(slash + 1), type);
  return exclusion === undefined ? keeping : `${keeping} ${exclusion}`;
}

describe('what a backup holds', () => {
  test.each<[name: string, type: FileType, verdict: string, options?: FileRulesOptions]>([
    ['pg_data/postgresql.conf', 'file', 'keep'],
    ['pg_data/PG_VERSION', 'file', 'keep'],
    ['pg_data/base', 'path', 'keep'],
    ['pg_data/base/5/1259', 'file', 'keep'],
    ['pg_data/base/5/1259_fsm', 'file', 'keep'],
    ['pg_data/base/5/16384_init', 'file', 'keep'],
    ['pg_data/base/5/pg_filenode.map', 'file', 'keep'],
    ['pg_data/global/pg_control', 'file', 'keep'],
    ['pg_data/pg_tblspc/16400', 'link', 'keep'],
    // left-overs of queries, anywhere
    ['pg_data/pgsql_tmp', 'path', 'skip'],
    ['pg_data/base/pgsql_tmp', 'path', 'skip'],
    ['pg_data/base/5/pgsql_tmp123.0', 'file', 'skip'],
    ['pg_data/base/pgsql_tmp_of_a_user', 'link', 'skip'],
    ['pg_tblspc/16400/PG_15_202209061/pgsql_tmp', 'path', 'skip'],
    ['pg_data/x_pgsql_tmp', 'file', 'keep'],
    // directories without their contents
    ...['pg_dynshmem', 'pg_notify', 'pg_replslot', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans'].map(
      (name): [string, FileType, string] => [`pg_data/${name}`, 'path', 'empty'],
    ),
    ['pg_data/pg_stat', 'path', 'keep'],
    ['pg_data/base/pg_notify', 'path', 'keep'],
    ['pg_data/pg_notify', 'link', 'keep'],
    // WAL
    ['pg_data/pg_wal', 'path', 'keep'],
    ['pg_data/pg_wal/000000010000000000000001', 'file', 'skip'],
    ['pg_data/pg_wal/00000002.history', 'file', 'skip'],
    ['pg_data/pg_wal/archive_status', 'path', 'empty'],
    ['pg_data/pg_wal/summaries', 'path', 'keep'],
    ['pg_data/pg_wal/000000010000000000000001', 'file', 'keep', options({ online: false })],
    ['pg_data/pg_wal/archive_status', 'path', 'keep', options({ online: false })],
    ['pg_data/pg_xlog/000000010000000000000001', 'file', 'keep'],
    ['pg_data/pg_xlog/000000010000000000000001', 'file', 'skip', options({ text: '9.6' })],
    ['pg_data/pg_xlog/archive_status', 'path', 'empty', options({ text: '9.6' })],
    // caches and temporary relations, in database directories only
    ['pg_data/base/5/pg_internal.init', 'file', 'skip'],
    ['pg_data/global/pg_internal.init.4711', 'file', 'skip'],
    ['pg_data/pg_internal.init', 'file', 'keep'],
    ['pg_data/base/5/pg_internal.initial', 'file', 'keep'],
    ['pg_data/base/5/pg_internal.init.x', 'file', 'keep'],
    ['pg_data/base/5/t3_16384', 'file', 'skip'],
    ['pg_data/base/5/t3_16384_fsm', 'file', 'skip'],
    ['pg_data/base/5/t3_16384_vm.12', 'file', 'skip'],
    ['pg_data/base/5/t3_16384.1', 'file', 'skip'],
    ['pg_data/base/5/t3_16384_init', 'file', 'keep'],
    ['pg_data/base/5/t_16384', 'file', 'keep'],
    ['pg_data/t3_16384', 'file', 'keep'],
    ['pg_data/base/5/sub/t3_16384', 'file', 'keep'],
    ['pg_tblspc/16400/PG_15_202209061/5/t3_16384', 'file', 'skip'],
    ['pg_tblspc/16400/PG_14_202107181/5/t3_16384', 'file', 'keep'],
    ['pg_tblspc/16400/PG_9.6_201608131/5/t3_16384', 'file', 'skip', options({ text: '9.6' })],
    ['pg_tblspc/16400/PG_9x6_201608131/5/t3_16384', 'file', 'keep', options({ text: '9.6' })],
    // files of a running server, of another backup or recovery
    ['pg_data/postmaster.pid', 'file', 'skip'],
    ['pg_data/postmaster.opts', 'file', 'skip'],
    ['pg_data/postgresql.auto.conf', 'file', 'keep'],
    ['pg_data/postgresql.auto.conf.tmp', 'file', 'skip'],
    ['pg_data/base/postmaster.pid', 'file', 'keep'],
    ['pg_data/backup_label', 'file', 'skip'],
    ['pg_data/backup_label', 'file', 'keep', options({ text: '9.4' })],
    ['pg_data/backup_label', 'file', 'keep', options({ text: '9.5' })],
    ['pg_data/backup_label', 'file', 'skip', options({ text: '9.6' })],
    ['pg_data/backup_label.old', 'file', 'skip', options({ text: '9.4' })],
    ['pg_data/tablespace_map', 'file', 'keep'],
    ['pg_data/recovery.signal', 'file', 'skip'],
    ['pg_data/standby.signal', 'file', 'skip', options({ text: '12' })],
    ['pg_data/standby.signal', 'file', 'keep', options({ text: '11' })],
    ['pg_data/recovery.conf', 'file', 'keep'],
    ['pg_data/recovery.conf', 'file', 'skip', options({ text: '11' })],
    ['pg_data/recovery.done', 'file', 'skip', options({ text: '9.4' })],
    ['pg_data/backup_manifest', 'file', 'skip'],
    ['pg_data/backup_manifest.tmp', 'file', 'skip', options({ text: '13' })],
    ['pg_data/backup_manifest', 'file', 'keep', options({ text: '12' })],
    // what cannot be copied
    ['pg_data/.s.PGSQL.5432', 'special', 'special'],
    ['pg_data/pgsql_tmp_pipe', 'special', 'skip'],
  ])('%s (%s): %s', (name, type, verdict, given = options()) => {
    expect(judge(name, type, given)).toBe(verdict);
  });
});

describe('the exclude option', () => {
  const given = options({
    exclude: ['junk/', 'base/5/1259', 'both', 'both/', 'first/', 'first', 'pg_wal/archive_status/'],
  });
  test.each<[string, FileType, string]>([
    ['pg_data/junk', 'path', 'empty junk/'],
    ['pg_data/junk', 'file', 'keep'],
    ['pg_data/junk', 'link', 'keep'],
    ['pg_data/base/5/1259', 'file', 'skip base/5/1259'],
    ['pg_data/base/5/1259.1', 'file', 'keep'],
    ['pg_data/base/6/1259', 'file', 'keep'],
    ['pg_data/both', 'path', 'skip both'],
    ['pg_data/both', 'link', 'skip both'],
    ['pg_data/first', 'path', 'skip first'],
    ['pg_data/pg_wal/archive_status', 'path', 'empty pg_wal/archive_status/'],
    // names of tablespaces are not below PGDATA
    ['pg_tblspc/16400', 'path', 'keep'],
  ])('%s (%s): %s', (name, type, verdict) => {
    expect(judge(name, type, given)).toBe(verdict);
  });
});

describe('unlogged relations', () => {
  test('only the init fork is kept', () => {
    const names = [
      '1259',
      '16384',
      '16384.1',
      '16384_fsm',
      '16384_vm',
      '16384_init',
      '163840',
      '16385_init',
      'x_init',
      '_init',
    ];
    const unlogged = findUnlogged(names);
    expect(names.filter(name => unlogged?.(name))).toEqual(['16384', '16384.1', '16384_fsm', '16384_vm']);
  });

  test('a directory without any has no predicate', () => {
    expect(findUnlogged(['1259', '1259_fsm', 'PG_VERSION', 'nothing_initial', 'x_init'])).toBeUndefined();
  });

  test('nothing that WAL protects is ever left out', () => {
    const name = fc
      .tuple(fc.integer({ min: 1, max: 30 }), fc.constantFrom('', '_fsm', '_vm', '_init'), fc.constantFrom('', '.1'))
      .map(([number, fork, segment]) => `${number}${fork}${segment}`);
    fc.assert(
      fc.property(fc.uniqueArray(name), names => {
        const unlogged = findUnlogged(names);
        for (const each of names) {
          const left = unlogged?.(each) ?? false;
          expect(left).toBe(!each.includes('_init') && names.includes(`${Number.parseInt(each, 10)}_init`));
        }
      }),
    );
  });
});

test.each([
  ['pg_data/base/5/1259', true],
  ['pg_data/global/1262', true],
  ['pg_data/pg_xact/0000', true],
  ['pg_data/pg_clog/0000', true],
  ['pg_data/pg_multixact/members/0000', true],
  ['pg_tblspc/16400/PG_15_202209061/5/1', true],
  ['pg_data/global/pg_control', false],
  ['pg_data/postgresql.conf', false],
  ['pg_data/pg_wal/000000010000000000000001', false],
  ['pg_data/base', false],
  ['pg_data/basement/1', false],
  ['pg_data/pg_tblspc/16400', false],
])('%s may vanish: %s', (name, expected) => {
  expect(mayVanish(name)).toBe(expected);
});

test.each([
  ['pg_data/base/5', '1259', true],
  ['pg_data/base/5', '1259_vm', true],
  ['pg_data/base/5', 'PG_VERSION', false],
  ['pg_data/base/5', 'pg_filenode.map', false],
  ['pg_data/base/5', 'pg_control', true],
  ['pg_data/global', 'pg_control', false],
  ['pg_data/global', '1262', true],
  ['pg_data/base', '1259', false],
  ['pg_data', '1259', false],
  ['pg_data/pg_xact', '0000', false],
  ['pg_tblspc/16400/PG_15_202209061/5', '1', true],
  ['pg_tblspc/16400/PG_15_202209061', '1', false],
  ['pg_tblspc/16400/PG_14_202107181/5', '1', false],
])('%s/%s has page checksums: %s', (directory, name, expected) => {
  expect(defineFileRules(options()).directory(directory).hasPageChecksums(name)).toBe(expected);
});

test.each([
  ['16384', 0],
  ['16384.1', 1],
  ['16384_fsm.131', 131],
  ['pg_filenode.map', 0],
  ['16384.', 0],
])('%s is segment %i', (name, segment) => {
  expect(relationSegment(name)).toBe(segment);
});

test.each([
  ['pg_data/base/5/1259', 5],
  ['pg_data/base/16384/PG_VERSION', 16384],
  ['pg_tblspc/16400/PG_15_202209061/16384/1', 16384],
  ['pg_data/global/1262', undefined],
  ['pg_data/base/5', undefined],
  ['pg_data/base/x/1', undefined],
])('%s belongs to database %s', (name, database) => {
  expect(databaseOf(name)).toBe(database);
});

test('judges a million names in a moment', () => {
  const directory = defineFileRules(options({ exclude: ['x'] })).directory('pg_data/base/16384');
  const names = Array.from({ length: 1_000_000 }, (_, i) => `${16384 + i}${i % 3 === 0 ? '_fsm' : ''}`);
  const start = performance.now();
  let kept = 0;
  for (const name of names) if (directory.judge(name, 'file').keeping === 'keep') kept++;
  expect(kept).toBe(names.length);
  // 0.15 s here; the limit only catches a rule that stopped being quick
  expect(performance.now() - start).toBeLessThan(3000);
});
