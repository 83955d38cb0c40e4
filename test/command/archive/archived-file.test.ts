/** Where a file is looked for, when not every place can be looked at. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ArchiveListing } from '../../../src/command/archive/archive-listing.ts';
import {
  type ArchiveSource,
  findArchivedFile,
  type OpeningSource,
} from '../../../src/command/archive/archived-file.ts';
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

const warn = (): void => undefined;
/** Without it a repository is not there. */
const info = (key: number): void => write(`repo${key}/archive/demo/archive.info.copy`);

/** As openArchiveSources() gives them. */
const opening = (...keys: number[]): OpeningSource[] =>
  keys.map(key => ({ key, opening: Promise.resolve(source(key)) }));

const stored = (archiveId: string, letter = 'a'): string =>
  `archive/demo/${archiveId}/0000000100000000/${segment}-${letter.repeat(40)}`;

test('what a repository has is taken, also when another of its archives cannot be looked at', async () => {
  write(`repo1/${stored('15-3')}`);
  // a file in place of a directory
  write('repo1/archive/demo/15-1/0000000100000000');
  const warnings: string[] = [];
  const { copies } = await findArchivedFile(opening(1, 2), segment, {
    patience: 1000,
    warn: message => void warnings.push(message),
  });
  expect(copies.map(({ path }) => path)).toEqual([`/${stored('15-3')}`]);
  expect(warnings).toEqual([expect.stringMatching(/^repo1: \[PathOpenError\]/)]);
});

test('that a file is not there is said only when every repository has said so', async () => {
  for (const key of [1, 2]) info(key);
  await expect(findArchivedFile(opening(1, 2), segment, { patience: 0, warn })).resolves.toMatchObject({ copies: [] });
  write('repo2/archive/demo/15-1/0000000100000000');
  const search = findArchivedFile(opening(1, 2), segment, { patience: 0, warn });
  await expect(search).rejects.toMatchObject({ kind: 'repo-invalid' });
  await expect(search).rejects.toThrow(/not all repositories can be searched:\nrepo2: \[PathOpenError\] /);
  await expect(findArchivedFile(opening(2), segment, { patience: 0, warn })).rejects.toThrow(/find a valid repository/);
});

test('a repository that does not answer is not waited for when another has the file', async () => {
  write(`repo2/${stored('15-1')}`);
  let answer: (source: ArchiveSource) => void = () => undefined;
  const hanging = { key: 1, opening: new Promise<ArchiveSource>(resolve => (answer = resolve)) };
  const { copies, unanswered } = await findArchivedFile([hanging, ...opening(2)], segment, { patience: 20, warn });
  expect(copies.map(({ source }) => source.repo.key)).toEqual([2]);
  expect(unanswered).toEqual([1]);
  // without a copy there is nothing to do but wait for it
  for (const key of [1, 3]) info(key);
  let settled = false;
  const waiting = findArchivedFile([hanging, ...opening(3)], segment, { patience: 1, warn }).finally(() => {
    settled = true;
  });
  await new Promise(resolve => setTimeout(resolve, 50));
  expect(settled).toBe(false);
  answer(source(1));
  expect((await waiting).copies).toEqual([]);
});

test('copies are tried in the order of the repositories, whoever answers first', async () => {
  for (const key of [1, 2]) write(`repo${key}/${stored('15-1')}`);
  const late = { key: 1, opening: new Promise<ArchiveSource>(resolve => setTimeout(() => resolve(source(1)), 30)) };
  const { copies } = await findArchivedFile([late, ...opening(2)], segment, { patience: 5000, warn });
  expect(copies.map(({ source }) => source.repo.key)).toEqual([1, 2]);
});

test('a partial segment is not the segment', async () => {
  write(`repo1/archive/demo/15-1/0000000100000000/${segment}.partial-${'a'.repeat(40)}.gz`);
  info(1);
  expect((await findArchivedFile(opening(1), segment, { patience: 0, warn })).copies).toEqual([]);
  expect((await findArchivedFile(opening(1), `${segment}.partial`, { patience: 0, warn })).copies).toHaveLength(1);
});

test('a repository whose file system went away after it was opened proves nothing', async () => {
  for (const key of [1, 2]) info(key);
  const sources = opening(1, 2);
  rmSync(join(root, 'repo2'), { recursive: true });
  const search = findArchivedFile(sources, segment, { patience: 0, warn });
  await expect(search).rejects.toThrow(/\nrepo2: \[FileMissingError\] '.*\/archive.info' is not there any more/);
  write(`repo1/${stored('15-1')}`);
  expect((await findArchivedFile(sources, segment, { patience: 0, warn })).copies).toHaveLength(1);
});

test('a directory that could not be listed is listed again', async () => {
  write('repo1/archive/demo/15-1/0000000100000000');
  const listing = new ArchiveListing();
  const find = () => listing.find(source(1), '15-1' as ArchiveId, segment);
  await expect(find()).rejects.toMatchObject({ kind: 'path-open' });
  rmSync(join(root, 'repo1'), { recursive: true });
  write(`repo1/${stored('15-1')}`);
  expect(await find()).toHaveLength(1);
});
