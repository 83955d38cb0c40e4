import { describe, expect, test } from 'vitest';
import {
  tablespaceDirectory,
  versionOf,
  versionOfControl,
  versionOfServer,
  versionOfWalMagic,
  versions,
} from '../../src/postgres/versions.ts';

test('every row is found by each of its marks, and only it', () => {
  for (const version of versions) {
    expect(versionOf(version.text)).toBe(version);
    expect(versionOfServer(version.key + 7)).toBe(version);
    expect(versionOfControl(version.controlVersion, version.catalogVersion)).toBe(version);
    expect(versionOfWalMagic(version.walMagic)).toBe(version);
  }
  expect(versions.map(version => version.text).join(' ')).toBe('9.4 9.5 9.6 10 11 12 13 14 15 16 17 18 19');
});

test.each([
  ['9.4', 'exclusive', 'file', 'xlog', 'location', 'pg_xlog', 'pg_clog'],
  ['9.5', 'exclusive', 'file', 'xlog', 'location', 'pg_xlog', 'pg_clog'],
  ['9.6', 'start-backup', 'file', 'xlog', 'location', 'pg_xlog', 'pg_clog'],
  ['10', 'start-backup', 'file', 'wal', 'lsn', 'pg_wal', 'pg_xact'],
  ['11', 'start-backup', 'file', 'wal', 'lsn', 'pg_wal', 'pg_xact'],
  ['12', 'start-backup', 'signal', 'wal', 'lsn', 'pg_wal', 'pg_xact'],
  ['14', 'start-backup', 'signal', 'wal', 'lsn', 'pg_wal', 'pg_xact'],
  ['15', 'backup-start', 'signal', 'wal', 'lsn', 'pg_wal', 'pg_xact'],
  ['18', 'backup-start', 'signal', 'wal', 'lsn', 'pg_wal', 'pg_xact'],
])('names and ways of %s', (text, backup, recovery, walWord, lsnWord, walDirectory, xactDirectory) => {
  expect(versionOf(text)).toMatchObject({ backup, recovery, walWord, lsnWord, walDirectory, xactDirectory });
});

describe('what there is not', () => {
  test.each([
    ['8.4', () => versionOf('8.4')],
    ['a minor version', () => versionOf('15.2')],
    ['empty', () => versionOf('')],
    ['server 9.3', () => versionOfServer(90325)],
    ['server 20', () => versionOfServer(200001)],
    ['control 1300 of another catalog', () => versionOfControl(1300, 202209062)],
    ['magic 0', () => versionOfWalMagic(0)],
  ])('%s', (_name, find) => {
    expect(find).toThrow(expect.objectContaining({ kind: 'version-not-supported', code: 46 }));
  });
});

test('tablespace directories', () => {
  expect(tablespaceDirectory(versionOf('9.6'), 201608131)).toBe('PG_9.6_201608131');
  expect(tablespaceDirectory(versionOf('15'), 202209061)).toBe('PG_15_202209061');
});
