/** Where a file is looked for, when not every place can be looked at. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ArchiveSource, findArchivedFile } from '../../../src/command/archive/archived-file.ts';
import type { ArchiveId } from '../../../src/repo/history.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';

const segment = '000000010000000000000007';
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgbackstop-archived-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const source = (key: number): ArchiveSource => {
  const path = join(root, `repo${key}`);
  const storage = openPosixStorage({ label: `repo${key}`, base: path });
  const repo = new StanzaRepo({ key, path } as StanzaRepo['settings'], storage, 'demo');
  return { repo, archiveIds: ['15-3', '15-1'] as ArchiveId[] };
};

function write(name: string): void {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, '');
}

test('what a repository has is taken, also when another of its archives cannot be looked at', async () => {
  const found = `archive/demo/15-3/0000000100000000/${segment}-${'a'.repeat(40)}`;
  write(`repo1/${found}`);
  // a file in place of a directory
  write('repo1/archive/demo/15-1/0000000100000000');
  const warnings: string[] = [];
  const copies = await findArchivedFile([source(1), source(2)], segment, message => void warnings.push(message));
  expect(copies.map(({ path }) => path)).toEqual([`/${found}`]);
  expect(warnings).toHaveLength(1);
  // nothing is known of the segment when no repository could be asked
  await expect(findArchivedFile([source(1)], segment, () => undefined)).rejects.toThrow(/valid repository/);
});
