/** What lies in the repository, beside what the list of backups says should. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Listed } from './catalog.ts';

const isLabel = (name: string): boolean => /^\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?$/.test(name);

/** The WAL segments of an archive, by their 24 digits. */
export function archivedSegments(repo: string): string[] {
  const archive = join(repo, 'archive', 'demo');
  return readdirSync(archive, { recursive: true, encoding: 'utf8' }).flatMap(
    name => /([0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?$/.exec(name)?.[1] ?? [],
  );
}

/** Nothing is there that no backup needs. @param output what expire has said @param kills how many processes were killed */
export function expectRetention(repo: string, list: readonly Listed[], output: string, kills: number): void {
  const directories = readdirSync(join(repo, 'backup', 'demo'))
    .filter(isLabel)
    .sort();
  expect(directories, `backups that nobody knows\n${output}`).toEqual(list.map(({ label }) => label).sort());
  const [oldest = ''] = list.map(({ archive }) => archive.start).sort();
  const useless = archivedSegments(repo).filter(name => name < oldest);
  expect(useless, `WAL before ${oldest}, which is of no use\n${output}`).toEqual([]);
  expectFewHalves(repo, kills);
}

/** A push that is killed leaves a file under a temporary name, which a later push removes when it is an hour old. */
function expectFewHalves(repo: string, kills: number): void {
  const halves = readdirSync(repo, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.tmp'));
  expect(halves.filter(name => !name.startsWith('archive/'))).toEqual([]);
  // two workers in each process
  expect(halves.length, halves.join('\n')).toBeLessThanOrEqual(2 * kills);
  const oldest = Date.now() - 2 * 3_600_000;
  expect(halves.filter(name => statSync(join(repo, name)).mtimeMs < oldest)).toEqual([]);
}

/** Bytes of a folder with all in it. */
export function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return sum + (found?.isFile() ? found.size : 0);
  }, 0);
}
