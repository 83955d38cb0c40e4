import { expect, test } from 'vitest';
import { compareHistories } from '../../../src/command/verify/info.ts';
import type { DbHistory } from '../../../src/repo/history.ts';

const first: DbHistory = { id: 1, version: '15', systemId: 7000000000000000001n };
const second: DbHistory = { id: 2, version: '18', systemId: 7000000000000000002n };

test('two info files must tell of the same clusters', () => {
  const compare = (archive: readonly DbHistory[], backup: readonly DbHistory[]) =>
    compareHistories(
      { currentId: archive.at(-1)?.id ?? 0, history: archive },
      { currentId: backup.at(-1)?.id ?? 0, history: backup, backups: [] },
    );
  expect(compare([first], [first])).toBeUndefined();
  expect(compare([first, second], [first, second])).toBeUndefined();
  expect(compare([first, second], [first])).toMatch(
    /^backup info file and archive info file do not match\narchive: id = 2, .*\nbackup : id = 1, .*\nHINT: /,
  );
  expect(compare([first, second], [second])).toBe('archive and backup history lists do not match');
  expect(compare([{ ...first, version: '14' }, second], [first, second])).toBe(
    'archive and backup history lists do not match',
  );
});
